"""ASGI applications under a real uvicorn, and the protocol's edges."""

import asyncio
import json
import socket
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from opentelemetry.instrumentation import asgi as otel_asgi
from opentelemetry.instrumentation._semconv import _StabilityMode
from websockets.sync.client import connect

import dashcam
from dashcam.record.servers.asgi import RecordedApp, attributes_of

from .. import prepared
from ..ports import free_port
from ..processes import until

HERE = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def _with_fastapi():
    """Half of what a server's start costs is their import, which comes before that of Dashcam."""
    with prepared.serving("fastapi", "uvicorn"):
        yield


@contextmanager
def _served(recording, *options, app="garage_asgi:app", **environment):
    """The port of a uvicorn, and the process."""
    port = free_port()
    errors = recording.folder.parent / "errors"
    with errors.open("wb") as file:
        command = ["-m", "uvicorn", app, "--port", str(port), *options]
        process = prepared.start(command, recording.environment | environment, stdout=file, stderr=file, cwd=HERE)
    try:
        until(lambda: _is_open(port), "server")
        process.errors = errors
        yield int(port), process
    finally:
        process.terminate()
        process.wait(timeout=60)


def _is_open(port):
    try:
        socket.create_connection(("127.0.0.1", int(port)), 1).close()
    except OSError:
        return False
    return True


