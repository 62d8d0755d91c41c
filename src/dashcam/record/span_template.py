"""Lines of spans that are alike: the JSON of one is kept, and those that follow fill in what differs.

A request, a call or a statement that comes again gives a line that differs in ids, times, sizes, labels, and perhaps in
its URL and its caller. docs/decisions/0005 has the microseconds.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import starmap
from typing import Any, Final, NamedTuple, Protocol, Self

from opentelemetry.trace import SpanKind, Status, StatusCode

from dashcam.record import masking
from dashcam.record.correlation import OpenSpan, ServerRequest

MAX_TEMPLATES: Final = 512
MAX_TEMPLATE_BYTES = 16_000  # below which no text of a line takes room from another one
MAX_TEXT_CHARACTERS = 2_000  # of a name, an attribute or a label that is filled in
MAX_ATTRIBUTES: Final = 40
MAX_LABELS: Final = 8  # of a request
_PATH, _QUERY = "url.path", "url.query"
_TEXTS = ("url.full", _PATH, _QUERY, "client.address", "user_agent.original")  # attributes that are filled in
_SCALARS = frozenset({str, int})  # of which no two are equal and have other JSON, as 1 and True have
_CLIENT, _SERVER = SpanKind.CLIENT, SpanKind.SERVER
_UNSET_CODE = StatusCode.UNSET
UNSET: Final = Status(_UNSET_CODE)  # of most spans, which are not asked what it says

# What stands for each value in the line that a template is made of. One that is in the line by chance is noticed.
_SPAN, _TRACE, _TRANSACTION, _PARENT = (
    0x9E3779B97F4A7C15,
    0xC2B2AE3D27D4EB4F165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)
_REQUEST = "9f4a7c15-85eb-ca77"
_NAME = "9f4a7c15 ca77"
_TEXT_SAMPLES = ("http://9f4a7c15.ca77/", "/9f4a7c15/ca77", "9f4a7c15=ca77", "9f4a7c15.ca77", "9f4a7c15/ca77")
_TIME_NS, _DURATION_NS = 1618033988749894848, 27182818284590452
_RESPONSE_BYTES, _REQUEST_BYTES = 577215664901532, 693147180559945
_LABEL_TEXTS = tuple(f"label 9f4a7c15 {number}" for number in range(MAX_LABELS))
_LABEL_NUMBERS = tuple(261497212847642783 + number for number in range(MAX_LABELS))
# In the order of a template's places: ids as an `OpenSpan` has them, name, attributes, times, sizes, labels. The longer
# of two numbers that begin alike comes first.
_PLACEHOLDERS = (
    _REQUEST,
    f"{_TRACE:032x}",
    f"{_SPAN:016x}",
    f"{_TRANSACTION:016x}",
    f"{_PARENT:016x}",
    *(f'"{text}"' for text in (_NAME, *_TEXT_SAMPLES)),
    str(_TIME_NS),
    str(_TIME_NS // 1000),
    str(_DURATION_NS),
    str(_DURATION_NS // 1000),
    str(_RESPONSE_BYTES),
    str(_REQUEST_BYTES),
    *(f'"{text}"' for text in _LABEL_TEXTS),
)
_PLACES = {text: place for place, text in enumerate(_PLACEHOLDERS)}
_IDS, _FIRST_LABEL = 5, _PLACES[f'"{_LABEL_TEXTS[0]}"']
_PLACES |= {str(number): _FIRST_LABEL + at for at, number in enumerate(_LABEL_NUMBERS)}
_ESCAPED = frozenset('"\\')
# Another field has it, or nobody looks for it.
LEFT_OUT: Final = frozenset(
    {"http.target", "http.host", "http.flavor", "net.host.name", "net.host.port", "network.protocol.version"}
    | {"network.peer.address", "network.peer.port", "http.server_name", "db.user", "net.sock.peer.addr", "client.port"}
)
_ANY = re.compile("|".join(map(re.escape, _PLACES)))


class Span(Protocol):
    """What a template has to know of a span."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> SpanKind: ...
    @property
    def status(self) -> Status: ...


class _Sample(NamedTuple):
    """A span with another name."""

    name: str
    kind: SpanKind
    status: Status


Encode = Callable[[Span, Mapping[str, Any], OpenSpan, int, int], bytes]
"""Returns the line of a span, given its attributes and ids, and its start and duration in nanoseconds."""


