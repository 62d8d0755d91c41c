"""Records a WSGI application: a request ID in and out, a server span from the request to the end of the body.

The protocol is that of PEP 3333. The span has the name and the attributes of `opentelemetry-instrumentation-wsgi`, by
the settings of OpenTelemetry: excluded URLs, captured headers, response propagators.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, cast
from wsgiref.util import request_uri

import opentelemetry.instrumentation.wsgi as otel_wsgi
from opentelemetry.context import set_value
from opentelemetry.instrumentation.propagators import get_global_response_propagator
from opentelemetry.semconv.attributes.client_attributes import CLIENT_ADDRESS, CLIENT_PORT
from opentelemetry.semconv.attributes.url_attributes import URL_PATH, URL_QUERY
from opentelemetry.trace import Tracer
from opentelemetry.util.http import (
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST,
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE,
    ExcludeList,
    get_custom_headers,
    get_excluded_urls,
    parse_excluded_urls,
)

from dashcam.record import recorder, unhandled
from dashcam.record.correlation import HEADER, REQUEST_ID
from dashcam.record.current import attach, detach, get_current
from dashcam.record.recorder import Service
from dashcam.record.server import ServerSpan, accept_request_id, extract, http_conventions, server_tracer
from dashcam.record.tracer import LightSpan

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SERVER_SPAN = "dashcam.server_span"  # where an environment holds the `ServerSpan` of its request
HEADER_KEY = "HTTP_X_REQUEST_ID"
MAX_SIZE_DIGITS = 18
MAX_SHARED = 256  # different heads of requests of which the attributes are kept
# What of an environment is the same for many requests.
_SHARED = ("REQUEST_METHOD", "wsgi.url_scheme", "HTTP_HOST", "SERVER_PORT", "HTTP_USER_AGENT", "SERVER_PROTOCOL")
_STATUSES_WITHOUT_BODY = {204, 304}


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a recorded application.

    `service` is who serves its requests, None for the service of the process. Without `is_caller_trusted`, a caller's
    ids are replaced. `package` is the instrumentation of OpenTelemetry by whose settings URLs are excluded, unless
    `excluded` is such a list. With `has_package`, that instrumentation itself runs inside, and describes the response.
    """

    service: Service | None = None
    is_caller_trusted: bool = True
    package: str = "wsgi"
    has_package: bool = False
    excluded: ExcludeList | None = None


def record(app: "WSGIApplication", *, service: Service | None = None, is_caller_trusted: bool) -> "RecordedApp":
    """Return the application with a record of each request; one that has a record already as it is."""
    if isinstance(app, RecordedApp):
        return app
    return RecordedApp(app, server_tracer(otel_wsgi), Options(service, is_caller_trusted))


class RecordedApp:
    """A WSGI application whose requests are recorded."""

    def __init__(self, app: "WSGIApplication", tracer: Tracer, options: Options) -> None:
        self._app = app
        self.options = options
        self.conventions = http_conventions()
        self._is_stable = getattr(self.conventions, "value", "") == "http"
        self.captures_response = bool(get_custom_headers(OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE))
        self._tracer = tracer
        excluded = options.excluded or get_excluded_urls(options.package.upper())
        has_excluded = vars(excluded) != vars(parse_excluded_urls(""))
        self._is_excluded = excluded.url_disabled if has_excluded else None
        self._captures_request = bool(get_custom_headers(OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST))

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        outer = environ.get(SERVER_SPAN)
        if outer and outer.is_open and outer.service == self.options.service:
            return self._app(environ, start_response)
        is_trusted = self.options.is_caller_trusted or outer is not None
        request_id = accept_request_id(environ.get(HEADER_KEY), is_trusted=is_trusted)
        environ[HEADER_KEY] = request_id.accepted
        server = self._begin_safely(environ, request_id.accepted)
        if server is None:
            return self._serve_unrecorded(environ, start_response, request_id.accepted)
        if request_id.rejected_length is not None:
            server.warn_of_rejected_id(request_id.rejected_length)
        if asked := environ.get("HTTP_X_DASHCAM_KEEP"):
            server.heed(asked)
        response = _Response(self, server, environ, start_response)
        token = attach(server.context)
        try:
            parts = self._app(environ, response.start)
            if server.answered_error is not None:
                server.fail(server.answered_error)
        except BaseException as error:
            response.fail(error)
            raise
        finally:
            detach(token)
        return response.body(parts)

    def _begin_safely(self, environ: "WSGIEnvironment", request_id: str) -> ServerSpan | None:
        try:
            is_excluded = self._is_excluded is not None and self._is_excluded(request_uri(environ))
            return None if is_excluded else self.begin(environ, request_id)
        except Exception:  # noqa: BLE001 — a request that cannot be described is served all the same
            recorder.drop("error")
            return None

    def begin(self, environ: "WSGIEnvironment", request_id: str) -> ServerSpan:
        """Begin the span of a request, and leave it in its environment."""
        service, is_trusted = self.options.service, self.options.is_caller_trusted
        has_trace = "HTTP_TRACEPARENT" in environ
        getter = otel_wsgi.wsgi_getter
        context = extract(environ, getter, request_id, service, is_trusted=is_trusted, has_trace=has_trace)
        attributes = _attributes_of(environ, self.conventions, is_stable=self._is_stable)
        path = environ.get("PATH_INFO", "")
        name, has_path = _name_of_method(environ.get("REQUEST_METHOD", ""))
        name = f"{name} {path.strip()}".rstrip() if has_path else name
        server = ServerSpan(self._tracer, name, attributes, context)
        if self._captures_request and server.is_outermost:
            server.span.set_attributes(otel_wsgi.collect_custom_request_headers_attributes(environ))
        request = server.request
        request.path, request.query = path if path.isascii() else _text(path), environ.get("QUERY_STRING", "")
        if size := environ.get("CONTENT_LENGTH"):
            request.request_bytes = _size(size)
        environ[SERVER_SPAN] = server
        return server

    def _serve_unrecorded(
        self, environ: "WSGIEnvironment", start_response: "StartResponse", request_id: str
    ) -> Iterable[bytes]:
        environ[SERVER_SPAN] = None

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            return start_response(status, _with_id(headers, request_id), *exc_info)

        token = attach(set_value(REQUEST_ID, request_id))
        try:
            return self._app(environ, start)
        finally:
            detach(token)


