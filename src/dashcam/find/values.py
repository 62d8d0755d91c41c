"""The values of an event's fields as the texts, words and numbers that are indexed and compared.

Every store finds by the meaning that this page gives: one that cannot ask for it exactly asks for more, and filters.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson

from dashcam.event import Event

SEARCHED = ("message", "error.type", "error.message", "error.stack_trace")
"""The fields in which a value is words."""

SHOWN = ("db.statement", "url.full")
"""The fields that, beside these and the labels, a line shows of an event: words without a field are in them, too."""

IDS = ("http.request.id", "trace.id", "span.id", "event.id")
"""The fields whose whole value is found without their name."""

_WORD = re.compile(r"[^\W_]+")


def values_of(event: Event, name: str) -> list[Any]:
    """The values under a dotted name: none when it is absent or null, several for a list.

    It is one name whether its keys are nested, dotted, or both: `labels.order.id` is in `{"labels": {"order.id": 7}}`
    too. An object is no value; its fields are. Strings, whole and broken numbers and booleans are values.
    """
    found: list[Any] = []
    _collect(event.fields, name, found)
    return found


def _collect(value: Any, name: str | None, found: list[Any]) -> None:
    """Add the values under what is left of a name; `None` when nothing is left, which is not an empty key."""
    if isinstance(value, list):
        for one in value:
            _collect(one, name, found)
    elif isinstance(value, dict):
        for key, rest in _parted(name) if name is not None else ():
            if key in value:
                _collect(value[key], rest, found)
    elif name is None and value is not None:
        found.append(value)


@lru_cache(maxsize=256)
def _parted(name: str) -> tuple[tuple[str, str | None], ...]:
    """Return each key that a name may begin with, and what is then left of the name: the whole name first."""
    dots = [place for place, sign in enumerate(name) if sign == "."]
    return (name, None), *((name[:dot], name[dot + 1 :]) for dot in dots)


def leaves_of(event: Event) -> list[tuple[str, Any]]:
    """Every value of an event with its dotted name, as `values_of` would give it for that name."""
    found: list[tuple[str, Any]] = []
    _gather("", event.fields, found)
    return found


def shown_texts(event: Event) -> Iterator[str]:
    """Yield each text in which words without a field are searched for: of `SEARCHED`, of `SHOWN` and of the labels.

    Labels are gathered last: most hits are in a message.
    """
    for field in (*SEARCHED, *SHOWN):
        yield from map(text_of, values_of(event, field))
    labels: list[tuple[str, Any]] = []
    fields = event.fields.items()
    _gather("", {name: value for name, value in fields if name.startswith("labels")}, labels)
    yield from (text_of(value) for name, value in labels if is_shown(name))


def is_shown(field: str) -> bool:
    """Return whether words without a field are searched for in a field."""
    return field in SEARCHED or field in SHOWN or field.startswith("labels.")


def _gather(prefix: str, fields: dict[str, Any], found: list[tuple[str, Any]]) -> None:
    for key, value in fields.items():
        if isinstance(value, dict):
            _gather(f"{prefix}{key}.", value, found)
        elif isinstance(value, list):
            for inner in value:
                _gather(prefix, {key: inner}, found)
        elif value is not None:
            found.append((f"{prefix}{key}", value))


def text_of(value: Any) -> str:
    """A value as it is compared: a string as it is, anything else as JSON writes it (`7`, `4.5`, `true`)."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def number_of(value: Any) -> int | float | None:
    """A value as a range compares it: only a JSON number is one, `"7"` and `true` are not."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def words_of(text: str) -> list[str]:
    """The words of a text, in order: its longest runs of letters and digits, in small letters.

    `psycopg2.errors.UniqueViolation: car_id=7` has the words psycopg2, errors, uniqueviolation, car, id and 7. A
    letter or digit is what `str.isalnum` takes for one; everything else, `_` and combining marks too, parts words.
    """
    return _WORD.findall(text.lower())


def holds_words(text: str, words: list[str], *, prefix: bool = False) -> bool:
    """Return whether these words, at least one, follow each other; with `prefix` the last may be a beginning."""
    lower = text.lower()
    if not words or not all(map(lower.__contains__, words)):  # most texts, which need not be parted
        return False
    wanted = "\0" + "\0".join(words) + ("" if prefix else "\0")
    return wanted in "\0".join(("", *_WORD.findall(lower), ""))


def has_pattern(text: str, pattern: str) -> bool:
    r"""Return whether a whole text fits a pattern: `*` is any text, `?` one character, `\` makes the next literal."""
    return _compiled(pattern).match(text) is not None


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    pieces = [""]
    for sign in re.findall(r"\\?.", pattern, re.DOTALL):
        if sign == "*":
            pieces.append("")
        else:
            pieces[-1] += "." if sign == "?" else re.escape(sign[-1])
    regex, *rest = pieces
    if rest:
        # An atomic group keeps the first place its piece fits; that one is as good as any, because a `*` follows,
        # and without trying others a hostile pattern takes no more than linear time.
        *middle, last = rest
        regex += "".join(f"(?>.*?{piece})" for piece in middle) + f".*{last}"
    return re.compile(regex + r"\Z", re.DOTALL)
