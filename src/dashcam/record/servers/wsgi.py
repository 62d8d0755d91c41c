"""Records a WSGI application: a request ID in and out, a server span from the request to the end of the body.

The protocol is that of PEP 3333. The span has the name and the attributes of `opentelemetry-instrumentation-wsgi`, by
the settings of OpenTelemetry: excluded URLs, captured headers, response propagators.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from wsgiref.util import request_uri

import opentelemetry.instrumentation.wsgi as otel_wsgi
from opentelemetry.context import set_value
from opentelemetry.instrumentation.propagators import get_global_response_propagator
from opentelemetry.trace import Tracer
from opentelemetry.util.http import (
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST,
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE,
    ExcludeList,
    get_custom_headers,
    get_excluded_urls,
    parse_excluded_urls,
)

from dashcam.record.context import recorder
from dashcam.record.context.correlation import REQUEST_ID
from dashcam.record.context.current import attach, detach
from dashcam.record.context.service import Service
from dashcam.record.servers.environ import Heads, describe
from dashcam.record.servers.response import HEADER_KEY, Response, size, with_id
from dashcam.record.servers.server import ServerSpan, accept_request_id, extract, server_tracer
from dashcam.record.spans.conventions import http_conventions

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SERVER_SPAN = "dashcam.server_span"  # where an environment holds the `ServerSpan` of its request


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
        self._conventions = http_conventions()
        self._heads: Heads | None = {} if getattr(self._conventions, "value", "") == "http" else None
        self._captures_response = bool(get_custom_headers(OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE))
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
        given_id = environ.get(HEADER_KEY)
        request_id = accept_request_id(given_id, is_trusted=is_trusted)
        environ[HEADER_KEY] = request_id
        server = None
        try:
            if self._is_excluded is None or not self._is_excluded(request_uri(environ)):
                server = self.begin(environ, request_id)
        except Exception:  # noqa: BLE001 — a request that cannot be described is served all the same
            recorder.give_up()
        if server is None:
            return self._serve_unrecorded(environ, start_response, request_id)
        if given_id is not None and given_id != request_id:
            server.warn_of_rejected_id(len(given_id))
        if asked := environ.get("HTTP_X_DASHCAM_KEEP"):
            server.heed(asked)
        is_seen = not server.is_light or self._captures_response or get_global_response_propagator()  # type: ignore[no-untyped-call]
        note = self._note_response if is_seen and not self.options.has_package else None
        response = Response(server, environ, start_response, note)
        token = attach(server.context)
        try:
            parts = self._app(environ, response.start)
            if server.answered_error is not None:
                server.fail(server.answered_error)
        except BaseException as error:
            # gunicorn takes it as: the connection was the application's, which is done with it.
            if isinstance(error, StopIteration) and "HTTP_UPGRADE" in environ:
                response.end(is_closed=False)
            else:
                response.fail(error)
            raise
        finally:
            detach(token)
        return response.body(parts)

    def begin(self, environ: "WSGIEnvironment", request_id: str) -> ServerSpan:
        """Begin the span of a request, and leave it in its environment."""
        service, is_trusted = self.options.service, self.options.is_caller_trusted
        traceparent = environ.get("HTTP_TRACEPARENT")
        getter = otel_wsgi.wsgi_getter
        context = extract(environ, getter, request_id, service, is_trusted=is_trusted, traceparent=traceparent)
        name, attributes, path, query = describe(environ, self._conventions, self._heads)
        server = ServerSpan(self._tracer, name, attributes, context)
        if self._captures_request and server.is_outermost:
            server.span.set_attributes(otel_wsgi.collect_custom_request_headers_attributes(environ))
        request = server.request
        request.path, request.query = path, query
        if given := environ.get("CONTENT_LENGTH"):
            request.request_bytes = size(given)
        environ[SERVER_SPAN] = server
        return server

    def _note_response(self, server: ServerSpan, status: str, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Describe a response on the span for whoever else looks at it; returns the headers that are to be sent."""
        if not server.is_light and " " in status:
            otel_wsgi.add_response_attributes(server.span, status, headers, {}, self._conventions)
        if self._captures_response:
            server.span.set_attributes(otel_wsgi.collect_custom_response_headers_attributes(headers))
        if propagator := get_global_response_propagator():  # type: ignore[no-untyped-call]
            headers = list(headers)
            propagator.inject(headers, setter=otel_wsgi.default_response_propagation_setter)
        return headers

    def _serve_unrecorded(
        self, environ: "WSGIEnvironment", start_response: "StartResponse", request_id: str
    ) -> Iterable[bytes]:
        environ[SERVER_SPAN] = None

        def start(status: str, headers: list[tuple[str, str]], *others: Any, **named: Any) -> Any:
            return start_response(status, with_id(headers, request_id), *others, **named)

        token = attach(set_value(REQUEST_ID, request_id))
        try:
            return self._app(environ, start)
        finally:
            detach(token)
