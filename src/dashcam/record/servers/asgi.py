"""Records an ASGI application: a request ID in and out, a server span from the request to the end of the body.

The protocol is that of the ASGI specification, version 3: HTTP and WebSocket. The span has the name and the attributes
of `opentelemetry-instrumentation-asgi`, and the route where the framework says it (Starlette, FastAPI).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final
from weakref import WeakSet

import opentelemetry.instrumentation.asgi as otel_asgi  # not `from`, which hides the name of what is missing
from opentelemetry.context import set_value
from opentelemetry.propagators.textmap import default_getter
from opentelemetry.trace import Tracer
from opentelemetry.util.http import detect_synthetic_user_agent, get_excluded_urls, parse_excluded_urls, sanitize_method
from opentelemetry.util.types import AttributeValue

from dashcam.record.context import recorder
from dashcam.record.context.correlation import HEADER, REQUEST_ID
from dashcam.record.context.current import attach, detach
from dashcam.record.context.service import Service
from dashcam.record.logs import keep, unhandled
from dashcam.record.servers.server import ServerSpan, accept_request_id, extract, server_tracer
from dashcam.record.spans.conventions import http_conventions

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

SERVER_SPAN: Final = "dashcam.server_span"  # where a scope holds the `ServerSpan` of its request
NORMAL_CLOSES: Final = {1000, 1001, 1005}  # of a WebSocket: done, going away, no code (RFC 6455, section 7.4.1)
STABLE_CONVENTIONS: Final = "http"  # of OTEL_SEMCONV_STABILITY_OPT_IN: the names that semantic conventions 1.23 settled
SWITCHING_PROTOCOLS, FORBIDDEN = 101, 403

_NAMES = (("url.scheme", "scheme"), ("network.protocol.version", "http_version"), ("url.path", "path"))
_normalize = lru_cache(maxsize=64)(sanitize_method)  # which asks the environment each time
_instrumented: WeakSet[Any] = WeakSet()
_DISCONNECTS = ("Disconnect", "ConnectionClosed", "RequestAborted", "Cancelled")  # in names of exceptions
_HEADER = HEADER.lower().encode()
_CARRIED = {
    b"traceparent": "traceparent",
    b"tracestate": "tracestate",
    _HEADER: HEADER,
    keep.HEADER.lower().encode(): keep.HEADER,
}


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a recorded application.

    `service` is who serves its requests, None for the service of the process. Without `is_caller_trusted`, a caller's
    ids are replaced. `package` is the instrumentation of OpenTelemetry by whose settings URLs are excluded. With
    `is_alone`, nobody but Dashcam has set up OpenTelemetry in this process.
    """

    service: Service | None = None
    is_caller_trusted: bool = True
    package: str = "asgi"
    is_alone: bool = False


def record(app: ASGIApp, options: Options) -> "RecordedApp":
    """Return the application with a record of each request; one that has a record already as it is."""
    return app if isinstance(app, RecordedApp) else RecordedApp(app, server_tracer(otel_asgi), options)


def instrument(app: Any, options: Options) -> None:
    """Record a Starlette or FastAPI application from outside of all its middleware; a second call changes nothing.

    Its own `build_middleware_stack` is where a 500 is answered, so what is inside would not see that answer.
    """
    if app in _instrumented:
        return
    _instrumented.add(app)
    own_telemetry = getattr(app, "_telemetry", None)
    if options.is_alone and isinstance(own_telemetry, dict) and own_telemetry.get("tracer_provider") is None:
        # FastAPI, from 0.140 on, makes spans as soon as the process has a tracer provider: here it would be for ours.
        own_telemetry["tracing"] = False
    build = partial(_build_observed, app, app.build_middleware_stack)
    app.build_middleware_stack = lambda: record(build(), options)
    if app.middleware_stack is not None:
        app.middleware_stack = record(app.middleware_stack, options)