class _Template(NamedTuple):
    """A line whose values are to be filled in: its pieces, and which value stands between each two."""

    pieces: tuple[bytes, ...]
    places: tuple[int, ...]

    @classmethod
    def of(cls, sample: str) -> Self:
        """Return the template of a line that has what stands for each value."""
        places = tuple(_PLACES[found] for found in _ANY.findall(sample))
        return cls(tuple(piece.encode() for piece in _ANY.split(sample)), places)


def python_fill(  # noqa: PLR0913, PLR0917 — one call for each span
    pieces: tuple[bytes, ...],
    places: tuple[int, ...],
    name: str,
    attributes: dict[str, Any],
    known: OpenSpan,
    start_ns: int,
    duration_ns: int,
    has_word: Callable[[bytes], bool],
    /,
) -> bytes:
    """Return the line of a template; empty if a value cannot stand there as it is, or may hold a secret."""
    served = known.served
    given = name, *map(attributes.get, _TEXTS)
    texts = [f'"{text}"' if _is_as_in_json(text) else None for text in given]
    times = [
        None if each is None else each // unit for each in map(_number, (start_ns, duration_ns)) for unit in (1, 1000)
    ]
    sizes = [_number(served.response_bytes), _number(served.request_bytes)] if served else [None, None]
    labels = [*served.labels.items()][:MAX_LABELS] if served else []
    values = dict(enumerate([*known[:_IDS], *texts, *times, *sizes, *starmap(_label, labels)]))
    asked = dict(enumerate(texts, _IDS))
    asked |= {place: f'"{name}":{values[place]},' for place, (name, _) in enumerate(labels, _FIRST_LABEL)}
    picked = [values.get(place) for place in places]
    inserted = "".join(asked.get(place) or "" for place in places)
    if None in picked or has_word(inserted.encode()):
        return b""
    try:
        filled = [str(value).encode() for value in picked]
    except UnicodeEncodeError:  # half a character
        return b""
    return b"".join(part for pair in zip(pieces, [*filled, b""], strict=True) for part in pair)


