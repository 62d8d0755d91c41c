"""Spans for the calls of Requests, with the names and attributes of `opentelemetry-instrumentation-requests`.

The package makes them wherever somebody else looks at spans, measures, or captures headers.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any
from urllib.parse import urlsplit

import opentelemetry.instrumentation.requests as package
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.requests.version import __version__ as package_version
from opentelemetry.instrumentation.utils import http_status_to_status_code
from opentelemetry.semconv._incubating.attributes.user_agent_attributes import USER_AGENT_SYNTHETIC_TYPE
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE
from opentelemetry.semconv.attributes.network_attributes import (
    NETWORK_PEER_ADDRESS,
    NETWORK_PEER_PORT,
    NETWORK_PROTOCOL_VERSION,
)
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.semconv.attributes.url_attributes import URL_FULL
from opentelemetry.semconv.attributes.user_agent_attributes import USER_AGENT_ORIGINAL
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.util.http import (
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST,
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE,
    detect_synthetic_user_agent,
    get_custom_headers,
    get_excluded_urls,
    parse_excluded_urls,
    redact_url,
)
from requests import PreparedRequest, Response, Session

from dashcam.record.context.current import (
    SPAN,
    SUPPRESSING,
    SUPPRESSING_HTTP,
    attach,
    detach,
    get_current,
    is_suppressed,
)
from dashcam.record.spans.conventions import http_conventions
from dashcam.record.spans.tracer import LightSpan, get_tracer, light, send_ids

Send = Callable[..., Response]
MAX_ORIGINS = 256  # of which the attributes are kept
MAX_STATUSES = 64
_SUPPRESSING = SUPPRESSING | SUPPRESSING_HTTP
_NO_OTHER_SPAN = dict.fromkeys(SUPPRESSING_HTTP, True)  # of what Requests itself calls
_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}


class RequestsInstrumentor(package.RequestsInstrumentor):
    """Instruments `Session.send`, unless the package itself has done so.

    The package fails on what is not prepared, such as `Session().send(Request())`, before Requests says what is wrong
    with it: that goes to Requests alone.
    """

    _instance = None  # not the package's, of which there is one

    def _instrument(self, **kwargs: Any) -> None:
        if package.RequestsInstrumentor().is_instrumented_by_opentelemetry:
            return
        plain = Session.send
        super()._instrument(**kwargs)
        traced, own = Session.send, _Light(plain) if _has_only_spans(kwargs) else None

        @wraps(traced)
        def send(self: Session, request: PreparedRequest, **options: Any) -> Response:
            if not (isinstance(request, PreparedRequest) and request.method and request.url):
                return plain(self, request, **options)
            response = own.send(self, request, options) if own else None
            return traced(self, request, **options) if response is None else response

        send.__wrapped__ = plain  # what the package's `uninstrument` puts back
        Session.send = send  # type: ignore[method-assign]


def _has_only_spans(options: dict[str, Any]) -> bool:
    """Return true if the package is to make spans by the stable conventions, and nothing else."""
    captured = (
        OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST,
        OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE,
    )
    has_excluded = vars(get_excluded_urls("REQUESTS")) != vars(parse_excluded_urls(""))
    is_stable = getattr(http_conventions(), "value", "") == "http"
    return is_stable and not options and not has_excluded and not any(map(get_custom_headers, captured))


class _Light:
    """The package's span for a process where only the spool reads it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._tracer = get_tracer(package.__name__, package_version)

    def send(self, session: Session, request: PreparedRequest, options: dict[str, Any]) -> Response | None:
        """Send a request within a span, with the context in its headers; None if the package has to do so."""
        context = get_current()
        is_known = request.method in _METHODS and not is_suppressed(context, _SUPPRESSING)
        if not is_known or not (tracer := light(self._tracer)):
            return None
        method, url, headers = str(request.method), str(request.url), request.headers
        url = redact_url(url) if "@" in url or "?" in url else url
        parts = url.split("/", 3)
        shared = _shared_attributes(parts[2] if len(parts) > 3 else url, str(headers.get("User-Agent") or ""))
        attributes = {HTTP_REQUEST_METHOD: method, URL_FULL: url, **shared}
        span = LightSpan(tracer, method, SpanKind.CLIENT, attributes, context)
        inner = Context({**context, SPAN: span, **_NO_OTHER_SPAN})
        token = attach(inner)
        try:
            send_ids(span, inner, headers)
            response = self._send(session, request, **options)
            _describe(span, response)
        except Exception as error:  # of others, the end of the span takes notice
            _describe(span, getattr(error, "response", None))
            span.set_attribute(ERROR_TYPE, type(error).__qualname__)
            span.fail(error)
            raise
        else:
            return response
        finally:
            detach(token)
            span.end()


@lru_cache(MAX_ORIGINS)
def _shared_attributes(address: str, user_agent: str) -> dict[str, Any]:
    """Return the attributes of all requests to an address, from clients of that name."""
    attributes: dict[str, Any] = {USER_AGENT_ORIGINAL: user_agent} if user_agent else {}
    if kind := detect_synthetic_user_agent(user_agent):
        attributes[USER_AGENT_SYNTHETIC_TYPE] = kind
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return attributes
    if host:
        attributes |= {SERVER_ADDRESS: host, NETWORK_PEER_ADDRESS: host}
    if port:
        attributes |= {SERVER_PORT: port, NETWORK_PEER_PORT: port}
    return attributes


def _describe(span: trace.Span, response: object) -> None:
    if not isinstance(response, Response):
        return
    status = response.status_code
    attributes: dict[str, Any] = {HTTP_RESPONSE_STATUS_CODE: status}
    if _is_error(status):
        attributes[ERROR_TYPE] = str(status)
        span.set_status(Status(StatusCode.ERROR))
    if version := getattr(response.raw, "version", None):
        attributes[NETWORK_PROTOCOL_VERSION] = "1.1" if version == 11 else "1.0"
    span.set_attributes(attributes)


@lru_cache(MAX_STATUSES)
def _is_error(status: int) -> bool:
    return http_status_to_status_code(status) is StatusCode.ERROR
