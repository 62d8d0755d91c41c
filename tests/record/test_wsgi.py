"""Requests of any WSGI application, driven as a server does it (PEP 3333)."""

import io
import logging
import os
import time
from contextlib import nullcontext
from wsgiref.util import FileWrapper, setup_testing_defaults

import pytest
from opentelemetry import trace

import dashcam

from ..processes import run

MESSAGES = ["serves", "outside"]
log = dashcam.get_logger("wsgi")
tracer = trace.get_tracer("tests")


def environ_of(path="/cars", method="GET", **others):
    environ = {"PATH_INFO": path, "REQUEST_METHOD": method, "wsgi.file_wrapper": FileWrapper} | others
    setup_testing_defaults(environ)
    return environ


class Server:
    """A server that keeps what it was given, and sends as much of a body as the test says."""

    def __init__(self, app):
        self.app = app
        self.status, self.headers = "", []
        self.written = b""

    def start(self, status, headers, exc_info=None):
        self.status, self.headers = status, headers
        return self._write

    def _write(self, data):
        self.written += data

    def serve(self, parts=None, error=None, **environ):
        """Send `parts` parts of the body, all without a number; then the sending may fail."""
        body = self.app(environ_of(**environ), self.start)
        try:
            for number, part in enumerate(body, 1):
                if number == parts:
                    if error:
                        raise error
                    break
                self.written += part
        finally:
            if hasattr(body, "close"):
                body.close()
        return self.written


def plain(body, status="200 OK", headers=()):
    def app(environ, start_response):
        start_response(status, list(headers))
        return body() if callable(body) else body

    return app


@pytest.fixture
def serve(recording):
    def serve(app, **request):
        server = Server(dashcam.wsgi(app, "garage"))
        server.serve(**request)
        return server

    return serve


def span_of(recording):
    (span,) = [event for event in recording.events() if event.is_span]
    return span


def errors_of(recording):
    return [event for event in recording.events() if event.get("error.stack_trace")]


def slow(count=3, pause_s=0.02):
    for number in range(count):
        time.sleep(pause_s)  # the span has to take as long as the body
        log.info("sends", number=number)
        yield b"part"


def test_a_request_is_a_span(recording, serve):
    """Method, path, status and sizes; the ID of the caller goes in and out."""
    server = serve(plain([b"a car"]), HTTP_X_REQUEST_ID="golf-1", QUERY_STRING="limit=2")

    span = span_of(recording)
    assert span.get("http.request") == {"id": "golf-1", "method": "GET"}
    assert span.get("http.response") == {"status_code": 200, "body": {"bytes": 5}}
    assert (span.get("url.path"), span.get("url.query")) == ("/cars", "limit=2")
    assert (span.get("message"), span.get("event.outcome")) == ("GET /cars", "success")
    assert server.headers == [("X-Request-ID", "golf-1")]
    assert server.written == b"a car"


def test_a_span_lasts_as_long_as_the_body(recording, serve):
    """And what is logged while it is made belongs to the request."""
    serve(plain(slow), HTTP_X_REQUEST_ID="golf-1")

    span = span_of(recording)
    assert span.get("event.duration") >= 60_000_000
    assert span.get("http.response.body.bytes") == 12
    lines = [event for event in recording.events() if event.get("message") == "sends"]
    assert [line.get("span.id") for line in lines] == [span.get("span.id")] * 3


def test_a_body_that_raises(recording, serve):
    """Is a failure, with the exception once; what was sent counts."""

    def broken():
        yield b"part"
        raise ValueError("no wheel")

    with pytest.raises(ValueError, match="no wheel"):
        serve(plain(broken), HTTP_X_REQUEST_ID="golf-1")

    span, (error,) = span_of(recording), errors_of(recording)
    assert (span.get("event.outcome"), span.get("log.level")) == ("failure", "error")
    assert span.get("http.response") == {"status_code": 200, "body": {"bytes": 4}}
    assert (error.get("error.type"), error.get("http.request.id")) == ("ValueError", "golf-1")
    assert error.get("span.id") == span.get("span.id")


def test_an_exception_before_the_first_part(recording, serve):
    """The server has sent no status yet, and sends one of its own: the record does not say what nobody got."""

    def never():
        raise KeyError("wheel")
        yield b""

    with pytest.raises(KeyError):
        serve(plain(never))

    span = span_of(recording)
    assert (span.get("http.response.status_code"), span.get("event.outcome")) == (None, "failure")


def test_an_exception_without_a_text(recording, serve, capfd):
    """It goes on to the caller as it is, and is recorded by its type, from a request and from a span."""

    class Mute(Exception):
        def __str__(self):
            raise KeyError("no text")

    def silent():
        yield b"part"
        with tracer.start_as_current_span("a part"):
            raise Mute

    with pytest.raises(Mute):
        serve(plain(silent))

    spans = [event for event in recording.events() if event.is_span]
    assert [span.get("event.outcome") for span in spans] == ["failure", "failure"]
    assert [error.get("error.type") for error in errors_of(recording)] == ["Mute"]
    assert "could not be recorded" not in capfd.readouterr().err


