"""Requests under gunicorn: what ends them there is what the record says."""

import contextlib
import socket
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path

import pytest

from .. import prepared
from ..ports import free_port
from ..processes import until

HERE = Path(__file__).parent
TIMEOUT_S = 1


@pytest.fixture(params=["sync", "gthread"])
def port(recording, request):
    """The port of a gunicorn that gives a worker a second."""
    port = free_port()
    command = ["-m", "gunicorn", "--pythonpath", str(HERE), "--bind", f"127.0.0.1:{port}"]
    command += ["--worker-class", request.param]
    command += ["--timeout", str(TIMEOUT_S), "--graceful-timeout", "1", "--log-level", "critical"]
    command += ["streams:create_app()"]
    process = prepared.start(command, recording.environment | {"DASHCAM_CONSOLE": "off"})
    try:
        until(lambda: _answers(port), "answer")
        yield port
    finally:
        process.terminate()
        process.wait()


def _answers(port):
    with contextlib.suppress(OSError):
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/nowhere")
            return connection.getresponse().read()


def _ask(port, path):
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"X-Request-ID": "golf-1"})
        return connection.getresponse().read()


def _span(recording):
    """The span of our request, as soon as it is recorded; the folder is read as another process's."""

    def found():
        return [event for event in recording.events() if event.is_span and event.get("http.request.id") == "golf-1"]

    (span,) = until(found, "span")
    return span


def _errors(recording):
    return [event for event in recording.events() if event.get("error.stack_trace")]


@pytest.mark.parametrize("port", ["sync"], indirect=True)
def test_a_worker_that_took_too_long(recording, port):
    """Gunicorn ends it: the request is a failure, with the exception, after the time that it really took."""
    with contextlib.suppress(OSError):
        _ask(port, "/hang")

    span = _span(recording)
    assert (span.get("event.outcome"), span.get("log.level")) == ("failure", "error")
    assert span.get("event.duration") >= TIMEOUT_S * 1_000_000_000 // 2
    (error,) = _errors(recording)
    assert (error.get("error.type"), error.get("http.request.id")) == ("SystemExit", "golf-1")


def test_a_client_that_hangs_up(recording, port):
    """In the middle of a long body."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /stream?parts=10000 HTTP/1.1\r\nHost: x\r\nX-Request-ID: golf-1\r\n\r\n")
        client.recv(1000)

    span = _span(recording)
    assert (span.get("event.outcome"), span.get("event.action")) == ("unknown", "client-disconnected")
    assert _errors(recording) == []
    assert span.get("http.response.body.bytes") < 1_000_000_000


def test_a_stream_to_its_end(recording, port):
    """All its bytes, and lines of its own."""
    assert len(_ask(port, "/stream?parts=3")) == 300_000

    span = _span(recording)
    assert span.get("event.outcome") == "success"
    assert span.get("http.response.body.bytes") == 300_000
    assert {e.get("span.id") for e in recording.events() if e.get("message") == "sends"} == {span.get("span.id")}


def test_a_stream_that_breaks(recording, port):
    """A failure, with the exception once, though gunicorn logs it too."""
    with contextlib.suppress(IncompleteRead, OSError):
        _ask(port, "/broken")

    assert _span(recording).get("event.outcome") == "failure"
    assert [error.get("error.type") for error in _errors(recording)] == ["ValueError"]


def test_a_file(recording, port):
    """Gunicorn sends it by the kernel, and the span ends after that."""
    content = (HERE / "streams.py").read_bytes()
    assert _ask(port, "/file") == content

    span = _span(recording)
    assert span.get("http.response.body.bytes") == len(content)
    assert span.get("event.outcome") == "success"