def _attributes_of(environ: "WSGIEnvironment", conventions: Any, *, is_stable: bool) -> dict[str, Any]:
    """Return the attributes that OpenTelemetry's package has for a request; most are the same for many requests."""
    get = environ.get
    if not is_stable or "REMOTE_HOST" in environ:
        return cast("dict[str, Any]", otel_wsgi.collect_request_attributes(environ, conventions))
    attributes = _shared_attributes(*map(get, _SHARED)).copy()
    if get("RAW_URI", get("REQUEST_URI")):
        if path := get("PATH_INFO"):
            attributes[URL_PATH] = path
        if query := get("QUERY_STRING"):
            attributes[URL_QUERY] = query
    if address := get("REMOTE_ADDR"):
        attributes[CLIENT_ADDRESS] = address
    if (port := get("REMOTE_PORT")) and str(port).isdecimal():
        attributes[CLIENT_PORT] = int(port)
    return attributes


@lru_cache(MAX_SHARED)
def _shared_attributes(*values: Any) -> dict[str, Any]:
    environ = {name: value for name, value in zip(_SHARED, values, strict=True) if value is not None}
    return cast("dict[str, Any]", otel_wsgi.collect_request_attributes(environ, http_conventions()))


@lru_cache(MAX_SHARED)
def _name_of_method(method: str) -> tuple[str, bool]:
    """Return the name that OpenTelemetry's package gives to a request's span, and whether the path is a part of it."""
    names = [otel_wsgi.get_default_span_name({"REQUEST_METHOD": method, "PATH_INFO": path}) for path in ("", "/")]
    return names[0], names[0] != names[1]


