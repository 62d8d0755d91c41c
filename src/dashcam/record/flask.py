"""Records a Flask application: a request ID for every request, a server span, unhandled errors once.

The server span is that of `opentelemetry-instrumentation-flask`: its name, its attributes, its settings. What else the
package does costs a request more than the span; where nobody uses it, `_FastServerSpans` begins and ends the same span.
See docs/decisions/0005.
"""

import weakref
from collections.abc import Callable, Iterable
from inspect import getclosurevars
from time import time_ns
from typing import TYPE_CHECKING, Any, Self

import flask
from opentelemetry import context as otel_context
from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.flask import FlaskInstrumentor, get_default_span_name
from opentelemetry.instrumentation.propagators import get_global_response_propagator
from opentelemetry.instrumentation.wsgi import add_response_attributes, collect_request_attributes, wsgi_getter
from opentelemetry.semconv.attributes.http_attributes import HTTP_ROUTE
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.util.http import (
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST,
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE,
    get_custom_headers,
    parse_excluded_urls,
)
from werkzeug.exceptions import HTTPException

from dashcam.record import correlation, unhandled
from dashcam.record.correlation import HEADER, PROPAGATORS, REQUEST_ID, is_request_id, new_request_id
from dashcam.record.logger import get_logger
from dashcam.record.spans import processors_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from werkzeug.routing import Rule

_ID = "HTTP_X_REQUEST_ID"
_REJECTED_ID_LENGTH = "dashcam.refused_request_id_length"
_START_NS = "opentelemetry-flask.starttime_key"  # where the instrumentation finds the span's start, in nanoseconds
_OPEN = "dashcam.open_span"
_RESPONSE = "dashcam.response"

_log = get_logger("dashcam.requests")


def instrument(app: flask.Flask, *, is_id_trusted: bool) -> None:
    """Record every request of an application; a second call changes nothing."""
    if "dashcam" in app.extensions:
        return
    app.extensions["dashcam"] = True
    first_steps = app.before_request_funcs.pop(None, [])
    plain = app.wsgi_app
    FlaskInstrumentor().instrument_app(app, enable_commenter=False)  # type: ignore[no-untyped-call]
    if app.before_request_funcs[None] and _has_only_spans(app.before_request_funcs[None][-1]):
        own_steps: Any = app.before_request_funcs[None].pop(), app.teardown_request_funcs[None].pop()
        spans = _FastServerSpans(*own_steps)
        app.before_request(spans.begin)
        app.teardown_request(spans.end)
        app.wsgi_app = plain  # type: ignore[method-assign]
    app.wsgi_app = _Requests(app.wsgi_app, is_id_trusted=is_id_trusted)  # type: ignore[method-assign]
    # The span comes first: what the application does before its requests belongs to them, and may answer them.
    app.before_request_funcs[None].extend(first_steps)
    flask.got_request_exception.connect(_record_error, app)


def _has_only_spans(step: Callable[..., Any]) -> bool:
    """Return true if spans are all that the instrumentation makes; `step` is its step before a request."""
    known = getclosurevars(step).nonlocals
    captured = (
        OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST,
        OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE,
    )
    return (
        {"tracer", "sem_conv_opt_in_mode", "excluded_urls"} <= known.keys()
        and not any(map(get_custom_headers, captured))
        and get_global_response_propagator() is None  # type: ignore[no-untyped-call]
        # The API's own provider, of the module opentelemetry.metrics, measures nothing.
        and type(metrics.get_meter_provider()).__module__.startswith("opentelemetry.metrics")
    )


