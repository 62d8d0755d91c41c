"""Dashcam in a Flask application: a request ID for every request, a server span, unhandled errors recorded once.

The server span is made by `opentelemetry-instrumentation-flask`. What that package wraps around the application serves
metrics and costs a third of the whole; where no meter provider is set it is taken off again, and the little that it
does for the span, start time and status, is done here. docs/decisions/0005 tells what else was found in it.
"""

import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import flask
from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.trace import Span, Tracer, TracerProvider
from werkzeug.exceptions import HTTPException
from werkzeug.utils import cached_property

from dashcam.record import correlation, unhandled
from dashcam.record.correlation import HEADER, is_request_id, new_request_id
from dashcam.record.logger import get_logger

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_ID = "HTTP_X_REQUEST_ID"
_REFUSED = "dashcam.refused_request_id_length"
_BEGUN = "opentelemetry-flask.starttime_key"  # where the instrumentation finds the span's start, in nanoseconds

# One that werkzeug leaves as it is: nothing to quote, to decode, to make lower case, or to leave out.
_ORDINARY_URL = re.compile(
    r"https?://[a-z0-9]+(?:[.-][a-z0-9]+)*(?::(?!(?:80|443)/)[0-9]+)?(?:/[A-Za-z0-9._~-]+)*/?(?:\?[A-Za-z0-9._~=&-]+)?"
)

_log = get_logger("dashcam.requests")


def watch(app: flask.Flask, *, is_id_trusted: bool) -> None:
    """Record every request of an application; a second call changes nothing."""
    if "dashcam" in app.extensions:
        return
    app.extensions["dashcam"] = True
    app.request_class = _with_quick_url(app.request_class)
    plain, first_steps = app.wsgi_app, app.before_request_funcs.pop(None, [])
    FlaskInstrumentor().instrument_app(app, tracer_provider=_Tracers(), enable_commenter=False)  # type: ignore[no-untyped-call]
    # The API's own provider, of the module opentelemetry.metrics, measures nothing.
    has_metrics = not type(metrics.get_meter_provider()).__module__.startswith("opentelemetry.metrics")
    app.wsgi_app = _Requests(app.wsgi_app if has_metrics else plain, is_id_trusted=is_id_trusted)  # type: ignore[method-assign]
    # Its step comes first: what the application does before its requests belongs to them, and may answer them.
    app.before_request_funcs[None].extend(first_steps)
    flask.got_request_exception.connect(_note_error, app)


def _with_quick_url(parent: type[flask.Request]) -> type[flask.Request]:
    """The same requests, but an ordinary address is joined at a third of the cost.

    The instrumentation asks for every request's address, to compare it with the excluded ones even where none is.
    """

    class Request(parent):  # type: ignore[misc, valid-type]
        @cached_property
        def url(self) -> str:
            host, query = self.environ.get("HTTP_HOST", ""), self.environ.get("QUERY_STRING", "")
            joined = f"{self.scheme}://{host}{self.root_path}{self.path}{'?' if query else ''}{query}"
            is_ordinary = _ORDINARY_URL.fullmatch(joined) and self.trusted_hosts is None
            return joined if is_ordinary else super().url

    return Request


class _Tracers(TracerProvider):
    """Gives the instrumentation the process's tracer, a little changed."""

    def get_tracer(self, *args: Any, **kwargs: Any) -> Tracer:
        """The tracer of this name."""
        return _Tracer(trace.get_tracer_provider().get_tracer(*args, **kwargs))


class _Tracer(Tracer):
    """Takes the attributes of a span it has started out of the caller's hands.

    The instrumentation would set each of them once more, on the span it has just given them to.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start_span(self, *args: Any, **kwargs: Any) -> Span:
        """The span, as the process's tracer starts it."""
        span = self._tracer.start_span(*args, **kwargs)
        if attributes := kwargs.get("attributes"):
            attributes.clear()
        return span

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        """The same, as the current span."""
        return self._tracer.start_as_current_span(*args, **kwargs)


class _Requests:
    """Gives each request its ID before anything else sees it, and the response a header with it."""

    def __init__(self, app: "WSGIApplication", *, is_id_trusted: bool) -> None:
        self._app = app
        self._is_id_trusted = is_id_trusted

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request_id = environ.get(_ID)
        if request_id is None or not self._is_id_trusted or not is_request_id(request_id):
            if request_id is not None:
                environ[_REFUSED] = len(request_id)
            environ[_ID] = request_id = new_request_id()
        environ[_BEGUN] = time.time_ns()

        context = None

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal context
            told = {name.lower(): value for name, value in headers}
            _note(environ, status, told.get("content-length"))
            if "content-length" not in told:
                context = otel_context.get_current()
            if "x-request-id" in told:
                headers = [header for header in headers if header[0].lower() != "x-request-id"]
            return start_response(status, [*headers, (HEADER, request_id)], exc_info)

        body = self._app(environ, start)
        return body if context is None else _Stream(body, context)


class _Stream:
    """A body that is made while it is sent: what is logged meanwhile belongs to the request."""

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


def _note(environ: "WSGIEnvironment", status: str, length: str | None) -> None:
    """Keep what the request's span shall say; the request is still the current one when its response starts."""
    if served := correlation.served():
        served.status = int(status[:3]) if status[:3].isdecimal() else 0
        served.path, served.query = environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
        served.request_bytes, served.response_bytes = _size(environ.get("CONTENT_LENGTH")), _size(length)
    if (refused := environ.get(_REFUSED)) is not None:
        _log.warning("X-Request-ID not accepted, a new one given", length=refused)


def _size(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 19 else None


def _note_error(_: flask.Flask, exception: BaseException, **__: Any) -> None:
    """Flask says so for each error that no handler takes; flask-restful for each answer below 500 too."""
    if isinstance(exception, HTTPException) and (exception.code or 500) < 500:
        return
    unhandled.record(exception)
