"""The ids of a line: the request ID, carried by an OpenTelemetry propagator, and those of the current span.

All of them are in OpenTelemetry's context, so they go wherever that goes.
"""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.trace import INVALID_SPAN_ID, NonRecordingSpan, SpanContext, TraceFlags, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from dashcam import forks
from dashcam.record.context.service import Service
from dashcam.spool.line import encode_ids

HEADER: Final = "X-Request-ID"
REQUEST_ID: Final = otel_context.create_key("dashcam-request-id")
JOB: Final = otel_context.create_key("dashcam-job")  # marks the root span of a job while it is begun
SERVICE: Final = otel_context.create_key("dashcam-service")  # the service that a request is served for

# Not those of the `random` module: a program may seed them, and count on what they give.
_numbers = Random()  # noqa: S311 — nobody need be kept from guessing an ID
random_bits: Final = _numbers.getrandbits
forks.in_child(_numbers.seed)

_UUID_MASK = 0xF << 76 | 0b11 << 62  # where a UUID says its version and its variant
_UUID_VERSION_7 = 0x7 << 76 | 0b10 << 62
_TRACEPARENT = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_VALID = re.compile(r"[A-Za-z0-9._+/=-]{1,200}")


def is_request_id(text: str) -> bool:
    """Return true if a caller's request ID can be kept: 1 to 200 of letters, digits and `. _ + / = -`."""
    return _VALID.fullmatch(text) is not None


def uuid_of(time_ms: int, bits: int, /) -> str:
    """Return the UUID of version 7 (RFC 9562, section 5.7) of a time in milliseconds and 80 random bits."""
    digits = ((time_ms & (1 << 48) - 1) << 80 | bits & ~_UUID_MASK | _UUID_VERSION_7).to_bytes(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def new_request_id() -> str:
    """Return a new UUID of version 7, which sorts by time."""
    return uuid_of(time.time_ns() // 1_000_000, random_bits(80))


def request_id() -> str:
    """Return the ID of the current request or job; an empty string outside of one.

    >>> problem = {"status": 500, "request_id": dashcam.request_id()}
    """
    return str(otel_context.get_value(REQUEST_ID) or "")


def parent_of(traceparent: str) -> NonRecordingSpan | None:
    """Return the span that a usual `traceparent` names; None for any other, which OpenTelemetry's propagator reads.

    Most requests within a system have one: https://www.w3.org/TR/trace-context/#traceparent-header

    >>> parent_of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").get_span_context().span_id
    67667974448284343
    """
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return None
    trace_id, span_id, flags = match.groups()
    named = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return NonRecordingSpan(named) if named.is_valid else None


class RequestIdPropagator(TextMapPropagator):
    """Carries the request ID in `X-Request-ID`, beside the W3C headers."""

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """Return the context with the carrier's request ID, or unchanged if that is missing, repeated or invalid."""
        values = getter.get(carrier, HEADER) or []
        if len(values) == 1 and is_request_id(values[0]):
            return otel_context.set_value(REQUEST_ID, values[0], context)
        return otel_context.get_current() if context is None else context

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        """Send the context's request ID along."""
        if value := otel_context.get_value(REQUEST_ID, context):
            setter.set(carrier, HEADER, str(value))

    @property
    def fields(self) -> set[str]:
        """The header that `inject` sets."""
        return {HEADER}


# Where nobody has set up OpenTelemetry. No baggage: what a caller put there would go out on every call, to anybody.
PROPAGATORS: Final = CompositePropagator([TraceContextTextMapPropagator(), RequestIdPropagator()])


@dataclass(slots=True)
class ServerRequest:
    """A request that this process serves: what its server span says beyond OpenTelemetry's attributes.

    `error` is the exception that ended it. It `is_incomplete` if the body was not sent to its end, `is_disconnected` if
    that was the client's doing, and `is_broken` if the application failed in the middle of it.
    """

    start: bytes = b""
    labels: dict[str, Any] = field(default_factory=dict)
    status: int = 0
    path: str = ""
    query: str = ""
    request_bytes: int | None = None
    response_bytes: int | None = None
    error: BaseException | None = None
    is_incomplete: bool = False
    is_disconnected: bool = False
    is_broken: bool = False


class OpenSpan(NamedTuple):
    """A span that has not ended: its ids in hexadecimal digits, its transaction, and the request it serves, if any.

    `parent_id` is empty without a parent; `monotonic_start_ns` is by the clock that never jumps, 0 if not known;
    `service` is the one of the application that serves the request, `outer_error` the exception that was handled
    meanwhile, and `start_ns` the time when it began, as a line can have it.
    """

    request_id: str
    trace_id: str
    span_id: str
    transaction: str
    parent_id: str
    served: ServerRequest | None
    monotonic_start_ns: int
    service: Service | None
    outer_error: BaseException | None
    start_ns: int

    @property
    def fragment(self) -> bytes:
        """The ids as the log lines of the span have them."""
        return encode_ids(self.request_id, self.trace_id, self.span_id, self.transaction)


# The open spans that this process began, by span id; what is still in it when the process dies was aborted.
open_spans: dict[int, OpenSpan] = {}


def ids_in(context: Context) -> bytes:
    """Return the ids of a context as the middle of a line: `,"http":{…},"trace":{…},…`, empty if it has none."""
    identity = get_current_span(context).get_span_context()
    if open_span := open_spans.get(identity.span_id):
        return open_span.fragment
    carried = str(otel_context.get_value(REQUEST_ID, context) or "")
    if identity.span_id == INVALID_SPAN_ID:
        return encode_ids(carried, "", "", "")
    return encode_ids(carried, f"{identity.trace_id:032x}", f"{identity.span_id:016x}", "")


def current_request() -> ServerRequest | None:
    """Return the request that the current context serves in this process, however deep in it."""
    open_span = open_spans.get(get_current_span().get_span_context().span_id)
    return open_span.served if open_span else None


def current_transaction() -> str:
    """Return the id of the outermost span of this process that the current context is within, empty outside of one."""
    open_span = open_spans.get(get_current_span().get_span_context().span_id)
    return open_span.transaction if open_span else ""


def open_requests(is_own: Callable[[Service | None], bool]) -> Iterable[bytes]:
    """Return the start lines of the requests that this process still serves for the services that `is_own` accepts."""
    served = [(each.served, each.service) for each in list(open_spans.values()) if each.served]
    return [request.start for request, service in served if request.start and is_own(service)]


def _leave_requests_to_parent() -> None:
    """In a forked child: what the parent serves is not aborted when the child ends."""
    for open_span in open_spans.values():
        if open_span.served:
            open_span.served.start = b""


forks.in_child(_leave_requests_to_parent)