def _ask(port, path, method="GET", body=None, **headers):
    """Status, headers and body, by a client that adds nothing of its own."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, body=body, headers=names)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


def _spans(recording):
    return [event for event in recording.events() if event.get("processor.event") == "transaction"]


def _span(recording):
    until(lambda: _spans(recording), "span")
    (event,) = _spans(recording)
    return event


def _messages(recording, request_id):
    return [
        event.get("message")
        for event in recording.events()
        if event.get("http.request.id") == request_id and not event.is_span
    ]


def test_a_request_is_one_story(recording):
    """The ID in and out; coroutine, task and thread; the route; what `add` put there; no access line besides."""
    with _served(recording) as (port, _):
        status, headers, body = _ask(port, "/garage/cars/7?colour=red", X_Request_ID="golf-1", User_Agent="test")

    assert (status, headers["x-request-id"]) == (200, "golf-1")
    assert json.loads(body) == {"car": 7, "request_id": "golf-1"}
    recording.assert_one_story("golf-1", services=["garage"])
    span = _span(recording)
    assert span.get("message") == "GET /garage/cars/{car_id}"
    assert span.get("http.route") == "/garage/cars/{car_id}"
    assert (span.get("http.response.status_code"), span.get("event.outcome")) == (200, "success")
    assert span.get("http.response.body.bytes") == len(body)
    assert (span.get("url.path"), span.get("url.query")) == ("/garage/cars/7", "colour=red")
    assert (span.get("client.ip"), span.get("user_agent.original")) == ("127.0.0.1", "test")
    assert span.labels == {"car_id": 7}
    assert _messages(recording, "golf-1") == ["in a coroutine", "in a task", "in a thread"]


def test_a_request_without_an_id(recording):
    """It gets one, also where there is no route, and one that is not accepted is replaced."""
    with _served(recording) as (port, _):
        ids = [
            _ask(port, "/sync")[1]["x-request-id"],
            _ask(port, "/nowhere")[1]["x-request-id"],
            _ask(port, "/sync", X_Request_ID="no no")[1]["x-request-id"],
            _ask(port, "/sync", X_Request_ID="golf")[1]["x-request-id"],
        ]

    assert {len(each) for each in ids} == {36, 4}
    assert _messages(recording, ids[0]) == ["in the thread pool"]
    assert _messages(recording, ids[2]) == ["X-Request-ID rejected and replaced by a new one", "in the thread pool"]
    assert [event.get("http.response.status_code") for event in _spans(recording)] == [200, 404, 200, 200]


def test_an_answer_of_the_application_has_our_id(recording):
    """One header, not two."""
    with _served(recording) as (port, _), closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        headers = {"X-Request-ID": "golf-2", "Content-Type": "application/json"}
        connection.request("POST", "/echo", body=b'{"a": 1}', headers=headers)
        answer = connection.getresponse()
        answer.read()

    assert answer.headers.get_all("X-Request-ID") == ["golf-2"]
    assert _span(recording).get("http.request.body.bytes") == 8


def test_an_unhandled_error(recording):
    """A failure with the exception, once in the record; uvicorn prints the traceback as ever, and nobody else."""
    with _served(recording) as (port, process):
        status, headers, _ = _ask(port, "/fails", X_Request_ID="golf-3")
        until(lambda: b"ValueError: no wheel" in process.errors.read_bytes(), "traceback")

    assert (status, headers["x-request-id"]) == (500, "golf-3")
    assert process.errors.read_bytes().count(b"ValueError: no wheel") == 1
    span = _span(recording)
    assert (span.get("event.outcome"), span.get("http.response.status_code")) == ("failure", 500)
    errors = [event for event in recording.events() if event.get("error.stack_trace")]
    assert [(event.get("error.type"), event.get("http.request.id")) for event in errors] == [("ValueError", "golf-3")]


def test_a_background_task(recording):
    """It belongs to the request, whose span ends with the body; its error is there once, with the ids."""
    with _served(recording) as (port, _):
        _ask(port, "/background?fail=true", X_Request_ID="golf-4")
        until(lambda: any(event.get("error.type") for event in recording.events()), "error")

    assert _span(recording).get("event.outcome") == "success"
    errors = [event for event in recording.events() if event.get("error.stack_trace")]
    assert [(event.get("error.type"), event.get("http.request.id")) for event in errors] == [("LookupError", "golf-4")]
    assert "in a background task" in _messages(recording, "golf-4")


def test_a_stream(recording):
    """The span lasts as long as the body, and has its size."""
    with _served(recording) as (port, _):
        _, _, body = _ask(port, "/stream?parts=5", X_Request_ID="golf-5")

    span = _span(recording)
    assert len(body) == 5000
    assert (span.get("http.response.body.bytes"), span.get("event.outcome")) == (5000, "success")
    assert span.get("event.duration") >= 40_000_000
    assert _messages(recording, "golf-5") == ["part"] * 5


def test_a_stream_that_breaks(recording):
    """A failure, though its status was 200: the exception once, and the bytes that went out."""
    with _served(recording) as (port, _):
        with pytest.raises(Exception):  # noqa: B017, PT011 — the client's own
            _ask(port, "/stream?parts=5&fail_at=2", X_Request_ID="golf-6")
        span = _span(recording)

    assert (span.get("event.outcome"), span.get("http.response.body.bytes")) == ("failure", 2000)
    errors = [event for event in recording.events() if event.get("error.stack_trace")]
    assert [event.get("error.type") for event in errors] == ["ValueError"]


def test_a_stream_that_breaks_behind_middleware(recording):
    """`BaseHTTPMiddleware` sends the client a body that seems whole, and raises afterwards: a failure as well."""
    with _served(recording, app="garage_asgi:behind") as (port, _):
        _ask(port, "/stream?parts=5&fail_at=2", X_Request_ID="golf-6")
        broken = _span(recording)
        _ask(port, "/background?fail=true", X_Request_ID="golf-7")
        until(lambda: len(_spans(recording)) == 2, "span")

    assert (broken.get("event.outcome"), broken.get("http.response.body.bytes")) == ("failure", 2000)
    errors = [event for event in recording.events() if event.get("error.stack_trace")]
    assert [(event.get("error.type"), event.get("http.request.id")) for event in errors] == [
        ("ValueError", "golf-6"),
        ("LookupError", "golf-7"),
    ]
    (whole,) = [span for span in _spans(recording) if span.get("http.request.id") == "golf-7"]
    assert whole.get("event.outcome") == "success"


@pytest.mark.parametrize("path", ["/stream?parts=1000", "/slow"])
def test_a_client_that_hangs_up(recording, path):
    """It is told apart from a success and from a failure of the service."""
    with _served(recording) as (port, _):
        with closing(socket.create_connection(("127.0.0.1", port))) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Request-ID: golf-7\r\n\r\n".encode())
            until(lambda: _messages(recording, "golf-7"), "beginning")
        span = _span(recording)

    assert (span.get("event.action"), span.get("event.outcome")) == ("client-disconnected", "unknown")


def test_a_client_that_cuts_its_upload(recording):
    """The framework answers its own exception with a 500, which nobody gets: the service has not failed."""
    with _served(recording) as (port, _):
        with closing(socket.create_connection(("127.0.0.1", port))) as client:
            client.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\ngolf")
        span = _span(recording)

    assert (span.get("event.action"), span.get("event.outcome")) == ("client-disconnected", "unknown")
    assert span.get("http.response.status_code") is None


def test_a_head_request(recording):
    """No body was sent."""
    with _served(recording, app="garage_asgi:raw") as (port, _):
        _ask(port, "/", "HEAD")

    assert _span(recording).get("http.response.body.bytes") == 0


def test_a_websocket(recording):
    """One span from the handshake to the end, with what happened within."""
    with (
        _served(recording) as (port, _),
        connect(f"ws://127.0.0.1:{port}/ws/north", additional_headers={"X-Request-ID": "golf-8"}) as client,
    ):
        for text in ("one", "two"):
            client.send(text)
            assert client.recv() == "golf-8"
        assert client.response.headers["X-Request-ID"] == "golf-8"

    span = _span(recording)
    assert (span.get("message"), span.get("event.outcome")) == ("WEBSOCKET /ws/{room}", "success")
    assert span.labels == {"room": "north"}
    assert _messages(recording, "golf-8").count("heard") == 2


def test_a_websocket_that_fails(recording):
    """The exception once, and a failure."""
    with _served(recording) as (port, _), connect(f"ws://127.0.0.1:{port}/ws/north") as client:
        client.send("fail")
        with pytest.raises(Exception):  # noqa: B017, PT011 — the client's own
            client.recv()

    assert _span(recording).get("event.outcome") == "failure"
    assert [event.get("error.type") for event in recording.events() if event.get("error.stack_trace")] == ["ValueError"]


def test_a_websocket_that_is_refused(recording):
    """No such address: a client's fault, said as 403."""
    with _served(recording) as (port, _), pytest.raises(Exception):  # noqa: B017, PT011 — the client's own
        connect(f"ws://127.0.0.1:{port}/nowhere")

    assert _span(recording).get("http.response.status_code") in {403, 404}