def _build_observed(app: Any, build: Callable[[], ASGIApp]) -> ASGIApp:
    """Build the stack of middleware, with what sees a broken body below Starlette's that end it as if it were whole."""
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware

    given = app.user_middleware
    if not any(isinstance(each.cls, type) and issubclass(each.cls, BaseHTTPMiddleware) for each in given):
        return build()
    app.user_middleware = [*given, Middleware(_BodyObserver)]
    try:
        return build()
    finally:
        app.user_middleware = given


class _BodyObserver:
    """Middleware that says of a request whether the application failed in the middle of its body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        server, is_open = scope.get(SERVER_SPAN), False

        async def observe(message: Message) -> None:
            nonlocal is_open
            kind = message["type"]
            if kind in {"http.response.start", "http.response.body", "http.response.pathsend"}:
                is_open = kind == "http.response.start" or message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, observe)
        except BaseException:
            if server and is_open:
                server.request.is_broken = True
            raise


class RecordedApp:
    """An ASGI application whose requests and WebSockets are recorded."""

    def __init__(self, app: ASGIApp, tracer: Tracer, options: Options) -> None:
        self._app = app
        self._tracer = tracer
        self._options = options
        self._conventions = http_conventions()
        self._is_stable = self._conventions.value == STABLE_CONVENTIONS
        excluded = get_excluded_urls(options.package.upper())
        self._excluded = excluded if vars(excluded) != vars(parse_excluded_urls("")) else None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, WebSocket, or life of the server."""
        outer = scope.get(SERVER_SPAN)
        if scope["type"] not in {"http", "websocket"} or (
            outer and outer.is_open and outer.service == self._options.service
        ):
            await self._app(scope, receive, send)
            return
        carrier = {_CARRIED[name]: value.decode("latin-1") for name, value in scope["headers"] if name in _CARRIED}
        is_trusted = self._options.is_caller_trusted or outer is not None
        given_id = carrier.get(HEADER)
        request_id = accept_request_id(given_id, is_trusted=is_trusted)
        server = self._begin_safely(scope, carrier, request_id)
        if server is None:
            await self._serve_unrecorded(scope, receive, send, request_id)
            return
        if given_id is not None and given_id != request_id:
            server.warn_of_rejected_id(len(given_id))
        if asked := carrier.get(keep.HEADER):
            server.heed(asked)
        exchange = (_Exchange if scope["type"] == "http" else _Conversation)(server, scope, receive, send)
        token = attach(server.context)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            _fail(server, error)
            raise
        finally:
            exchange.end()
            detach(token)

    def _begin_safely(self, scope: Scope, carrier: dict[str, str], request_id: str) -> ServerSpan | None:
        try:
            return self._begin(scope, carrier, request_id)
        except Exception:  # noqa: BLE001 — a request that cannot be described is served all the same
            recorder.give_up()
            return None

    def _begin(self, scope: Scope, carrier: dict[str, str], request_id: str) -> ServerSpan | None:
        if self._excluded and self._excluded.url_disabled(otel_asgi.get_host_port_url_tuple(scope)[2]):  # type: ignore[no-untyped-call]
            return None
        service, is_trusted = self._options.service, self._options.is_caller_trusted
        given = carrier.get("traceparent")
        context = extract(carrier, default_getter, request_id, service, is_trusted=is_trusted, traceparent=given)
        if self._is_stable:
            attributes = attributes_of(scope)
        else:
            attributes = otel_asgi.collect_request_attributes(scope, self._conventions)  # type: ignore[no-untyped-call]
        name = f"{_method(scope)} {scope.get('path', '')}".rstrip()
        server = ServerSpan(self._tracer, name, attributes, context)
        request = server.request
        request.path, request.query = scope.get("path", ""), scope.get("query_string", b"").decode("latin-1")
        scope[SERVER_SPAN] = server
        if self._options.is_alone:
            scope.setdefault("fastapi.telemetry", None)  # as FastAPI has it for a request without spans of its own
        return server

    async def _serve_unrecorded(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        async def send_with_id(message: Message) -> None:
            await send(_with_id(message, request_id))

        token = attach(set_value(REQUEST_ID, request_id))
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            detach(token)


def attributes_of(scope: Scope) -> dict[str, AttributeValue]:
    """Return the attributes of a request by the stable semantic conventions.

    They are those of `collect_request_attributes` of OpenTelemetry's package, which reads each header three times and
    asks for the names of each attribute: a fifth of what recording a request costs.
    """
    server, client = scope.get("server") or ("0.0.0.0", 80), scope.get("client")
    host, port, query = server[0], server[1], scope.get("query_string")
    found: dict[str, Any] = {"server.address": host if str(port) == "80" else f"{host}:{port}"}
    for name, key in _NAMES:
        if value := scope.get(key):
            found[name] = value
    if port:
        found["server.port"] = port
    if query:
        found["url.query"] = query.decode("utf8") if isinstance(query, bytes) else query
    if method := scope.get("method"):
        found["http.request.method"] = normalized = _normalize(method)
        if normalized != method:
            found["http.request.method_original"] = method
    if client:
        found["client.address"], found["client.port"] = client[0], client[1]
    for name, value in scope["headers"]:
        if name == b"user-agent":
            found.update(_user_agent(value))
            break
    return found


@lru_cache(maxsize=256)
def _user_agent(value: bytes) -> dict[str, str | None]:
    text = value.decode("latin-1")
    kind = detect_synthetic_user_agent(text)
    found = {"user_agent.original": text, "user_agent.synthetic.type": kind}
    return {name: value for name, value in found.items() if value}


def _method(scope: Scope) -> str:
    if scope["type"] == "websocket":
        return "WEBSOCKET"
    method = _normalize(scope.get("method", "").strip())
    return "HTTP" if method == "_OTHER" else method


def _with_id(message: Message, request_id: str) -> Message:
    """Return the message that begins a response with the request ID among its headers, any other as it is."""
    if message["type"] not in {"http.response.start", "websocket.accept", "websocket.http.response.start"}:
        return message
    headers = [header for header in message.get("headers") or () if bytes(header[0]).lower() != _HEADER]
    return {**message, "headers": [*headers, (_HEADER, request_id.encode())]}


class _Exchange:
    """A request and its response, from the first message to the last."""

    def __init__(self, server: ServerSpan, scope: Scope, receive: Receive, send: Send) -> None:
        self._server = server
        self._scope = scope
        self._receive = receive
        self._send = send
        self._request_id = str(server.context.get(REQUEST_ID))
        self._received_bytes = self._sent_bytes = 0
        self._is_received = self._is_complete = False
        self._receiving = 0  # calls of the application that wait for a message
        self._kept: Message | None = None  # a message that came while we looked for the client

    async def receive(self) -> Message:
        """Return the next message of the client."""
        if self._kept is not None:
            message, self._kept = self._kept, None
            return message
        self._receiving += 1
        try:
            message = await self._receive()
        finally:
            self._receiving -= 1
        self._note(message)
        return message

    def _note(self, message: Message) -> None:
        if message["type"] == "http.request":
            self._received_bytes += len(message.get("body", b""))
            self._is_received = not message.get("more_body", False)
        elif message["type"] == "http.disconnect" and not self._is_complete:
            self._server.request.is_disconnected = True

    async def send(self, message: Message) -> None:
        """Pass a message on, with the request ID among the headers; after the last one the span ends."""
        request, kind = self._server.request, message["type"]
        is_last = kind == "http.response.body" and not message.get("more_body", False) and not request.is_broken
        if kind == "http.response.start":
            status = message.get("status")
            request.status = status if isinstance(status, int) else 0  # the server says what is wrong with it
            _name_by_route(self._server, self._scope)
            message = _with_id(message, self._request_id)
        elif is_last:
            self._look_for_client()
        try:
            await self._send(message)
        except OSError:
            request.is_disconnected = True
            raise
        if kind == "http.response.body" and self._scope["method"] != "HEAD" and not request.is_disconnected:
            self._sent_bytes += len(message.get("body", b""))
        if is_last or kind == "http.response.pathsend":
            self._is_complete = True
            if request.status < 500:  # an error may follow that the framework has answered
                self.end()

    def _look_for_client(self) -> None:
        """Note if the client has gone: a server takes what is sent to nobody without a word.

        Takes one step of the server's `receive`, which returns at once if there is a message, and is given up if not.
        """
        if self._receiving or self._kept is not None or self._server.request.is_disconnected or not _is_asyncio():
            return
        step = self._receive()
        if not isinstance(step, Coroutine):
            return
        try:
            step.send(None)
        except StopIteration as done:
            self._kept = done.value
            self._note(done.value)
        except Exception:  # noqa: BLE001 — then the application's own `receive` says so
            return
        finally:
            step.close()

    def end(self) -> None:
        """End the span."""
        if not self._server.is_open:
            return
        request = self._server.request
        request.is_incomplete = not self._is_complete
        request.response_bytes = self._sent_bytes if request.status else None
        request.request_bytes = self._received_bytes if self._is_received else None
        self._server.end()


class _Conversation:
    """A WebSocket, from its handshake to its end: one span."""

    def __init__(self, server: ServerSpan, scope: Scope, receive: Receive, send: Send) -> None:
        self._server = server
        self._scope = scope
        self._receive = receive
        self._send = send
        self._request_id = str(server.context.get(REQUEST_ID))

    async def receive(self) -> Message:
        """Return the next message of the client."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect" and message.get("code", 1005) not in NORMAL_CLOSES:
            self._server.request.is_disconnected = True
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on, with the request ID among the headers of the handshake."""
        request = self._server.request
        match message["type"]:
            case "websocket.accept":
                request.status = SWITCHING_PROTOCOLS
                _name_by_route(self._server, self._scope)
            case "websocket.http.response.start":
                request.status = message["status"]
            case "websocket.close" if not request.status:
                request.status = FORBIDDEN
        await self._send(_with_id(message, self._request_id))

    def end(self) -> None:
        """End the span."""
        self._server.request.is_incomplete = not self._server.request.status
        self._server.end()


def _fail(server: ServerSpan, error: BaseException) -> None:
    """Record an exception on the span; beside it if the response was complete, or the client has gone."""
    if server.is_open and not server.request.is_disconnected:
        server.fail(error)
    elif not (server.request.is_disconnected and _is_of_disconnect(error)):
        unhandled.record(error)
    elif server.request.status >= 500:
        server.request.status = 0  # a framework has answered the exception, and nobody got it


def _is_of_disconnect(error: BaseException) -> bool:
    """Return true for what servers and frameworks raise because the client has gone."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_of_disconnect(each) for each in error.exceptions)
    return isinstance(error, OSError | GeneratorExit) or any(word in type(error).__name__ for word in _DISCONNECTS)


def _is_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # trio, whose `receive` cannot be given up like this
        return False
    return True


def _name_by_route(server: ServerSpan, scope: Scope) -> None:
    """Name the span by the route, if the framework has left it in the scope."""
    found, known = scope.get("route"), scope.get("fastapi")
    included = known.get("effective_route_context") if isinstance(known, dict) else None
    if included and getattr(included, "original_route", None) is found:
        found = included  # the route of a router that FastAPI includes, with the prefix that it is included under
    path = getattr(found, "path", None) or scope.get("path_template")  # the latter is Litestar's
    if isinstance(path, str) and server.is_open:
        mounted = str(scope.get("root_path", ""))
        # Of a mounted application that has no routes of its own, such as one of files, Starlette leaves the mount.
        route = mounted if hasattr(found, "routes") else mounted + path
        server.name_by_route(f"{_method(scope)} {route}", route)
