"""The terms that the local store finds events by.

A block is indexed by the words of the shown fields of its events, each pair of consecutive words, and hashes of the
field values. The index finds blocks that may have an event; each event is then compared with the search.

The key of a line, by which it is counted (`tallies.py`), is the JSON of each value of its `COLUMNS`.

`_terms.c` collects the same terms from the bytes of a line in a tenth of the time. It is optional, and leaves lines
that it cannot read to the Python code here.
"""

import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from dashcam.event import Event
from dashcam.find.values import is_shown, leaves_of, number_of, text_of, words_of

_Collected = tuple[str, list[int], list[bytes | None], list[int | None]]


def _leave(lines: list[bytes], number: object) -> _Collected:  # noqa: ARG001 - as the compiled one has it
    return "", list(range(len(lines))), [None] * len(lines), [None] * len(lines)


try:
    from dashcam.destinations.local._terms import collect
except ImportError:  # there was no compiler
    collect = _leave

INDEXED = frozenset(
    {
        "event.action",
        "event.id",
        "event.outcome",
        "http.request.id",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "log.level",
        "log.logger",
        "parent.id",
        "processor.event",
        "service.name",
        "span.id",
        "tags",
        "trace.id",
        "url.path",
    }
)
"""The fields that, beside every label, are found by their value without reading other events."""

COLUMNS = (
    "service.name",
    "service.version",
    "service.environment",
    "log.level",
    "log.logger",
    "http.route",
    "http.request.method",
    "http.response.status_code",
    "event.outcome",
    "event.dataset",
    "event.action",
    "processor.event",
    "span.kind",
    "transaction.type",
)
"""The fields that events are counted by; in a key, each has the letter of its place: `a` is the first."""

MEASURED = frozenset({"event.duration", "http.response.status_code"})
"""The fields whose numbers, like the numbers of labels, are found by their size."""

MAX_WORD = 64  # characters of a word that are indexed
MAX_KEY_BYTES = 500
_MAX_SIZE = 64  # greater numbers are one size
_MAX_ID = 28  # characters of an `event.id`: its segment, and its offset in steps of 100,000 bytes


class IndexedBlock(NamedTuple):
    """Events that are stored together: their times, lines, search terms, keys and durations.

    A duration is `None` where it has to be looked for in the line.
    """

    times_us: Sequence[int]
    lines: Sequence[bytes]
    terms: str
    keys: Sequence[bytes | None]
    durations: Sequence[int | None]


class Terms(NamedTuple):
    """The terms of some lines, with a blank between two, and the reasons why some are not events, by their index.

    `keys` has the key of each line, `None` for one that has none, `durations` its `event.duration` in nanoseconds,
    `None` where it has to be looked for in the line.
    """

    text: str
    faults: dict[int, str]
    keys: list[bytes | None]
    durations: list[int | None]


def terms_of(lines: list[bytes]) -> Terms:
    """Return all that the events of some lines are found by."""
    text, left, keys, durations = collect(lines, _number)
    if not left:
        return Terms(text, {}, keys, durations)
    found, faults = dict.fromkeys(text.split()), {}
    for index in left:
        try:
            event = Event.from_json(lines[index])
            found |= dict.fromkeys(event_terms(event))
        except (ValueError, RecursionError) as fault:
            faults[index] = f"not an event: {fault}"
        else:
            keys[index], durations[index] = key_of(event), None
    return Terms(" ".join(found), faults, keys, durations)


def key_of(event: Event) -> bytes | None:
    """Return the key of an event; `None` when it would be too long."""
    values = ((_LETTERS[name], value) for name, value in leaves_of(event) if name in _LETTERS)
    key = b"".join(b"%c%b\n" % (letter, orjson.dumps(value)) for letter, value in values)
    return key if len(key) <= MAX_KEY_BYTES else None


_LETTERS = {name: ord("a") + place for place, name in enumerate(COLUMNS)}


def event_of(key: bytes) -> Event:
    r"""Return an event with the values that a key has, and no others.

    >>> event_of(b'a"cars"\nh503\n').fields
    {'service.name': ['cars'], 'http.response.status_code': [503]}
    """
    fields: dict[str, list[Any]] = {}
    for part in key.split(b"\n")[:-1]:
        fields.setdefault(COLUMNS[part[0] - ord("a")], []).append(orjson.loads(part[1:]))
    return Event(fields)


def event_terms(event: Event) -> Iterator[str]:
    """Yield the terms of an event, some of them more than once."""
    for name, value in leaves_of(event):
        is_labelled = is_label(name)
        if is_labelled:
            yield name_term(name)
        if is_labelled or name in INDEXED:
            yield value_term(name, text_of(value))
        if is_shown(name):
            yield from text_terms(words_of(text_of(value)))
        if (is_labelled or name in MEASURED) and (number := number_of(value)) is not None:
            yield _hashed(f"{name}~{_size(number)}")


def text_terms(words: Sequence[str]) -> Iterator[str]:
    """Yield the terms of words that follow each other."""
    yield from map(word_term, words)
    yield from (pair_term(*pair) for pair in pairwise(words))


def word_term(word: str) -> str:
    """Return the term that finds a word."""
    return word[:MAX_WORD]


def pair_term(first: str, second: str) -> str:
    """Return the term that finds two words that follow each other."""
    return _hashed(f"{word_term(first)} {word_term(second)}")


def name_term(field: str) -> str:
    """Return the term that finds events with a label."""
    return _hashed(field)


def value_term(field: str, text: str) -> str:
    """Return the term that finds a value, as `text_of` writes it, of an `INDEXED` field or a label.

    Events that lie near each other in a segment share the term of their IDs.
    """
    return _hashed(f"{field}={text[:_MAX_ID] if field == 'event.id' else text}")


def size_terms(field: str, low: float | None, high: float | None) -> list[str]:
    """Return the terms that find numbers within bounds of a `MEASURED` field or a label, and some others."""
    least = -_MAX_SIZE if low is None else _size(low)
    most = _MAX_SIZE if high is None else _size(high)
    return [_hashed(f"{field}~{size}") for size in range(least, most + 1)]


def is_label(field: str) -> bool:
    """Return whether a field is the caller's."""
    return field.startswith("labels.")


def _hashed(text: str) -> str:
    # Should two texts clash, a block is read that then has no hit.
    return f"={zlib.crc32(text.encode()):x}"


def _size(number: float) -> int:
    """Return a number's place among the powers of two: the same or more for a greater number."""
    size = min(int(abs(number)).bit_length(), _MAX_SIZE)
    return size if number >= 0 else -size


def _number(data: bytes) -> tuple[str, int]:
    """Return the text and the size of a number as JSON writes it."""
    value = orjson.loads(data)
    return text_of(value), _size(value)