def test_workers(recording):
    """uvicorn's workers record each for itself, and one that is killed leaves what it was at."""
    with _served(recording, "--workers", "2") as (port, _):
        for number in range(10):
            _ask(port, "/sync", X_Request_ID=f"polo-{number}")
        with pytest.raises(Exception):  # noqa: B017, PT011 — the client's own
            _ask(port, "/dies", X_Request_ID="golf-9")
        until(lambda: _messages(recording, "golf-9"), "abort")

    assert {event.get("http.request.id") for event in _spans(recording)} == {f"polo-{number}" for number in range(10)}
    assert recording.story("golf-9").outcome == "aborted"


def test_a_request_among_many(recording):
    """Requests at once on one loop keep apart."""
    with _served(recording) as (port, _):

        async def ask(number):
            return await asyncio.to_thread(_ask, port, f"/garage/cars/{number}", X_Request_ID=f"car-{number}")

        async def ask_all():
            return await asyncio.gather(*map(ask, range(20)))

        asyncio.run(ask_all())

    for number in range(20):
        recording.assert_one_story(f"car-{number}", services=["garage"])
        assert len(_messages(recording, f"car-{number}")) == 3


def test_starlette(cars):
    """In place, also when it is running already; twice is once; a mounted part has its whole route."""
    starlette = pytest.importorskip("starlette.applications")
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    async def show(request):
        return PlainTextResponse(dashcam.request_id())

    app = starlette.Starlette(routes=[Mount("/garage", routes=[Route("/cars/{car_id}", show)])])
    assert dashcam.init_app(app) is app
    dashcam.init_app(app)

    start, body = _drive(app, {"path": "/garage/cars/7"})

    assert dict(start["headers"])[b"x-request-id"] == body["body"]
    assert _span(cars).get("message") == "GET /garage/cars/{car_id}"


def test_an_application_whose_stack_somebody_else_builds(cars):
    """OpenTelemetry's package for FastAPI puts a method of its own on the application; what that builds is recorded."""
    from fastapi import FastAPI

    app = FastAPI()
    build, built = app.build_middleware_stack, []
    app.build_middleware_stack = lambda: built.append(build()) or built[-1]
    app.get("/cars/{car_id}")(dashcam.request_id)
    dashcam.init_app(app)
    dashcam.init_app(app)

    start, body = _drive(app, {"path": "/cars/7"})

    assert len(built) == 1
    assert dict(start["headers"])[b"x-request-id"] == body["body"].strip(b'"') != b""
    assert _span(cars).get("message") == "GET /cars/{car_id}"