class _FastServerSpans:
    """Begins and ends the span of a request as the instrumentation's own steps do, with what these were made with."""

    def __init__(self, begin: Callable[[], None], end: Callable[[BaseException | None], None]) -> None:
        self._begin, self._end = begin, end
        known = getclosurevars(begin).nonlocals
        self._tracer: trace.Tracer = known["tracer"]
        self._conventions = known["sem_conv_opt_in_mode"]
        is_any_excluded = vars(known["excluded_urls"]) != vars(parse_excluded_urls(""))
        self._excluded = known["excluded_urls"] if is_any_excluded else None
        self._names: dict[tuple[str, str], str] = {}  # one for each route and each method that it allows

    def begin(self) -> None:
        """Make the request's span the current one."""
        if trace.get_current_span() is not trace.INVALID_SPAN:
            self._begin()  # within a span that something around Flask began
            return
        at = flask.globals.request_ctx._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
        if self._excluded and self._excluded.url_disabled(at.request.url):
            return
        environ, rule = at.request.environ, at.request.url_rule
        attributes = collect_request_attributes(environ, self._conventions)
        if rule:
            attributes[HTTP_ROUTE] = rule.rule
        context = _context_of(environ)
        name, start_ns = self._name_of(rule, environ["REQUEST_METHOD"]), environ.get(_START_NS)
        span = self._tracer.start_span(name, context, SpanKind.SERVER, attributes, start_time=start_ns)
        token = otel_context.attach(trace.set_span_in_context(span, context))
        environ[_OPEN] = span, token, weakref.ref(at)

    def _name_of(self, rule: "Rule | None", method: str) -> str:
        if rule is None or method not in (rule.methods or ()):
            return str(get_default_span_name())  # type: ignore[no-untyped-call]
        if (rule.rule, method) not in self._names:
            self._names[rule.rule, method] = str(get_default_span_name())  # type: ignore[no-untyped-call]
        return self._names[rule.rule, method]

    def end(self, error: BaseException | None) -> None:
        """End the span, with the error that the application let through."""
        at = flask.globals.request_ctx._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
        environ = at.request.environ
        if _OPEN not in environ:
            self._end(error)
            return
        span, token, began_at = environ[_OPEN]
        if began_at() is not at:  # a copy, for another thread: the request goes on
            return
        del environ[_OPEN]
        if _RESPONSE in environ and len(processors_of(trace.get_tracer_provider())) != 1:
            # Our processor has it from `_capture_response`; any other gets what the instrumentation would set.
            status, headers = environ[_RESPONSE]
            add_response_attributes(span, status, headers, {}, self._conventions)
        if isinstance(error, Exception):
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        otel_context.detach(token)
        span.end()


def _context_of(environ: "WSGIEnvironment") -> Context:
    """Extract the context of a request; where it carries nothing but the ID of `_Requests`, without a search."""
    if _START_NS in environ and "HTTP_TRACEPARENT" not in environ and propagate.get_global_textmap() is PROPAGATORS:
        return otel_context.set_value(REQUEST_ID, environ[_ID])
    return propagate.extract(environ, getter=wsgi_getter)


class _Requests:
    """Gives each request its ID before anything else sees it, and the response a header with it."""

    def __init__(self, app: "WSGIApplication", *, is_id_trusted: bool) -> None:
        self._app = app
        self._is_id_trusted = is_id_trusted

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request_id = environ.get(_ID)
        if request_id is None or not self._is_id_trusted or not is_request_id(request_id):
            if request_id is not None:
                environ[_REJECTED_ID_LENGTH] = len(request_id)
            environ[_ID] = request_id = new_request_id()
        environ[_START_NS] = time_ns()

        context = None

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal context
            environ[_RESPONSE] = status, headers
            sent = {name.lower(): value for name, value in headers}
            _capture_response(environ, status, sent.get("content-length"))
            if "content-length" not in sent:
                context = otel_context.get_current()
            if "x-request-id" in sent:
                headers = [header for header in headers if header[0].lower() != "x-request-id"]
            return start_response(status, [*headers, (HEADER, request_id)], exc_info)

        body = self._app(environ, start)
        return body if context is None else _Stream(body, context)


class _Stream:
    """A body that is made while it is sent: what it logs belongs to the request."""

    def __init__(self, body: Iterable[bytes], context: Context) -> None:
        self._body = body
        self._parts = iter(body)
        self._context = context

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        if otel_context.get_current() is self._context:  # it keeps its context by itself
            return next(self._parts)
        token = otel_context.attach(self._context)
        try:
            return next(self._parts)
        finally:
            otel_context.detach(token)

    def close(self) -> None:
        """Close the body."""
        if hasattr(self._body, "close"):
            self._body.close()


def _capture_response(environ: "WSGIEnvironment", status: str, length: str | None) -> None:
    """Keep what the request's span is to say; the request is still the current one when its response starts."""
    if served := correlation.current_request():
        served.status = int(status[:3]) if status[:3].isdecimal() else 0
        served.path, served.query = environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
        served.request_bytes, served.response_bytes = _size(environ.get("CONTENT_LENGTH")), _size(length)
    if (rejected_length := environ.get(_REJECTED_ID_LENGTH)) is not None:
        _log.warning("X-Request-ID not accepted, a new one given", length=rejected_length)


def _size(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 19 else None


def _record_error(_: flask.Flask, exception: BaseException, **__: Any) -> None:
    """Flask sends this for each error that no handler takes; flask-restful also for each answer below 500."""
    if isinstance(exception, HTTPException) and (exception.code or 500) < 500:
        return
    unhandled.record(exception)
