"""Lines of spans that are alike: the JSON of one is kept, and those that follow fill in what differs.

A request, a call or a statement that comes again gives a line that differs in ids, times, sizes and perhaps an address.
docs/decisions/0005 has the microseconds.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol, Self

from opentelemetry.trace import SpanKind, Status, StatusCode

from dashcam.record import masking
from dashcam.record.correlation import OpenSpan, ServerRequest

MAX_TEMPLATES: Final = 512
MAX_TEMPLATE_BYTES = 16_000  # below which no text of a line takes room from another one
MAX_TEXT_CHARACTERS = 2_000  # of a name or an address that is filled in
_URLS = ("url.full", "url.path", "url.query")
_SCALARS = frozenset({str, int})  # of which no two are equal and have other JSON, as 1 and True have
_CLIENT, _SERVER, _UNSET = SpanKind.CLIENT, SpanKind.SERVER, StatusCode.UNSET

# What stands for each value in the line that a template is made of. One that is in the line by chance is noticed.
_SPAN, _TRACE, _TRANSACTION, _PARENT = (
    0x9E3779B97F4A7C15,
    0xC2B2AE3D27D4EB4F165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)
_REQUEST = "9f4a7c15-85eb-ca77"
_NAME = "9f4a7c15 ca77"
_ADDRESSES = ("http://9f4a7c15.ca77/", "/9f4a7c15/ca77", "9f4a7c15=ca77")
_TIME_NS, _DURATION_NS = 1618033988749894848, 27182818284590452
_RESPONSE_BYTES, _REQUEST_BYTES = 577215664901532, 693147180559945
# In the order of a template's places: ids as an `OpenSpan` has them, name, URLs, times, sizes. The longer of two
# numbers that begin alike comes first.
_PLACEHOLDERS = (
    _REQUEST,
    f"{_TRACE:032x}",
    f"{_SPAN:016x}",
    f"{_TRANSACTION:016x}",
    f"{_PARENT:016x}",
    *(f'"{text}"' for text in (_NAME, *_ADDRESSES)),
    str(_TIME_NS),
    str(_TIME_NS // 1000),
    str(_DURATION_NS),
    str(_DURATION_NS // 1000),
    str(_RESPONSE_BYTES),
    str(_REQUEST_BYTES),
)
_IDS = 5
_ESCAPED = frozenset('"\\')
# Another field has it, or nobody looks for it.
LEFT_OUT: Final = frozenset(
    {"http.target", "http.host", "http.flavor", "net.host.name", "net.host.port", "network.protocol.version"}
    | {"network.peer.address", "network.peer.port", "http.server_name", "db.user", "net.sock.peer.addr", "client.port"}
)
_ANY = re.compile("|".join(map(re.escape, _PLACEHOLDERS)))


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
        places = tuple(_PLACEHOLDERS.index(found) for found in _ANY.findall(sample))
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
    given = name, *map(attributes.get, _URLS)
    texts = [f'"{text}"' if _is_as_in_json(text) else None for text in given]
    times = [
        None if each is None else each // unit for each in map(_number, (start_ns, duration_ns)) for unit in (1, 1000)
    ]
    sizes = [_number(served.response_bytes), _number(served.request_bytes)] if served else [None, None]
    values = [*known[:_IDS], *texts, *times, *sizes]
    picked = [values[place] for place in places]
    inserted = "".join(texts[place - _IDS] or "" for place in places if 0 <= place - _IDS < len(texts))
    if None in picked or has_word(inserted.encode()):
        return b""
    try:
        filled = [str(value).encode() for value in picked]
    except UnicodeEncodeError:  # half a character
        return b""
    return b"".join(part for pair in zip(pieces, [*filled, b""], strict=True) for part in pair)


def _number(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 64 else None


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
        is_usual = span.status.status_code is _UNSET
        key = key_of(span.kind, span.name, attributes, known, masking.has_word) if is_usual else ()
        template = self._templates.get(key)
        values = span.name, attributes, known, start_ns, duration_ns, masking.has_word
        if template and (filled := fill(template.pieces, template.places, *values)):
            return filled
        line = self._encode(span, attributes, known, start_ns, duration_ns)
        if key and key not in self._templates and len(line) <= MAX_TEMPLATE_BYTES:
            if key in self._seen:
                made = self._made(span, attributes, known)
                self._templates[key] = made if fill(made.pieces, made.places, *values) == line else None
            self._remember(key)
        return line

    def _remember(self, key: tuple[object, ...]) -> None:
        if len(self._seen) >= MAX_TEMPLATES:
            self._seen.clear()
            self._templates.clear()
        self._seen.add(key)

    def _made(self, span: Span, attributes: dict[str, Any], known: OpenSpan) -> _Template:
        addresses = {name: text for name, text in zip(_URLS, _ADDRESSES, strict=True) if attributes.get(name)}
        span_id = f"{_SPAN:016x}"
        open_sample = known._replace(
            request_id=_REQUEST if known.request_id else "",
            trace_id=f"{_TRACE:032x}",
            span_id=span_id,
            transaction=span_id if known.transaction == known.span_id else f"{_TRANSACTION:016x}",
            parent_id=f"{_PARENT:016x}" if known.parent_id else "",
            served=_with_sizes(known.served) if known.served else None,
        )
        sample = _Sample(_NAME, span.kind, span.status)
        return _Template.of(self._encode(sample, attributes | addresses, open_sample, _TIME_NS, _DURATION_NS).decode())


def _with_sizes(served: ServerRequest) -> ServerRequest:
    return replace(
        served,
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
    urls = [attributes.get(name) for name in _URLS if name in attributes]
    others = {name: value for name, value in attributes.items() if name not in LEFT_OUT and name not in _URLS}
    if not all(map(_is_short, urls)):
        return ()
    if not _SCALARS.issuperset(map(type, others.values())) or not all(type(name) is str for name in attributes):
        return ()
    if served and not _is_usual(served, attributes):
        return ()
    shape: tuple[object, ...] = (
        kind is _CLIENT,
        bool(known.parent_id),
        bool(known.request_id),
        is_outermost,
        has_word,
    )
    shape += tuple(attributes.get(name) and True for name in _URLS)
    end = served and (served.status, served.response_bytes and True, served.request_bytes and True)
    return (*shape, *(end or (None, None, None)), *(part for item in others.items() for part in item))


def _is_short(text: object) -> bool:
    return type(text) is str and len(text) <= MAX_TEXT_CHARACTERS


def _is_usual(served: ServerRequest, attributes: dict[str, Any]) -> bool:
    """Return true for a request whose line has what its span's attributes have, and no more."""
    is_odd = served.labels or served.error is not None or served.is_incomplete or served.is_disconnected
    has_path = not served.path or (served.path.isascii() and attributes.get(_URLS[1]))
    has_query = not served.query or attributes.get(_URLS[2])
    return bool(not is_odd and has_path and has_query)


try:
    from dashcam.record import _template
except ImportError:  # there was no compiler to build it
    key_of, fill = python_key_of, python_fill
else:
    _template.use(_CLIENT, _SERVER, LEFT_OUT)
    key_of, fill = _template.key_of, _template.fill