def test_a_router_that_is_included_under_a_prefix(cars):
    """The route has all prefixes, also of a router within a router, and of one in a mounted application."""
    from fastapi import APIRouter, FastAPI

    app, mounted, outer, inner = FastAPI(), FastAPI(), APIRouter(prefix="/garage"), APIRouter(prefix="/cars")
    inner.get("/{car_id}")(lambda car_id: car_id)
    outer.include_router(inner, prefix="/{town}")
    app.include_router(outer, prefix="/v1")
    mounted.include_router(inner, prefix="/v2")
    app.mount("/old", mounted)
    dashcam.init_app(app)

    _drive(app, {"path": "/v1/garage/wolfsburg/cars/7"})
    _drive(app, {"path": "/old/v2/cars/7"})

    names = [event.get("message") for event in cars.events() if event.is_span]
    assert names == ["GET /v1/garage/{town}/cars/{car_id}", "GET /old/v2/cars/{car_id}"]


def test_an_application_behind_a_prefix_of_its_server(cars):
    """That is a part of each route, also of one in a mounted application, as it is of the path."""
    from fastapi import FastAPI

    app, mounted = FastAPI(), FastAPI()
    app.get("/cars/{car_id}")(lambda car_id: car_id)
    mounted.get("/cars/{car_id}")(lambda car_id: car_id)
    app.mount("/old", mounted)
    dashcam.init_app(app)

    for path in ("/api/cars/7", "/api/old/cars/7"):
        _drive(app, {"path": path, "root_path": "/api"})

    names = [event.get("message") for event in cars.events() if event.is_span]
    assert names == ["GET /api/cars/{car_id}", "GET /api/old/cars/{car_id}"]


@pytest.mark.parametrize("status", ["200", None, 200.0])
def test_a_status_that_is_no_number(cars, capfd, status):
    """It is for the server to refuse it; the request is recorded, without a status."""

    async def odd(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": []})

    _drive(dashcam.asgi(odd))

    span = _span(cars)
    assert (span.get("http.response.status_code"), span.get("event.outcome")) == (None, "unknown")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("prefix", "name"), [("/files", "GET /files"), ("/of/{car}", "GET /of/golf"), ("", "GET /a.txt")]
)
def test_a_mounted_application_without_routes(cars, tmp_path, prefix, name):
    """Has the place where it is mounted as its route; at the root it has none."""
    starlette = pytest.importorskip("starlette.applications")
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    (tmp_path / "a.txt").write_text("golf")
    app = dashcam.init_app(starlette.Starlette(routes=[Mount(prefix, StaticFiles(directory=tmp_path))]))

    start, *_ = _drive(app, {"path": prefix.replace("{car}", "golf") + "/a.txt"})

    assert start["status"] == 200
    assert _span(cars).get("message") == name


def _drive(app, scope=None, messages=(), fail_send=None):
    """Serve one request of an application without a server; what it sent."""
    sent, waiting = [], list(messages)

    async def receive():
        return waiting.pop(0) if waiting else await asyncio.Event().wait()

    async def send(message):
        if fail_send:
            raise fail_send
        sent.append(message)

    whole = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"", "scheme": "http"}
    asyncio.run(app(whole | (scope or {}), receive, send))
    return sent


async def _plain(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def test_any_application(cars):
    """A function: what is returned is to be served; what has a record gets no second one."""
    app = dashcam.init_app(_plain)

    assert isinstance(app, RecordedApp)
    assert dashcam.asgi(app) is app
    start, body = _drive(app)
    assert [name for name, _ in start["headers"]] == [b"x-request-id"]
    assert body["body"] == b"hello"
    assert _span(cars).get("http.response.body.bytes") == 5


def test_the_route_of_litestar(cars):
    """It leaves the path of the route in the scope."""

    async def app(scope, receive, send):
        scope["path_template"] = "/cars/{car_id:int}"
        await _plain(scope, receive, send)

    _drive(dashcam.asgi(app), {"path": "/cars/7"})

    assert _span(cars).get("http.route") == "/cars/{car_id:int}"


@pytest.mark.parametrize("thing", [7, None, "app", object(), print, lambda environ, start: []])
def test_what_is_no_application(cars, thing):
    """A sentence at the start, not a service that records nothing."""
    with pytest.raises(TypeError, match="is not a Flask or ASGI application"):
        dashcam.init_app(thing)


def test_the_life_of_a_server_is_no_request(cars):
    """`lifespan` goes through as it is."""
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    _drive(dashcam.asgi(app), {"type": "lifespan"})

    assert (seen, cars.events()) == (["lifespan"], [])


def test_an_application_that_never_answers(cars):
    """What nobody has seen is unknown."""

    async def silent(scope, receive, send):
        pass

    _drive(dashcam.asgi(silent))

    assert _span(cars).get("event.outcome") == "unknown"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError(), SystemExit(1), ValueError("v")])
