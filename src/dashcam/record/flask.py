"""Dashcam in a Flask application: a request ID for every request, a server span, unhandled errors recorded once.

The server span is made by `opentelemetry-instrumentation-flask`. What that package wraps around the application serves
metrics and costs a third of the whole; where no meter provider is set it is taken off again, and the little that it
does for the span, start time and status, is done here.
"""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import flask
from opentelemetry import context as otel_context
from opentelemetry import metrics
from opentelemetry.context import Context
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from werkzeug.exceptions import HTTPException

from dashcam.record import correlation, unhandled
from dashcam.record.correlation import HEADER, Served, is_request_id, new_request_id
from dashcam.record.logger import get_logger

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_ID = "HTTP_X_REQUEST_ID"
_REFUSED = "dashcam.refused_request_id_length"
_BEGUN = "opentelemetry-flask.starttime_key"  # where the instrumentation finds the span's start, in nanoseconds

_log = get_logger("dashcam.requests")


def watch(app: flask.Flask, *, is_id_trusted: bool) -> None:
    """Record every request of an application; a second call changes nothing."""
    if "dashcam" in app.extensions:
        return
    app.extensions["dashcam"] = True
    plain, first_steps = app.wsgi_app, app.before_request_funcs.pop(None, [])
    FlaskInstrumentor().instrument_app(app, enable_commenter=False)  # type: ignore[no-untyped-call]
    # The API's own provider, of the module opentelemetry.metrics, measures nothing.
    has_metrics = not type(metrics.get_meter_provider()).__module__.startswith("opentelemetry.metrics")
    app.wsgi_app = _Requests(app.wsgi_app if has_metrics else plain, is_id_trusted=is_id_trusted)  # type: ignore[method-assign]
    app.before_request(_note_request)
    # Ours come first: what the application does before its requests belongs to them, and may answer them.
    app.before_request_funcs[None].extend(first_steps)
    flask.got_request_exception.connect(_note_error, app)


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
            kept = [header for header in headers if header[0].lower() != "x-request-id"]
            if not _note_response(status, kept):
                context = otel_context.get_current()
            return start_response(status, [*kept, (HEADER, request_id)], exc_info)

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


def _note_response(status: str, headers: list[tuple[str, str]]) -> bool:
    """Put what the response's head says on the request; whether it says how long the body is."""
    served = correlation.served() or Served()
    served.status = int(status[:3]) if status[:3].isdecimal() else 0
    for name, value in headers:
        if name.lower() == "content-length" and value.isdecimal():
            served.response_bytes = int(value)
    return served.response_bytes is not None


def _note_request() -> None:
    """After the instrumentation's own step: the request's span is the current one."""
    if served := correlation.served():
        served.path = flask.request.path
        served.query = flask.request.query_string.decode("latin-1")
        served.request_bytes = flask.request.content_length
    if _REFUSED in flask.request.environ:
        _log.warning("X-Request-ID not accepted, a new one given", length=flask.request.environ[_REFUSED])


def _note_error(_: flask.Flask, exception: BaseException, **__: Any) -> None:
    """Flask says so for each error that no handler takes; flask-restful for each answer below 500 too."""
    if isinstance(exception, HTTPException) and (exception.code or 500) < 500:
        return
    unhandled.record(exception)