class _Response:
    """The response to a request, from its status to the last byte that the server took."""

    def __init__(
        self, app: RecordedApp, server: ServerSpan, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> None:
        self._app = app
        self._server = server
        self._environ = environ
        self._start_response = start_response
        self._outer_error = sys.exception()
        self._length: int | None = None
        self._sent = 0  # bytes that the server has sent: it asked for more
        self._pending = 0  # bytes that it may be sending
        self._is_begun = self._is_complete = False
        # Of werkzeug's test client, the span ends with the last part: it closes no response that a test leaves open.
        self._is_test = getattr(start_response, "__module__", "") == "werkzeug.test"

    def start(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        """Pass status and headers on, with the request ID among them, as `start_response` of PEP 3333."""
        self._server.request.status = int(status[:3]) if status[:3].isdecimal() else 0
        if not self._app.options.has_package:
            headers = self._describe(status, headers)
        given = {name.lower(): value for name, value in headers}
        self._length = _size(given.get("content-length"))
        request_id = self._environ[HEADER_KEY]
        headers = _with_id(headers, request_id) if "x-request-id" in given else [*headers, (HEADER, request_id)]
        return partial(self._write, self._start_response(status, headers, *exc_info))

    def _write(self, write: Callable[[bytes], object], data: bytes) -> object:
        written = write(data)
        self._sent, self._is_begun = self._sent + len(data), True
        return written

    def _describe(self, status: str, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Describe the response on the span for whoever else looks at it; returns the headers that are to be sent."""
        span = self._server.span
        if not (self._server.is_outermost and isinstance(span, LightSpan)) and " " in status:
            otel_wsgi.add_response_attributes(span, status, headers, {}, self._app.conventions)
        if self._app.captures_response:
            span.set_attributes(otel_wsgi.collect_custom_response_headers_attributes(headers))
        if propagator := get_global_response_propagator():  # type: ignore[no-untyped-call]
            headers = list(headers)
            propagator.inject(headers, setter=otel_wsgi.default_response_propagation_setter)
        return headers

    def body(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return the body as an iterable of the same kind, whose end is the end of the span."""
        wrapper = self._environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(body, wrapper):
            return cast("Iterable[bytes]", self._file(body))
        return _SizedBody(self, body) if hasattr(body, "__len__") else _Body(self, body)

    def _file(self, file: Any) -> Any:
        """Return a file of the server's own kind, which may send it without a look at it; its `close` ends the span."""
        self._is_complete, self._pending = True, self._length or 0
        close = getattr(file, "close", tuple)
        try:
            file.close = lambda: self.close(close)
        except AttributeError:  # not a Python class: when it is closed, nobody is told
            self.end()
        return file

    def parts(self, body: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the parts of a body, each made in the context that the part before it left."""
        context, parts = self._server.context, None
        while True:
            token = attach(context)
            try:
                parts = parts or iter(body)
                part = next(parts)
            except StopIteration:
                self._is_complete = True
                if self._is_test:
                    self.end()
                return
            except BaseException as error:
                self.fail(error)
                raise
            finally:
                context = get_current()
                detach(token)
            self._is_begun = True
            self._pending = len(part) if isinstance(part, bytes | bytearray) else 0
            if self._is_test and self._sent + self._pending == self._length:
                self.end()
            yield part
            self._sent, self._pending = self._sent + self._pending, 0

    def close(self, close: Callable[[], object]) -> None:
        """Close the body, and end the span by what the server met while it sent it."""
        problem = sys.exception()
        token = attach(self._server.context)
        try:
            close()
        except BaseException as error:
            self.fail(error)
            raise
        finally:
            detach(token)
            self.end(problem)

    def fail(self, error: BaseException) -> None:
        """End the span with an exception of the application.

        A server sends the status with the first part of the body: without one, it answers by itself (PEP 3333).
        """
        if not self._server.is_open:  # closing the body failed for a test client, whose span has ended
            unhandled.record(error)
            return
        self._server.fail(error)
        self._server.request.is_incomplete = True
        if not self._is_begun:
            self._server.request.status = 0
        self._end_span()

    def end(self, problem: BaseException | None = None, *, is_closed: bool = True) -> None:
        """End the span, with the exception that the server met, if any; `is_closed` if the server closed the body."""
        if not self._server.is_open:
            return
        request, has_met = self._server.request, problem is not None and problem is not self._outer_error
        # The client has gone; waitress has an exception of its own for that.
        if has_met and (isinstance(problem, OSError) or type(problem).__name__ == "ClientDisconnected"):
            request.is_incomplete = request.is_disconnected = True
        elif has_met and not isinstance(problem, StopIteration | GeneratorExit):
            self._server.fail(cast("BaseException", problem))
        elif not self._is_complete and self._length != self._sent + self._pending and self._has_body():
            request.is_incomplete, request.is_disconnected = True, is_closed
        self._end_span()

    def _end_span(self) -> None:
        request = self._server.request
        if request.status:
            sent = self._sent if request.is_incomplete else self._sent + self._pending
            request.response_bytes = sent if self._has_body() else 0
        self._server.end()

    def _has_body(self) -> bool:
        is_head = self._environ.get("REQUEST_METHOD") == "HEAD"
        return not is_head and self._server.request.status not in _STATUSES_WITHOUT_BODY


class _Body:
    """A body that is made part by part."""

    __slots__ = ("_body", "_parts", "_response")

    def __init__(self, response: _Response, body: Iterable[bytes]) -> None:
        self._response, self._body = response, body
        self._parts = response.parts(body)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._parts)

    def __del__(self) -> None:
        self._response.end(is_closed=False)  # a server that does not close what it was given

    def close(self) -> None:
        """Close the body."""
        self._response.close(getattr(self._body, "close", tuple))


class _SizedBody(_Body):
    """A body of so many parts: a server may ask for their number, to send a length."""

    __slots__ = ()

    def __iter__(self) -> Iterator[bytes]:
        return self._response.parts(self._body)

    def __len__(self) -> int:
        return len(cast("Sized", self._body))


def _with_id(headers: list[tuple[str, str]], request_id: str) -> list[tuple[str, str]]:
    others = [header for header in headers if header[0].lower() != "x-request-id"]
    return [*others, (HEADER, request_id)]


def _size(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) <= MAX_SIZE_DIGITS else None


def _text(path: str) -> str:
    """Return a path of PEP 3333, bytes as the characters of Latin-1, as the UTF-8 that it is."""
    return path if path.isascii() else path.encode("latin-1", "replace").decode("utf-8", "replace")
