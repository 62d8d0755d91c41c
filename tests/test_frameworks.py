"""The examples of docs/frameworks.md, run as their first lines say."""

import contextlib
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

from . import prepared
from .ports import free_port
from .processes import until

EXAMPLES = Path(__file__).parents[1] / "examples"


@contextlib.contextmanager
def serving(recording, *command, folder=EXAMPLES):
    """A server that runs meanwhile; its port, and the file with what it prints."""
    port, output = free_port(), recording.folder.parent / "output"
    with output.open("wb") as file:
        command = ["-m", *(part.format(port=port) for part in command)]
        process = prepared.start(command, recording.environment, stdout=file, stderr=file, cwd=folder)
    try:
        until(lambda: answers(port), "server")
        yield port, output
    finally:
        process.terminate()
        process.wait(timeout=60)


def post(port, path, **headers):
    """Return status and request ID of an answer, by a client that adds nothing."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    with contextlib.closing(HTTPConnection("127.0.0.1", int(port), timeout=30)) as connection:
        connection.request("POST", path, headers=names)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers["X-Request-ID"]


def answers(port):
    try:
        post(port, "/")
    except ConnectionError:
        return False
    return True


def messages(story):
    return [entry.event.get("message") for entry in story.entries if entry.event and not entry.event.is_span]


def one_story(recording, request_id):
    until(lambda: any(e.is_span and e.get("http.request.id") == request_id for e in recording.events()), "span")
    return recording.assert_one_story(request_id, services=["garage"])


def test_fastapi(recording):
    """A repair and its background task are one story; the span has the route and what the handler added."""
    with serving(recording, "uvicorn", "garage_fastapi:app", "--port", "{port}") as (port, _):
        status, request_id = post(port, "/repairs/7", X_Request_ID="golf-7")
        failed, _ = post(port, "/repairs/13")
        until(lambda: "parts ordered" in messages(recording.story("golf-7")), "background task")

    assert (status, request_id, failed) == (200, "golf-7", 503)
    story = one_story(recording, "golf-7")
    assert messages(story) == ["repair started", "parts ordered"]
    assert story.server_span.event.get("http.route") == "/repairs/{car_id}"
    assert story.server_span.event.labels == {"car_id": 7}


SERVERS = {
    "WSGI": ("gunicorn", "--bind", "127.0.0.1:{port}", "garage_django"),
    "ASGI": ("uvicorn", "garage_django:asgi_application", "--port", "{port}"),
}


@pytest.mark.parametrize("kind", SERVERS)
def test_django(recording, kind):
    """Behind either kind of server; an unhandled error is there once, with its trace."""
    with serving(recording, *SERVERS[kind]) as (port, _):
        status, request_id = post(port, "/repairs/7", X_Request_ID="golf-7")
        failed, _ = post(port, "/repairs/13", X_Request_ID="golf-13")
        broken = one_story(recording, "golf-13")  # ended before the server is told to stop, and says so

    assert (status, request_id, failed) == (200, "golf-7", 500)
    assert messages(one_story(recording, "golf-7")) == ["repair started"]
    assert broken.outcome == "failure"
    errors = [event for event in recording.events() if event.get("error.stack_trace")]
    assert [(event.get("error.type"), event.get("http.request.id")) for event in errors] == [
        ("RuntimeError", "golf-13")
    ]


CELERY = """
import sys
import dashcam
from celery.contrib.testing.worker import start_worker
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import garage_celery

garage_celery.record()
if "sdk" in sys.argv:
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
with start_worker(garage_celery.app, perform_ping_check=False, pool="solo", loglevel="ERROR"):
    with dashcam.job("order"):
        print(dashcam.request_id())
        assert garage_celery.repair.delay(7).get(timeout=60) == "started"
        garage_celery.repair.delay(13).get(timeout=60, propagate=False)
"""


@pytest.mark.parametrize("looked_at_by", ["nobody", "sdk"])
def test_celery(recording, looked_at_by):
    """Tasks belong to the story of who sent them; a failure of one is a failure, once; `add` puts fields on it."""
    done = subprocess.run(
        [sys.executable, "-c", CELERY, looked_at_by],
        env=recording.environment | {"PYTHONPATH": str(EXAMPLES)},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )

    story = recording.assert_one_story(done.stdout.split()[0], services=["garage-worker"])
    tasks = [entry.event for entry in story.entries if entry.event and entry.event.get("span.kind") == "consumer"]
    assert [(task.labels["car_id"], task.get("event.outcome")) for task in tasks] == [(7, "success"), (13, "failure")]
    assert messages(story).count("repair started") == 2
    errors = [entry.event for entry in story.entries if entry.event and entry.event.get("error.stack_trace")]
    assert [(error.get("error.type"), error.get("log.logger")) for error in errors] == [
        ("RuntimeError", "celery.app.trace")
    ]


FLASK = """
import logging
import dashcam
from flask import Flask

app = Flask("garage")
dashcam.init_app(app)

@app.post("/fails")
def fails():
    logging.getLogger("library").warning("soon")
    dashcam.get_logger("garage").info("going to fail")
    raise ValueError("no wheel")
"""


MASTER = {"configured": ["--config", "gunicorn.conf.py"], "preloaded": ["--preload"]}  # ways to record the master


@pytest.mark.parametrize("options", [[], ["--threads", "2"], *MASTER.values()])
def test_flask_under_gunicorn_still_prints(recording, tmp_path, options):
    """The traceback of a 500, warnings, our log lines and gunicorn's own reach standard error, each once.

    All of it is recorded, that of gunicorn's master where this records; where not, a warning says so.
    """
    if "--config" in options:
        (tmp_path / "gunicorn.conf.py").write_text('import dashcam\n\ndashcam.init("garage")\n')
    (tmp_path / "app.py").write_text(FLASK)
    command = ("gunicorn", "--bind", "127.0.0.1:{port}", "--pythonpath", str(tmp_path), *options, "app:app")
    with serving(recording, *command, folder=tmp_path) as (port, output):
        status, _ = post(port, "/fails", X_Request_ID="golf-1")
        until(lambda: b"ValueError: no wheel" in output.read_bytes(), "traceback")

    printed = output.read_text()
    assert status == 500
    for once in ("ValueError: no wheel", '"message":"soon"', '"message":"going to fail"', "Booting worker"):
        assert printed.count(once) == 1, printed
    errors = [event for event in recording.events() if event.get("error.stack_trace")]
    assert [event.get("error.type") for event in errors] == ["ValueError"]
    recorded = {event.get("message"): event for event in recording.events()}
    assert any(event.get("log.logger") == "gunicorn.error" for event in recorded.values())
    warnings = [event.labels["fix"] for message, event in recorded.items() if "master is not recorded" in message]
    is_recorded = options in MASTER.values()
    assert ("Shutting down: Master" in recorded) == is_recorded
    assert warnings == ([] if is_recorded else ['dashcam.init("garage") in gunicorn.conf.py, or gunicorn --preload'])
