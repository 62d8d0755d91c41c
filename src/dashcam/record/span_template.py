"""Lines of client spans that are alike: the JSON of one is kept, and those that follow fill in what differs.

A statement or a call that comes again and again gives lines that differ in ids, in times and perhaps in an address.
docs/decisions/0005 has the microseconds.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, Protocol

import orjson
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

from dashcam.record import masking
from dashcam.record.correlation import OpenSpan

MAX_TEMPLATES: Final = 512
MAX_URL_CHARACTERS = 2_000
_URL = "url.full"
_SCALARS = frozenset({str, int})  # of which no two are equal and have other JSON, as 1 and True have
_CLIENT, _UNSET = SpanKind.CLIENT, StatusCode.UNSET

# What stands for each value in the line that a template is made of. One that is in the line by chance is noticed.
_SPAN, _TRACE, _TRANSACTION, _PARENT = (
    0x9E3779B97F4A7C15,
    0xC2B2AE3D27D4EB4F165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)
_REQUEST, _ADDRESS, _TIME_NS, _DURATION_NS = (
    "9f4a7c15-85eb-ca77",
    "http://9f4a7c15.ca77/",
    1618033988749894848,
    27182818284590452,
)
# In the order of the values that `_Template.fill` is given; the longer of two numbers that begin alike comes first.
_PLACEHOLDERS = (
    f"{_TRACE:032x}",
    f"{_SPAN:016x}",
    f"{_TRANSACTION:016x}",
    f"{_PARENT:016x}",
    _REQUEST,
    f'"{_ADDRESS}"',
    str(_TIME_NS),
    str(_TIME_NS // 1000),
    str(_DURATION_NS),
    str(_DURATION_NS // 1000),
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
    kind: SpanKind = _CLIENT
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

    def fill(self, known: OpenSpan, parent: SpanContext | None, url: str, start_ns: int, duration_ns: int) -> bytes:
        """Return the line; empty if the values cannot stand there as they are."""
        try:
            address = orjson.dumps(masking.mask_text(url)).decode() if url else ""
        except orjson.JSONEncodeError:  # half a character
            return b""
        ids = known.trace_id, known.span_id, known.transaction, f"{parent.span_id:016x}" if parent else ""
        times = start_ns, start_ns // 1000, duration_ns, duration_ns // 1000
        line = (self._format % self._pick((*ids, known.request_id, address, *times))).encode()
        return b"" if masking.has_word(line) else line


class SpanTemplates:
    """Encodes spans by `encode`, and a client span that is like two before it by the template of those."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._seen: set[tuple[object, ...]] = set()
        self._templates: dict[tuple[object, ...], _Template | None] = {}  # None where the spans are not all alike

    def line(self, span: Span, attributes: dict[str, Any], known: OpenSpan, start_ns: int, duration_ns: int) -> bytes:
        """Return the line of a span."""
        key = _key_of(span, attributes, known)
        template = self._templates.get(key)
        values = known, span.parent, attributes.get(_URL, ""), start_ns, duration_ns
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
            attributes | {_URL: _ADDRESS} if _URL in attributes else attributes,
        )
        span_id = f"{_SPAN:016x}"
        open_sample = known._replace(
            request_id=_REQUEST if known.request_id else "",
            trace_id=f"{_TRACE:032x}",
            span_id=span_id,
            transaction=span_id if known.transaction == known.span_id else f"{_TRANSACTION:016x}",
        )
        return _Template(self._encode(sample, open_sample, _TIME_NS, _DURATION_NS).decode())


def _key_of(span: Span, attributes: dict[str, Any], known: OpenSpan) -> tuple[object, ...]:
    """Return what spans of one template have in common; empty for a span that is to have none."""
    if span.kind is not _CLIENT or span.status.status_code is not _UNSET:
        return ()
    others = attributes.copy()
    url = others.pop(_URL, "")
    if not _SCALARS.issuperset(map(type, others.values())) or type(url) is not str or len(url) > MAX_URL_CHARACTERS:
        return ()
    is_outermost = known.transaction == known.span_id
    # With the search in use: what was masked by another one is to be masked anew.
    shape = span.name, span.parent is None, not known.request_id, is_outermost, not url, masking.has_word
    return (*shape, *others, *others.values())
