"""Lines of spans that are alike: the JSON of one is kept, and those that follow fill in what differs.

A request, a call or a statement that comes again gives a line that differs in ids, times, sizes and perhaps an address.
docs/decisions/0005 has the microseconds.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, Final, Protocol

import orjson
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

from dashcam.record import masking
from dashcam.record.correlation import OpenSpan, ServerRequest

MAX_TEMPLATES: Final = 512
MAX_URL_CHARACTERS = 2_000
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
_ADDRESSES = ("http://9f4a7c15.ca77/", "/9f4a7c15/ca77", "9f4a7c15=ca77")
_TIME_NS, _DURATION_NS = 1618033988749894848, 27182818284590452
_RESPONSE_BYTES, _REQUEST_BYTES = 577215664901532, 693147180559945
# In the order of the values that `_Template.fill` is given; the longer of two numbers that begin alike comes first.
_PLACEHOLDERS = (
    f"{_TRACE:032x}",
    f"{_SPAN:016x}",
    f"{_TRANSACTION:016x}",
    f"{_PARENT:016x}",
    _REQUEST,
    *(f'"{address}"' for address in _ADDRESSES),
    str(_TIME_NS),
    str(_TIME_NS // 1000),
    str(_DURATION_NS),
    str(_DURATION_NS // 1000),
    str(_RESPONSE_BYTES),
    str(_REQUEST_BYTES),
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
    @property
    def parent(self) -> SpanContext | None: ...


@dataclass(frozen=True, slots=True)
class _Sample:
    """A span like another one, with the values that stand for others."""

    name: str
    context: SpanContext
    parent: SpanContext | None
    attributes: Mapping[str, Any]
    kind: SpanKind
    status: Status = Status(_UNSET)
    start_time: int | None = _TIME_NS
    end_time: int | None = _TIME_NS + _DURATION_NS


Encode = Callable[[Any, OpenSpan, int, int], bytes]
"""Returns the line of a span, given its ids, and its start and duration in nanoseconds."""


class _Template:
    """A line whose values are to be filled in."""

    def __init__(self, sample: str) -> None:
        places = [_PLACEHOLDERS.index(found) for found in _ANY.findall(sample)]
        self._format = _ANY.sub("%s", sample.replace("%", "%%"))
        self._pick = itemgetter(*places)

    def fill(self, span: Span, urls: tuple[str | None, ...], known: OpenSpan, start_ns: int, duration_ns: int) -> bytes:
        """Return the line; empty if the values cannot stand there as they are."""
        try:
            texts = [orjson.dumps(masking.mask_text(url)).decode() if url else "" for url in urls]
        except orjson.JSONEncodeError:  # half a character
            return b""
        parent, served = span.parent, known.served
        ids = known.trace_id, known.span_id, known.transaction, f"{parent.span_id:016x}" if parent else ""
        times = start_ns, start_ns // 1000, duration_ns, duration_ns // 1000
        sizes = (served.response_bytes, served.request_bytes) if served else (None, None)
        line = (self._format % self._pick((*ids, known.request_id, *texts, *times, *sizes))).encode()
        return b"" if masking.has_word(line) else line


class SpanTemplates:
    """Encodes spans by `encode`, and a span that is like two before it by the template of those."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._seen: set[tuple[object, ...]] = set()
        self._templates: dict[tuple[object, ...], _Template | None] = {}  # None where the spans are not all alike

    def line(self, span: Span, attributes: dict[str, Any], known: OpenSpan, start_ns: int, duration_ns: int) -> bytes:
        """Return the line of a span."""
        others = attributes.copy()
        urls = others.pop(_URLS[0], None), others.pop(_URLS[1], None), others.pop(_URLS[2], None)
        key = _key_of(span, others, urls, known)
        template = self._templates.get(key)
        values = span, urls, known, start_ns, duration_ns
        if template and (filled := template.fill(*values)):
            return filled
        line = self._encode(span, known, start_ns, duration_ns)
        if key and key not in self._templates:
            if key in self._seen:
                made = self._made(span, attributes, known)
                self._templates[key] = made if made.fill(*values) == line else None
            self._remember(key)
        return line

    def _remember(self, key: tuple[object, ...]) -> None:
        if len(self._seen) >= MAX_TEMPLATES:
            self._seen.clear()
            self._templates.clear()
        self._seen.add(key)

    def _made(self, span: Span, attributes: dict[str, Any], known: OpenSpan) -> _Template:
        sample = _Sample(
            span.name,
            SpanContext(_TRACE, _SPAN, is_remote=False),
            SpanContext(_TRACE, _PARENT, is_remote=False) if span.parent else None,
            attributes | {name: text for name, text in zip(_URLS, _ADDRESSES, strict=True) if attributes.get(name)},
            span.kind,
        )
        span_id = f"{_SPAN:016x}"
        open_sample = known._replace(
            request_id=_REQUEST if known.request_id else "",
            trace_id=f"{_TRACE:032x}",
            span_id=span_id,
            transaction=span_id if known.transaction == known.span_id else f"{_TRANSACTION:016x}",
            served=_with_sizes(known.served) if known.served else None,
        )
        return _Template(self._encode(sample, open_sample, _TIME_NS, _DURATION_NS).decode())


def _with_sizes(served: ServerRequest) -> ServerRequest:
    return replace(
        served,
        response_bytes=served.response_bytes and _RESPONSE_BYTES,
        request_bytes=served.request_bytes and _REQUEST_BYTES,
    )


def _key_of(span: Span, others: dict[str, Any], urls: tuple[Any, ...], known: OpenSpan) -> tuple[object, ...]:
    """Return what spans of one template have in common; empty for a span that is to have none.

    The search for secrets is part of it: what was masked by another one is to be masked anew.
    """
    kind, served = span.kind, known.served
    is_outermost = known.transaction == known.span_id
    if span.status.status_code is not _UNSET or not (kind is _CLIENT or (kind is _SERVER and served and is_outermost)):
        return ()
    if not _SCALARS.issuperset(map(type, others.values())):
        return ()
    shape = [kind is _CLIENT, span.name, span.parent is None, not known.request_id, is_outermost, masking.has_word]
    for url in urls:
        if url is not None and not (type(url) is str and len(url) <= MAX_URL_CHARACTERS):
            return ()
        shape.append(url and 1)
    if served and is_outermost:
        is_odd = served.labels or served.error or served.is_incomplete or served.is_disconnected
        if is_odd or not served.path.isascii() or (served.path and not urls[1]) or (served.query and not urls[2]):
            return ()
        shape += served.status, served.response_bytes and 1, served.request_bytes and 1
    return (*shape, *others, *others.values())
