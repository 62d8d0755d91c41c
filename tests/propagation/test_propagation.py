"""One request through two processes is one story; broken anywhere on the way, the assertion says where."""

import contextlib
import threading
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from .. import prepared
from ..ports import free_port
from ..processes import until

HERE = Path(__file__).parent


@contextlib.contextmanager
def service(name, port, environment):
    """A service under gunicorn, from its start on."""
    command = ["-m", "gunicorn", "--pythonpath", str(HERE), "--bind", f"127.0.0.1:{port}", "--threads", "2"]
    command += ["--log-level", "critical", "--graceful-timeout", "1", f"{name}:create_app()"]
    process = prepared.start(command, environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def get(port, path, headers):
    """An answer's body, by a client that adds nothing: a test's process may be a recorded one itself."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers)
        return connection.getresponse().read()


def is_up(port):
    with contextlib.suppress(ConnectionError):
        return get(port, "/healthz", {})


@contextlib.contextmanager
def proxy(port, without):
    """A proxy that loses a header; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            kept = {name: value for name, value in self.headers.items() if name.lower() != without}
            with contextlib.suppress(ConnectionError, HTTPException):
                body = get(port, self.path, kept)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *args):
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def send(recording, *, query="", lost="", back=None):
    """One request through both services, over a proxy that loses a header."""
    front, behind = free_port(), free_port()
    with (
        proxy(behind, lost) as proxy_url,
        service("back", behind, recording.environment | (back or {})),
        service("front", front, recording.environment | {"BACK_URL": proxy_url}),
    ):
        until(lambda: is_up(behind), "answer of gunicorn")
        until(lambda: is_up(front), "answer of gunicorn")
        get(front, f"/?{query}", {"X-Request-ID": "golf-1"})


def test_unbroken(recording):
    """Two services, a thread and an executor: one story."""
    send(recording)

    story = recording.assert_one_story("golf-1", services=["front", "back"])

    lines = [entry.title for entry in story.entries if not entry.is_span]
    assert sorted(lines) == ["answering", "in a thread", "in an executor"]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"lost": "x-request-id"}, "it has 2 request IDs"),
        ({"lost": "traceparent"}, "it has 2 traces"),
        ({"back": {"DASHCAM_TRUST_REQUEST_ID": "never"}}, "back served no part of it"),
        ({"back": {"UNRECORDED": "1"}}, "back served no part of it"),
        ({"query": "astray"}, "front recorded 'from nowhere' outside of any request"),
        ({"query": "die"}, "a span of back is aborted"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_broken(recording, broken, told):
    """The assertion fails, names the break, and prints the story."""
    send(recording, **broken)

    with pytest.raises(pytest.fail.Exception) as failure:
        recording.assert_one_story("golf-1", services=["front", "back"])

    assert told in str(failure.value)
    assert "in an executor" in str(failure.value)