def _number(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 64 else None


def _label(name: object, value: object) -> str | int | None:
    if type(value) is str:
        return f'"{value}"' if _is_as_in_json(name) and _is_as_in_json(value) else None
    return _number(value) if _is_as_in_json(name) else None


def _is_as_in_json(text: object) -> bool:
    return type(text) is str and text.isascii() and text.isprintable() and not _ESCAPED.intersection(text)


class SpanTemplates:
    """Encodes spans by `encode`, and a span that is like two before it by the template of those."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._seen: set[tuple[object, ...]] = set()
        self._templates: dict[tuple[object, ...], _Template | None] = {}  # None where the spans are not all alike

    def line(self, span: Span, attributes: dict[str, Any], known: OpenSpan, start_ns: int, duration_ns: int) -> bytes:
        """Return the line of a span."""
        has_word = masking.has_word
        if filled := line_of(self._templates, span, attributes, known, start_ns, duration_ns, has_word):
            return filled
        line = self._encode(span, attributes, known, start_ns, duration_ns)
        if span.status.status_code is _UNSET_CODE and len(line) <= MAX_TEMPLATE_BYTES:
            values = span.name, attributes, known, start_ns, duration_ns, has_word
            self._learn(span, attributes, known, lambda made: fill(made.pieces, made.places, *values) == line)
        return line

    def _learn(
        self, span: Span, attributes: dict[str, Any], known: OpenSpan, gives_line: Callable[[_Template], bool]
    ) -> None:
        """Keep the template of a span that has come twice, or that there is none which gives its line."""
        key = key_of(span.kind, span.name, attributes, known, masking.has_word)
        if not key or key in self._templates:
            return
        if key in self._seen:
            made = self._made(span, attributes, known)
            places = range(_FIRST_LABEL, _FIRST_LABEL + len(_labels_of(known)))
            self._templates[key] = made if {*places}.issubset(made.places) and gives_line(made) else None
        for known_keys in (self._seen, self._templates):
            if len(known_keys) >= MAX_TEMPLATES:
                known_keys.clear()
        self._seen.add(key)

    def _made(self, span: Span, attributes: dict[str, Any], known: OpenSpan) -> _Template:
        texts = {name: text for name, text in zip(_TEXTS, _TEXT_SAMPLES, strict=True) if attributes.get(name)}
        span_id = f"{_SPAN:016x}"
        open_sample = known._replace(
            request_id=_REQUEST if known.request_id else "",
            trace_id=f"{_TRACE:032x}",
            span_id=span_id,
            transaction=span_id if known.transaction == known.span_id else f"{_TRANSACTION:016x}",
            parent_id=f"{_PARENT:016x}" if known.parent_id else "",
            served=_sample_of(known.served) if known.served else None,
        )
        sample = _Sample(_NAME, span.kind, span.status)
        return _Template.of(self._encode(sample, attributes | texts, open_sample, _TIME_NS, _DURATION_NS).decode())


def _labels_of(known: OpenSpan) -> list[tuple[str, Any]]:
    """Return the labels that the line of a span has; a copy, as other threads may add some."""
    return [*known.served.labels.items()] if known.served and known.transaction == known.span_id else []


def _sample_of(served: ServerRequest) -> ServerRequest:
    standing = zip(_LABEL_TEXTS, _LABEL_NUMBERS, [*served.labels.items()], strict=False)
    return replace(
        served,
        labels={name: text if type(value) is str else number for text, number, (name, value) in standing},
        response_bytes=served.response_bytes and _RESPONSE_BYTES,
        request_bytes=served.request_bytes and _REQUEST_BYTES,
    )


def python_key_of(
    kind: SpanKind, name: str, attributes: dict[str, Any], known: OpenSpan, has_word: Callable[[bytes], bool], /
) -> tuple[object, ...]:
    """Return what spans of one template have in common; empty for a span that is to have none.

    The search for secrets is part of it: what was masked by another one is to be masked anew.
    """
    is_outermost = known.transaction == known.span_id
    served = known.served if is_outermost else None
    if not (kind is _CLIENT or (kind is _SERVER and served)) or not _is_short(name):
        return ()
    texts = [attributes.get(name) for name in _TEXTS if name in attributes]
    others = {name: value for name, value in attributes.items() if name not in LEFT_OUT and name not in _TEXTS}
    if not all(map(_is_short, texts)) or len(attributes) > MAX_ATTRIBUTES:
        return ()
    if not _SCALARS.issuperset(map(type, others.values())) or not all(type(name) is str for name in attributes):
        return ()
    labels = _labels_of(known)
    if served and not (_is_usual(served, attributes) and _are_usual(labels)):
        return ()
    shape: tuple[object, ...] = (kind is _CLIENT, bool(known.parent_id), bool(known.request_id), is_outermost)
    shape += tuple(attributes.get(name) and True for name in _TEXTS)
    types = [(name, type(value)) for name, value in labels]
    end = served and (served.status, served.response_bytes and True, served.request_bytes and True)
    parts = (part for item in (*others.items(), *types) for part in item)
    return (*shape, *(end or (None, None, None)), has_word, *parts)


def _is_short(text: object) -> bool:
    return type(text) is str and len(text) <= MAX_TEXT_CHARACTERS


def _is_usual(served: ServerRequest, attributes: dict[str, Any]) -> bool:
    """Return true for a request whose line has what its span's attributes have, and no more."""
    is_odd = served.error is not None or served.is_incomplete or served.is_disconnected
    has_path = not served.path or (served.path.isascii() and attributes.get(_PATH))
    has_query = not served.query or attributes.get(_QUERY)
    return bool(not is_odd and has_path and has_query)


def _are_usual(labels: list[tuple[str, Any]]) -> bool:
    are_short = all(type(name) is str and (type(value) is int or _is_short(value)) for name, value in labels)
    return len(labels) <= MAX_LABELS and are_short


def python_line_of(  # noqa: PLR0913, PLR0917 — one call for each span
    templates: Mapping[tuple[object, ...], _Template | None],
    span: Span,
    attributes: dict[str, Any],
    known: OpenSpan,
    start_ns: int,
    duration_ns: int,
    has_word: Callable[[bytes], bool],
    /,
) -> bytes:
    """Return the line of a span by the template that it has in common with others; empty without one.

    There is none for a status.
    """
    if span.status.status_code is not _UNSET_CODE:
        return b""
    template = templates.get(python_key_of(span.kind, span.name, attributes, known, has_word))
    values = span.name, attributes, known, start_ns, duration_ns, has_word
    return python_fill(template.pieces, template.places, *values) if template else b""


def python_pick(attributes: dict[str, Any], names: tuple[str, ...], /) -> dict[str, Any]:
    """Return the attributes of some names, in the order of these."""
    return {name: attributes[name] for name in names if name in attributes}


try:
    from dashcam.record import _template
except ImportError:  # there was no compiler to build it
    key_of, fill, line_of, pick = python_key_of, python_fill, python_line_of, python_pick
else:
    places = dict.fromkeys(LEFT_OUT, -1) | {name: place for place, name in enumerate(_TEXTS)}
    _template.use(_CLIENT, _SERVER, places, UNSET, _UNSET_CODE)
    key_of, fill, line_of, pick = _template.key_of, _template.fill, _template.line_of, _template.pick
