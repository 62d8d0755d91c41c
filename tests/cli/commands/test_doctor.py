"""`dashcam doctor`: what it says of the services that record on this machine."""

import json
import os

import pytest

from ...processes import dashcam, run, running

SERVED = """
import sys
from wsgiref.simple_server import make_server
import dashcam

def answer(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

server = make_server("127.0.0.1", 0, dashcam.wsgi(answer, "parts"))
print(server.server_port, flush=True)
for _ in range(int(sys.argv[1])):
    server.handle_request()
sys.stdin.read()
"""
LONE_LOGS = "import dashcam; dashcam.init('nightly'); dashcam.get_logger('nightly').info('row')"
WITHOUT_PACKAGE = """
import sys
sys.modules["opentelemetry.instrumentation.httpx"] = None
import dashcam
dashcam.init("garage")
import httpx
with dashcam.job("ask"):
    dashcam.get_logger("garage").info("asking")
"""
CALLING = """
import sys, requests, dashcam
dashcam.init("garage")
{change}
with dashcam.job("ask"):
    requests.get(sys.argv[1])
"""
NO_PROPAGATION = """
from opentelemetry.propagate import set_global_textmap
from opentelemetry.propagators.composite import CompositePropagator
set_global_textmap(CompositePropagator([]))
"""
THREAD = """
import threading, time
import dashcam
dashcam.init("garage")
log, go = dashcam.get_logger("garage"), threading.Event()
thread = threading.Thread(target=lambda: go.wait() and log.info("polled"))
thread.start()
with dashcam.job("ask"):
    go.set()
    thread.join()
"""


@pytest.fixture
def services(tmp_path):
    """What the doctor says of recording, once all is shipped: each service, text and fix; it is well all the same."""

    def ask(**environment):
        environment = {"LOG_BACKEND": "local"} | environment
        assert dashcam("ship", "--drain", folder=tmp_path, **environment).returncode == 0
        done = dashcam("doctor", "--json", folder=tmp_path, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
        return [(each["hop"], each["seen"], each["fix"]) for each in found if each["way"] == "recording"][:-1]

    return ask


def environment(folder):
    return os.environ | {"DASHCAM_DIR": str(folder), "DASHCAM_CONSOLE": "off"}


def test_log_lines_alone(tmp_path, services):
    """No request and no job: it says how to get IDs."""
    run(LONE_LOGS, env=environment(tmp_path))

    (_, seen, _), (service, note, fix) = services()

    assert seen == "does not run; its last process: 0 requests and jobs, 1 log lines (1 outside of any)"
    assert (service, note) == (
        "nightly",
        "log lines, but no request or job: no line belongs to a story",
    )
    assert "dashcam.init_app(app)" in fix


def test_log_lines_of_a_server_alone(tmp_path, services):
    """A service that nobody has asked anything yet is well."""
    run(LONE_LOGS.replace("logger('nightly')", "logger('gunicorn.error')"), env=environment(tmp_path))

    ((_, seen, fix),) = services()

    assert (seen, fix) == ("does not run; its last process: 0 requests and jobs, 0 log lines", "")


def test_a_library_without_its_package(tmp_path, services):
    """It is named, with the line that installs it."""
    run(WITHOUT_PACKAGE, env=environment(tmp_path))

    assert services()[1:] == [
        ("garage", "calls of httpx carry no request ID and have no span", "pip install 'dashcam[httpx]'")
    ]


MANY_SEGMENTS = """
for number in range(12):
    dashcam.get_logger("garage").info("x" * 60_000)
    dashcam.record.context.recorder.current().spool.close()
"""


def test_a_warning_of_many_segments_ago(tmp_path, services):
    """It is still said, though only the newest lines are counted."""
    run(WITHOUT_PACKAGE + "import dashcam.record.context.recorder" + MANY_SEGMENTS, env=environment(tmp_path))

    (_, seen, _), (_, note, _), *_ = services()
    assert seen == "does not run; its last process: 0 requests and jobs, 4 log lines (4 outside of any)"
    assert note.startswith("calls of httpx")


def test_a_setting_that_cannot_be_used(tmp_path, services):
    """What a service warned of is said, though nobody looked at its console."""
    run(WITHOUT_PACKAGE.replace("httpx", "none", 1), env=environment(tmp_path) | {"LOG_LEVEL": "LOUD"})

    ((_, note, fix),) = services()[1:]
    assert note.startswith("LOG_LEVEL='LOUD' cannot be used")
    assert fix.endswith("dashcam search 'service:garage level:warning'")


@pytest.mark.parametrize("change", ["", NO_PROPAGATION])
def test_calls_that_begin_a_story_of_their_own(tmp_path, services, change):
    """Both sides are recorded: calls whose headers did not arrive are told from those that arrived."""
    with running(SERVED, 1, env=environment(tmp_path)) as parts:
        url = f"http://127.0.0.1:{parts.stdout.readline().strip()}/wheels"
        run(CALLING.format(change=change), url, env=environment(tmp_path))

        found = services()

    assert ("parts", "runs: 1 requests and jobs, 0 log lines", "") in found
    notes = [note for service, note, fix in found if fix]
    assert notes == (["1 calls to parts began new stories there"] if change else [])


def test_calls_of_somebody_who_does_not_record(tmp_path, services):
    """They are counted by address, and are no reason for a note."""
    unrecorded = SERVED.replace('dashcam.wsgi(answer, "parts")', "answer")
    with running(unrecorded, 1, env=environment(tmp_path)) as parts:
        url = f"http://127.0.0.1:{parts.stdout.readline().strip()}/wheels"
        run(CALLING.format(change=""), url, env=environment(tmp_path))

        ((_, seen, _),) = services()

    address = url.split("/")[2]
    assert seen.endswith(f"1 HTTP calls; no service that records here answered those to {address} 1")


def test_log_lines_of_a_thread_of_before(tmp_path, services):
    """Recorded while a job ran, without its ID."""
    run(THREAD, env=environment(tmp_path))

    (_, note, fix) = services()[1]

    assert note == "1 log lines without a request ID, recorded while requests were served"
    assert "dashcam.job(name, headers)" in fix


def test_a_person_reads_it(tmp_path):
    """A note and its fix, a line each."""
    run(WITHOUT_PACKAGE, env=environment(tmp_path))

    lines = dashcam("doctor", folder=tmp_path).stdout.splitlines()

    assert lines[1].startswith("note   stdout recording garage: calls of httpx carry no request ID")
    assert lines[2] == "       pip install 'dashcam[httpx]'"
