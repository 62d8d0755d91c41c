"""A service starts whatever its environment holds, and says what is wrong."""

import os
import subprocess
import sys

import pytest

import dashcam

from ..processes import finished

SERVICE = """
import dashcam, flask
app = flask.Flask("garage")
dashcam.init_app(app)
dashcam.get_logger("garage").info("serving")
dashcam.init_app(flask.Flask("garage"))
"""


def _run(code, environment):
    done = finished(code, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL='LOUD' cannot be used"),
        ("DASHCAM_SPOOL_LIMIT", "much", "DASHCAM_SPOOL_LIMIT='much' cannot be used"),
        ("DASHCAM_CONSOLE", "yes", "DASHCAM_CONSOLE='yes' cannot be used"),
        ("DASHCAM_TRUST_REQEST_ID", "never", "Did you mean DASHCAM_TRUST_REQUEST_ID?"),
        ("DASHCAM_SPOL", "/tmp", "DASHCAM_SPOL is not a setting. Did you mean DASHCAM_SPOOL_LIMIT?"),
        ("DASHCAM_COLOUR", "red", "DASHCAM_COLOUR is not a setting. Known: DASHCAM_CLIP_BASELINE, "),
    ],
)
def test_a_fault_in_the_environment_stops_no_service(recording, variable, value, expected):
    """It starts with the default; one warning, recorded and printed, says what is wrong."""
    printed = _run(SERVICE, recording.environment | {variable: value})

    first, second = recording.events()
    assert (first.get("log.level"), second.get("message")) == ("warning", "serving")
    assert expected in first.get("message")
    assert printed.count(expected) == 1


UNUSABLE = {
    "OTEL_PROPAGATORS": "b3,tracecontext",
    "OTEL_PYTHON_TRACER_PROVIDER": "vendor",
    "OTEL_PYTHON_METER_PROVIDER": "vendor",
    "OTEL_PYTHON_CONTEXT": "vendor",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "cloud",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "-1",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "long",
    "OTEL_PYTHON_EXCLUDED_URLS": "(",
    "OTEL_PYTHON_FLASK_EXCLUDED_URLS": "health,[",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS": "(",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": "*",
}
METER = "from opentelemetry import metrics; metrics.get_meter('as each connection to a database does')\n"
REQUEST = "print(app.test_client().get('/', headers={'X-Request-ID': 'r-1'}).status)\n"


@pytest.mark.parametrize("imported_before", ["", "import opentelemetry.metrics, opentelemetry.util.http\n"])
def test_no_variable_of_opentelemetry_stops_a_service(recording, imported_before):
    """OpenTelemetry raises for these when it is imported, set up, or serves; each is left out with a warning."""
    too_late = {"OTEL_PROPAGATORS", "OTEL_PYTHON_CONTEXT"} if imported_before else set()  # it raises without us as well
    unusable = {name: value for name, value in UNUSABLE.items() if name not in too_late}
    usable = {
        "OTEL_SPAN_EVENT_COUNT_LIMIT": "",
        "OTEL_PYTHON_WSGI_EXCLUDED_URLS": "a,b.*",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "x-request-id",
    }
    printed = _run(imported_before + SERVICE + METER + REQUEST, recording.environment | unusable | usable)

    warnings = [e.get("message").partition("=")[0] for e in recording.events() if e.get("log.level") == "warning"]
    assert warnings == sorted(unusable)
    assert recording.story("r-1")
    assert "Traceback" not in printed


def test_the_environment_stays_as_it_is(recording):
    """Child processes get what the program was started with, whatever OpenTelemetry makes of it."""
    code = f"""
import os, subprocess, sys
before = dict(os.environ)
{SERVICE}
seen = subprocess.run([sys.executable, "-c", "import os; print(dict(os.environ))"], stdout=subprocess.PIPE).stdout
assert dict(os.environ) == before == eval(seen), "other"
assert type(os.environ).__name__ == "_Environ"
"""
    _run(code, recording.environment | UNUSABLE)


@pytest.mark.parametrize("variable", ["FLUENTD_CA", "LOG_BACKEND", "DASHCAM_RETENTION"])
def test_what_only_the_shipper_needs_is_not_looked_at(recording, variable):
    """An unreadable file of a backend is nothing to a service."""
    assert "cannot be used" not in _run(SERVICE, recording.environment | {variable: "/no such file"})


def test_kubernetes_names_are_ignored(recording):
    """A service called dashcam puts them into every pod."""
    names = {"DASHCAM_SERVICE_HOST": "10.0.0.1", "DASHCAM_PORT_80_TCP_ADDR": "10.0.0.1"}
    _run(SERVICE, recording.environment | names)

    assert [event.get("message") for event in recording.events()] == ["serving"]


def test_a_spool_that_cannot_be_written(recording, tmp_path):
    """One line on standard error, at once, with the reason; the program goes on."""
    (tmp_path / "file").write_text("not a folder")
    code = SERVICE + "for _ in range(100): dashcam.get_logger('garage').info('m')\nprint('done')"
    printed = _run(code, os.environ | {"DASHCAM_DIR": str(tmp_path / "file"), "DASHCAM_CONSOLE": "off"})

    (line,) = printed.splitlines()
    assert line.startswith("dashcam: events of garage are dropped and counted: ")
    assert str(tmp_path / "file") in line


RUN_AS_A_PROGRAM = """
import dashcam
from flask import Flask

app = Flask(__name__)
dashcam.init_app(app)
{serve}
"""
DEVELOPMENT_SERVER = """
import threading
from http.client import HTTPConnection
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, app)
thread = threading.Thread(target=server.serve_forever)
thread.start()
connection = HTTPConnection("127.0.0.1", server.server_port)
connection.request("GET", "/none")
connection.getresponse().read()
connection.close()
server.shutdown()
thread.join()
"""


def test_a_program_is_named_by_its_file(recording, tmp_path):
    """`python garage.py` with `Flask(__name__)`, whose name is `__main__`, is the service garage."""
    (tmp_path / "garage.py").write_text(RUN_AS_A_PROGRAM.format(serve="dashcam.get_logger('x').info('serving')"))
    subprocess.run([sys.executable, tmp_path / "garage.py"], env=recording.environment, check=True, timeout=100)

    assert [event.get("service.name") for event in recording.events()] == ["garage"]


def test_the_access_log_of_the_development_server(recording, tmp_path):
    """Is printed as ever, and not recorded beside the span that says more."""
    (tmp_path / "garage.py").write_text(RUN_AS_A_PROGRAM.format(serve=DEVELOPMENT_SERVER))
    done = subprocess.run(
        [sys.executable, tmp_path / "garage.py"],
        env=recording.environment,
        check=True,
        timeout=100,
        capture_output=True,
        text=True,
    )

    assert [event.get("http.response.status_code") for event in recording.events()] == [404]
    assert done.stderr.count("GET /none HTTP/1.1") == 1


@pytest.mark.parametrize("record", [dashcam.wsgi, dashcam.asgi])
def test_an_application_that_is_none(record):
    """Such as that of a factory that returns nothing: a sentence at the start, not a server whose requests all fail."""
    with pytest.raises(TypeError, match=r"None is not an? (WSGI|ASGI) application"):
        record(None)