def test_a_body_whose_close_raises(recording, serve):
    """Is a failure too: the request was not over."""

    class Body(list):
        def close(self):
            raise ValueError("no wheel")

    with pytest.raises(ValueError, match="no wheel"):
        serve(plain(Body([b"part"])))

    assert span_of(recording).get("event.outcome") == "failure"
    assert len(errors_of(recording)) == 1


class GreenletExit(BaseException):
    """As greenlet has it."""


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, GreenletExit, ValueError])
@pytest.mark.parametrize("when", ["call", "body"])
def test_whatever_ends_a_request(recording, serve, kind, when):
    """Every exception is a failure with the exception, also one that ends the process."""
    error = kind()

    def parts():
        yield b"part"
        raise error

    def app(environ, start_response):
        if when == "call":
            raise error
        start_response("200 OK", [])
        return parts()

    with pytest.raises(kind):
        serve(app)

    assert span_of(recording).get("event.outcome") == "failure"
    assert [each.get("error.type") for each in errors_of(recording)] == [kind.__name__]


@pytest.mark.parametrize("error", [None, BrokenPipeError("gone"), ConnectionResetError("gone"), TimeoutError("slow")])
def test_a_client_that_hung_up(recording, serve, error):
    """Is neither a success nor a failure; the bytes that it got are those that the server could send."""
    with nullcontext() if error is None else pytest.raises(type(error)):
        serve(plain(slow), parts=3, error=error, HTTP_X_REQUEST_ID="golf-1")

    notes = [note.kind for entry in recording.story("golf-1").entries for note in entry.notes]
    assert notes == ["client-disconnected"]
    span = span_of(recording)
    assert (span.get("event.outcome"), span.get("event.action")) == ("unknown", "client-disconnected")
    assert span.get("log.level") == "info"
    assert span.get("http.response.body.bytes") == 8
    assert errors_of(recording) == []


def test_a_server_that_is_ended_while_it_sends(recording, serve):
    """The time-out of a worker, in the middle of a body."""
    with pytest.raises(SystemExit):
        serve(plain(slow), parts=2, error=SystemExit(1))

    assert span_of(recording).get("event.outcome") == "failure"
    assert [each.get("error.type") for each in errors_of(recording)] == ["SystemExit"]


def test_one_exception_in_two_requests(recording, serve):
    """Some raise one that they keep: it is recorded in each request, once."""
    error = ValueError("no wheel")

    def app(environ, start_response):
        raise error

    for _ in range(2):
        with pytest.raises(ValueError, match="no wheel"):
            serve(app)
    logging.getLogger("server").error("as a server says it again", exc_info=error)

    assert len(errors_of(recording)) == 2


def test_a_server_that_closes_nothing(recording, serve):
    """The span ends with the body's last reference; whether all was sent is unknown."""
    app = dashcam.wsgi(plain(slow), "garage")
    body = app(environ_of(), Server(app).start)
    next(iter(body))
    del body

    span = span_of(recording)
    assert span.get("event.outcome") == "unknown"
    assert span.get("event.action") is None


def test_a_body_within_another_exception(recording, serve):
    """An exception that the server is handling when the request comes says nothing about the request."""
    try:
        os.write(-1, b"")
    except OSError:
        serve(plain([b"part"]))

    assert span_of(recording).get("event.outcome") == "success"


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [({"method": "HEAD"}, "200 OK", [b"a car"]), ({}, "304 Not Modified", []), ({}, "204 No Content", [])],
)
def test_a_response_without_a_body(recording, serve, request_, status, body):
    """No byte of it was sent, whatever its length says."""
    serve(plain(body, status, [("Content-Length", "5")]), **request_)

    span = span_of(recording)
    assert span.get("http.response.body.bytes") == 0
    assert span.get("event.outcome") == "success"


def test_bytes_that_are_written(recording, serve):
    """By the function that PEP 3333 keeps for older applications."""

    def app(environ, start_response):
        start_response("200 OK", [])(b"old ")
        return [b"and new"]

    assert serve(app).written == b"old and new"
    assert span_of(recording).get("http.response.body.bytes") == 11


@pytest.mark.parametrize("status", [200, b"200 OK", None])
def test_a_status_that_is_no_text_is_for_the_server(recording, serve, status):
    """It accepts it, or says what is wrong with it."""
    server = serve(plain([b"a car"], status))

    assert (server.status, server.written) == (status, b"a car")
    assert span_of(recording).get("http.response.status_code") is None