def test_whatever_ends_a_request(cars, error):
    """Any exception is a failure, and goes on as it is."""

    async def broken(scope, receive, send):
        raise error

    with pytest.raises(type(error)):
        _drive(dashcam.asgi(broken))

    assert _span(cars).get("event.outcome") == "failure"


def test_a_server_that_says_that_the_client_has_gone(cars):
    """An `OSError` of `send` is the client's doing."""
    with pytest.raises(BrokenPipeError):
        _drive(dashcam.asgi(_plain), fail_send=BrokenPipeError())

    assert _span(cars).get("event.action") == "client-disconnected"
    assert not [event for event in cars.events() if event.get("error.type")]


def test_an_exception_after_the_client_has_gone(cars):
    """What is no consequence of that is recorded with the request."""

    async def broken(scope, receive, send):
        try:
            await _plain(scope, receive, send)
        except OSError:
            raise ValueError("no wheel") from None

    with pytest.raises(ValueError, match="no wheel"):
        _drive(dashcam.asgi(broken), fail_send=BrokenPipeError())

    span = _span(cars)
    assert span.get("event.action") == "client-disconnected"
    told = [(event.get("error.type"), event.get("span.id")) for event in cars.events() if event.get("error.type")]
    assert told == [("ValueError", span.get("span.id"))]


def test_the_body_that_we_came_across_is_the_applications(cars):
    """Looking for the client takes a message from the server; the application gets it all the same."""
    heard = []

    async def late(scope, receive, send):
        await _plain(scope, receive, send)
        heard.append(await receive())

    _drive(dashcam.asgi(late), messages=[{"type": "http.request", "body": b"late", "more_body": False}])

    assert heard == [{"type": "http.request", "body": b"late", "more_body": False}]
    assert _span(cars).get("event.outcome") == "success"


SCOPES = {
    "plain": {"method": "GET", "path": "/cars/7"},
    "all": {
        "method": "POST",
        "path": "/größe",
        "query_string": b"a=b&c=%20",
        "http_version": "1.1",
        "scheme": "https",
        "server": ("garage", 8000),
        "client": ("10.0.0.7", 4242),
        "headers": [(b"host", b"garage:8000"), (b"user-agent", b"curl/8.0"), (b"user-agent", b"second")],
    },
    "port 80": {"method": "GET", "path": "/", "server": ("garage", 80), "http_version": "2"},
    "a socket file": {"method": "GET", "path": "/", "server": ("/run/garage.sock", None), "client": None},
    "an odd method": {"method": "brew", "path": "/", "headers": [(b"user-agent", b"Googlebot/2.1")]},
    "a test": {"method": "get", "path": "/", "headers": [(b"user-agent", b"alwayson")]},
    "no path": {"method": "GET", "path": ""},
    "a websocket": {"type": "websocket", "path": "/ws", "scheme": "ws", "query_string": b""},
}


@pytest.mark.parametrize("name", SCOPES)
def test_attributes_are_those_of_the_package(name):
    """Each that OpenTelemetry's own package for ASGI gives, and no other."""
    scope = {"type": "http", "scheme": "http", "headers": [], "query_string": b""} | SCOPES[name]

    assert attributes_of(scope) == otel_asgi.collect_request_attributes(scope, _StabilityMode.HTTP)


def test_a_description_that_fails(cars):
    """A scope that breaks the span is served, with an ID."""
    (start, _) = _drive(dashcam.asgi(_plain), {"query_string": b"\xff", "path": None})

    assert [name for name, _ in start["headers"]] == [b"x-request-id"]
