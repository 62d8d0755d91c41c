"""The server span of a request, by whatever server the request comes: WSGI (Flask, Django) or ASGI.

request_id = accept_request_id(header, is_trusted=True)
context = extract(carrier, getter, request_id, service, is_trusted=True)
server = ServerSpan(tracer, "GET /cars", attributes, context)
token = attach(server.context)
try:
    ...  # the application runs; what it answers is kept on `server.request`
except BaseException as error:
    server.fail(error)
    raise
finally:
    detach(token)
    server.end()  # when the last byte of the body has been sent
"""

import logging
from contextlib import suppress
from types import ModuleType
from typing import Any, TypeVar

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.instrumentation._semconv import _get_schema_url
from opentelemetry.propagators.textmap import Getter
from opentelemetry.semconv.attributes.http_attributes import HTTP_ROUTE
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from dashcam import forks
from dashcam.record.context.correlation import (
    PROPAGATORS,
    REQUEST_ID,
    SERVICE,
    ServerRequest,
    is_request_id,
    new_request_id,
    open_spans,
    parent_of,
)
from dashcam.record.context.current import SPAN, attach, detach, get_current
from dashcam.record.context.service import Service
from dashcam.record.logs import keep, unhandled
from dashcam.record.logs.logger import spool_call
from dashcam.record.spans.conventions import http_conventions
from dashcam.record.spans.recording import mark_request
from dashcam.record.spans.tracer import LightSpan, LightTracer, get_tracer
from dashcam.record.values.traces import describe

_CarrierT = TypeVar("_CarrierT")
_warn = spool_call(logging.WARNING, "dashcam.requests")


def accept_request_id(header: str | None, *, is_trusted: bool) -> str:
    """Return the caller's request ID, or a new one if it has none, an invalid one, or is not trusted."""
    forks.begin_child()  # else two workers that were forked in C begin with the same IDs
    return header if header is not None and is_trusted and is_request_id(header) else new_request_id()


def server_tracer(package: ModuleType) -> Tracer:
    """Return the tracer that one of OpenTelemetry's instrumentation packages makes its server spans with."""
    schema = _get_schema_url(http_conventions())
    return get_tracer(package.__name__, package.__version__, schema_url=schema)


def extract(  # noqa: PLR0913 — one call for each request
    carrier: _CarrierT,
    getter: Getter[_CarrierT],
    request_id: str,
    service: Service | None,
    *,
    is_trusted: bool,
    traceparent: str | None,
) -> dict[str, Any]:
    """Return what the context of a request has: its ID, its service, and the trace of a caller that is trusted.

    Within a span of somebody else, the request is a part of that span's trace. `traceparent` is the carrier's.
    """
    context = get_current()
    is_ours = propagate.get_global_textmap() is PROPAGATORS
    if is_trusted and (traceparent is not None or not is_ours) and not _has_span(context):
        if is_ours and traceparent and not getter.get(carrier, "tracestate") and (parent := parent_of(traceparent)):
            return {**context, SPAN: parent, REQUEST_ID: request_id, SERVICE: service}
        context = propagate.extract(carrier, context, getter)
    return {**context, REQUEST_ID: request_id, SERVICE: service}


def _has_span(context: Context) -> bool:
    return SPAN in context and trace.get_current_span(context) is not trace.INVALID_SPAN


def _is_recorded(span: Span) -> bool:
    """Return true if the span is open and in the record, as none of a provider that is not the SDK's is."""
    return span.get_span_context().span_id in open_spans


class ServerSpan:
    """The server span of one request, from its arrival to the last byte of its body.

    Run the application in `context`, and keep what it answers on `request`. `answered_error` is the exception that it
    answers by itself, if any. Within a recorded span of somebody else, it is an internal span of that one's trace.
    One that `is_light` is read by the spool only, which takes the answer from `request`.
    """

    __slots__ = (
        *("_attributes", "_known", "answered_error", "context", "is_light", "is_open", "is_outermost"),
        *("request", "service", "span"),
    )

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        attributes: dict[str, Any],
        context: dict[str, Any],
    ) -> None:
        now = get_current()
        self.is_outermost = SPAN not in now or not _is_recorded(trace.get_current_span(now))
        kind = SpanKind.SERVER if self.is_outermost else SpanKind.INTERNAL
        if isinstance(tracer, LightTracer) and tracer.provider.is_light:
            self.is_light = self.is_outermost
            self.span: Span = LightSpan(tracer, name, kind, attributes, context)
            span_id = self.span.span_id
        else:
            self.is_light = False
            self.span = tracer.start_span(name, Context(context), kind, attributes)
            span_id = self.span.get_span_context().span_id
        self._attributes = attributes
        self.service = context.get(SERVICE)
        context[SPAN] = self.span
        self.context = Context(context)
        self._known = known = open_spans.get(span_id)
        self.request = (known.served if known and self.is_outermost else None) or ServerRequest()
        self.answered_error: BaseException | None = None
        self.is_open = True

    def warn_of_rejected_id(self, length: int) -> None:
        """Record that the caller's request ID was replaced; nothing of it is recorded but its length."""
        token = attach(self.context)
        _warn("X-Request-ID rejected and replaced by a new one", length=length)
        detach(token)

    def heed(self, header: str) -> None:
        """Keep the request if its caller, who asks for it, may."""
        if not keep.heed(header, self.context):
            self.request.labels[keep.REFUSED] = True

    def set_route(self, name: str, route: str) -> None:
        """Name the span by the route that the request took, such as `GET /cars/<id>`; also if it is aborted."""
        span: Any = self.span
        attributes = None
        if self.is_light and span.end_time is None:
            span.name, attributes = name, self._attributes  # which are those of the span
            attributes[HTTP_ROUTE] = route
        else:
            self.name_by_route(name, route)
            if self.is_outermost and span.is_recording():
                attributes = span.attributes.copy()
        if attributes and self._known:
            mark_request(span, attributes, self._known, self.request)

    def name_by_route(self, name: str, route: str) -> None:
        """Name the span by the route, where it is known only when the request is about to end."""
        self.span.update_name(name)
        self.span.set_attribute(HTTP_ROUTE, route)

    def fail(self, error: BaseException) -> None:
        """Record the exception that ended the request, once: as an event of its own and on the span."""
        if not self.is_open or self.request.error is error:
            return
        self.request.error = error
        token = attach(self.context)
        unhandled.record(error)
        detach(token)
        self.span.set_status(Status(StatusCode.ERROR, describe(error)))
        with suppress(Exception):  # the SDK asks for the exception's text, and that may raise
            self.span.record_exception(error)

    def end(self) -> None:
        """End the span; a second call changes nothing."""
        if self.is_open:
            self.is_open = False
            self.span.end()