def test_a_file_stays_a_file(recording, serve):
    """A server that sends files by the kernel still sees one; the span ends when it closes the file."""
    seen = []

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "5")])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"a car"))

    recorded = dashcam.wsgi(app, "garage")
    body = recorded(environ_of(), Server(app).start)
    seen.append([event for event in recording.events() if event.is_span])
    body.close()

    assert isinstance(body, FileWrapper)
    assert body.filelike.closed
    assert seen == [[]]
    assert span_of(recording).get("http.response.body.bytes") == 5


def test_a_body_keeps_its_length(recording):
    """A server may ask a list for its length, and go through it twice."""
    app = dashcam.wsgi(plain([b"a ", b"car"]), "garage")
    body = app(environ_of(), Server(app).start)

    assert len(body) == 2
    assert list(body) == list(body) == [b"a ", b"car"]
    body.close()


def test_a_span_across_parts(recording, serve):
    """A span that a body opens in one part is the current one in the next."""

    def parts():
        with tracer.start_as_current_span("work"):
            yield b"a"
            log.info("in work")
            yield b"b"

    serve(plain(parts))

    found = {event.get("message"): event for event in recording.events()}
    assert found["in work"].get("span.id") == found["work"].get("span.id")
    assert not trace.get_current_span().get_span_context().is_valid


def test_an_environment_that_cannot_be_described(recording, serve):
    """Is served all the same, with an ID."""
    server = serve(plain([b"a car"]), SERVER_PORT="/run/garage.sock")

    assert server.written == b"a car"
    assert [name for name, _ in server.headers] == ["X-Request-ID"]


def test_a_response_that_starts_by_names(recording, serve):
    """As servers allow it; only the order is laid down."""

    def app(environ, start_response):
        start_response(status="200 OK", headers=[("Content-Length", "5")], exc_info=None)
        return [b"a car"]

    assert serve(app).status == "200 OK"
    assert span_of(recording).get("http.response") == {"status_code": 200, "body": {"bytes": 5}}


def test_a_response_that_never_starts(recording, serve):
    """Nobody knows how such a request ended."""
    serve(lambda environ, start_response: [])

    assert span_of(recording).get("event.outcome") == "unknown"


def test_an_application_within_a_recorded_one(recording, serve):
    """Is recorded once."""
    serve(dashcam.wsgi(plain([b"a car"]), "garage"))

    assert span_of(recording)


TWO = """
import dashcam
from wsgiref.util import setup_testing_defaults

def app(environ, start_response):
    start_response("200 OK", [])
    log.info("serves")
    yield b"part"

log = dashcam.get_logger("two")
cars, parts = dashcam.wsgi(app, "cars"), dashcam.wsgi(app, "parts")
for each in (cars, parts, cars):
    environ = {}
    setup_testing_defaults(environ)
    list(each(environ, lambda *_: None))
log.info("outside")
"""


def test_two_applications_of_one_process(recording):
    """Each request carries the service of its application; what belongs to none, that of the first."""
    run(TWO, env=recording.environment)

    events = recording.events()
    assert sorted(event.get("service.name") for event in events if event.is_span) == ["cars", "cars", "parts"]
    assert {event.get("service.name"): event.get("event.dataset") for event in events} == {
        "cars": "cars",
        "parts": "parts",
    }
    lines = {name: [event.get("service.name") for event in events if event.get("message") == name] for name in MESSAGES}
    assert lines == {"serves": ["cars", "parts", "cars"], "outside": ["cars"]}


def test_a_connection_that_the_application_keeps(recording, serve):
    """As flask-sock and Flask-SocketIO tell gunicorn that a WebSocket is over: nobody failed, nobody saw a status."""

    def app(environ, start_response):
        log.info("talks")
        raise StopIteration

    with pytest.raises(StopIteration):
        serve(app, HTTP_UPGRADE="websocket")

    assert span_of(recording).get("event.outcome") == "unknown"
    assert errors_of(recording) == []


def test_an_iteration_that_stops_in_the_application(recording, serve):
    """A `next` of nothing is a fault like any other, and its client has no answer."""

    def app(environ, start_response):
        return next(iter([]))

    with pytest.raises(StopIteration):
        serve(app)

    assert span_of(recording).get("event.outcome") == "failure"
    assert [event.get("error.type") for event in errors_of(recording)] == ["StopIteration"]


def test_within_a_span_that_is_not_recorded(recording, serve):
    """As agents make one, with a provider of their own: the request has its status all the same."""
    outer = trace.NonRecordingSpan(trace.SpanContext(7, 8, is_remote=False, trace_flags=trace.TraceFlags(1)))
    with trace.use_span(outer):
        serve(plain([b"here"]))

    span = span_of(recording)
    assert span.get("processor.event") == "transaction"
    assert span.get("event.outcome") == "success"
    assert span.get("http.response") == {"status_code": 200, "body": {"bytes": 4}}
    assert (span.get("trace.id"), span.get("parent.id")) == (f"{7:032x}", f"{8:016x}")
