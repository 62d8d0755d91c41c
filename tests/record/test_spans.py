"""Finished spans as events: nested, sent to others, with any attributes, by a clock that jumps."""

import asyncio
import contextvars
import math
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests
from flask import Flask
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

import dashcam
from dashcam.record.context.correlation import open_requests
from dashcam.record.values.sanitizer import MAX_LABEL_BYTES

from ..processes import run
from .garage import create_app

log = dashcam.get_logger("spans")
tracer = trace.get_tracer("tests")


class Neighbour(BaseHTTPRequestHandler):
    """Answers with the status it is asked for and keeps the headers it gets."""

    def do_GET(self):
        self.server.headers.append(dict(self.headers))
        self.send_response(int(self.path.rpartition("/")[2].partition("?")[0]))
        self.end_headers()

    do_POST = do_PUT = do_BREW = do_GET  # noqa: N815 — the names that the server looks for

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def neighbour():
    with HTTPServer(("127.0.0.1", 0), Neighbour) as server:
        server.headers = []
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _by_name(recording):
    return {event.get("message"): event for event in recording.events()}


def test_nested_spans(cars):
    """Each knows its parent, all know the first, and lines know the innermost."""
    with tracer.start_as_current_span("outer"):
        with tracer.start_as_current_span("inner"):
            log.info("in inner")
        log.info("in outer")

    found = _by_name(cars)
    outer, inner = found["outer"], found["inner"]
    assert (outer.get("processor.event"), inner.get("processor.event")) == ("transaction", "span")
    assert (outer.get("parent"), inner.get("parent.id")) == (None, outer.get("span.id"))
    assert (inner.get("span.type"), inner.get("span.kind")) == ("app", "internal")
    assert {event.get("trace.id") for event in found.values()} == {outer.get("trace.id")}
    assert {event.get("transaction.id") for event in found.values()} == {outer.get("span.id")}
    assert found["in inner"].get("span.id") == inner.get("span.id")
    assert found["in outer"].get("span.id") == outer.get("span.id")


def test_a_copied_context(cars):
    """Takes the ids along, wherever it is run."""
    with tracer.start_as_current_span("work"):
        copied = contextvars.copy_context()
    copied.run(log.info, "in the copy")
    log.info("outside")

    found = _by_name(cars)
    assert found["in the copy"].get("span.id") == found["work"].get("span.id")
    assert found["outside"].get("span") is None


def test_a_request_sent_to_another_service(recording, neighbour):
    """The call is a span of the request it was made in, and carries the trace and the request ID."""
    app = create_app()
    url = f"http://127.0.0.1:{neighbour.server_port}"

    @app.get("/ask")
    def ask():
        return str(requests.get(f"{url}/201?token=hunter2&page=2", timeout=10).status_code)

    app.test_client().get("/ask", headers={"X-Request-ID": "golf-1"})

    server, client = (
        event for event in sorted(recording.events(), key=lambda e: len(str(e.get("parent")))) if event.is_span
    )
    assert (client.get("span.type"), client.get("span.subtype"), client.get("span.kind")) == (
        "external",
        "http",
        "client",
    )
    assert client.get("parent.id") == client.get("transaction.id") == server.get("span.id")
    assert client.get("http") == {
        "request": {"id": "golf-1", "method": "GET"},
        "response": {"status_code": 201},
    }
    assert client.get("url.full") == f"{url}/201?token=***&page=2"
    (headers,) = neighbour.headers
    assert headers["X-Request-ID"] == "golf-1"
    assert headers["traceparent"].startswith(f"00-{server.get('trace.id')}-{client.get('span.id')}-0")
    assert "baggage" not in headers


def test_a_call_that_fails(cars, neighbour):
    """For the caller an answer of 404 is a failure too, as OpenTelemetry has it for client spans."""
    for status in (404, 500):
        requests.get(f"http://127.0.0.1:{neighbour.server_port}/{status}", timeout=10)

    outcomes = {event.get("http.response.status_code"): event.get("event.outcome") for event in cars.events()}
    assert outcomes == {404: "failure", 500: "failure"}


def test_a_call_that_nobody_answers(cars):
    """The span is told all the same, as failed, with the kind of error."""
    with pytest.raises(requests.ConnectionError):
        requests.get("http://127.0.0.1:1/", timeout=10)

    (event,) = cars.events()
    assert event.get("event.outcome") == "failure"
    assert event.get("error.type") == "ConnectionError"


@pytest.mark.parametrize("request_", [requests.Request("GET", "http://127.0.0.1"), requests.PreparedRequest(), None])
def test_a_call_that_is_not_prepared(cars, request_):
    """Fails as it does without us."""
    with requests.Session() as session:
        with pytest.raises(Exception, match=r".") as expected:
            requests.Session.send.__wrapped__(session, request_)
        with pytest.raises(expected.type) as raised:
            session.send(request_)

    assert str(raised.value) == str(expected.value)


CALLS = """
import sys
import requests
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import dashcam

dashcam.init("cars")
if "package" in sys.argv:
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
asked = ("GET", "200"), ("POST", "404?token=x&page=2"), ("PUT", "503"), ("BREW", "200"), ("GET", "302")
for method, address in asked:
    requests.request(method, sys.argv[1] + address, timeout=10, allow_redirects=False)
for url in ("http://u:p@127.0.0.1:1/", "http://nowhere.invalid/", "http://[::1]:1/"):
    try:
        requests.get(url, headers={"User-Agent": "Googlebot/2.1"}, timeout=10)
    except requests.ConnectionError:
        pass
"""


def test_a_call_is_described_as_by_the_package(recording, neighbour):
    """Whoever else looks at the spans, so that the package makes them, or nobody."""
    url, seen = f"http://127.0.0.1:{neighbour.server_port}/", []
    for who in ("package", "nobody"):
        run(CALLS, url, who, env=recording.environment)
        recorded = [event for event in recording.events() if event.is_span][len(seen and seen[0]) :]
        seen.append([_without_moments(event) for event in recorded])

    assert len(seen[0]) == 8
    assert seen[0] == seen[1]
    assert [headers["traceparent"][:3] for headers in neighbour.headers] == ["00-"] * len(neighbour.headers)


def _without_moments(event):
    kept = ("message", "log.level", "http", "url", "server", "user_agent", "error", "labels", "span.kind", "span.type")
    return {name: event.get(name) for name in (*kept, "event.outcome")}


def test_outside_of_a_request_no_id_goes_out(cars, neighbour):
    """There is none."""
    requests.get(f"http://127.0.0.1:{neighbour.server_port}/200", timeout=10)

    assert "X-Request-ID" not in neighbour.headers[0]


def test_a_statement_of_a_database(cars):
    """What its instrumentation says becomes `db.*`; a password in the statement does not."""
    attributes = {"db.system": "postgresql", "db.name": "cars", "db.statement": "ALTER ROLE a PASSWORD = 'hun ter2'"}
    with tracer.start_as_current_span("ALTER", kind=SpanKind.CLIENT, attributes=attributes):
        pass

    (event,) = cars.events()
    assert event.get("db") == {"system": "postgresql", "name": "cars", "statement": "ALTER ROLE a PASSWORD = '***'"}


ATTRIBUTES = {
    "car.id": 7,
    "ratio": math.nan,
    "list": ["a", "b"],
    "password": "hunter2",
    "http.request.header.authorization": ["Bearer hunter2"],
    "note": "postgresql://cars:hunter2@db/cars",
    "long": "x" * 100_000,
    "é\0": True,
}


def test_any_attributes(cars):
    """Those that have no field of their own are labels, treated like those of a log call."""
    with tracer.start_as_current_span("connect to redis://:hunter2@cache", attributes=ATTRIBUTES):
        pass

    (event,) = cars.events()
    assert event.labels == {
        "car.id": 7,
        "ratio": "nan",
        "list": ["a", "b"],
        "password": "***",
        "http.request.header.authorization": "***",
        "note": "postgresql://***@db/cars",
        "long": "x" * MAX_LABEL_BYTES + "… [cut, 100000 characters]",
        "é�": True,
    }
    assert event.get("tags") == ["cut", "mended"]
    assert event.get("message") == "connect to redis://***@cache"
    assert list(event.fields).index("event") < list(event.fields).index("service")


def test_a_field_too_long_is_cut(recording):
    """A query of 100,000 characters, whatever a server lets through."""
    create_app().test_client().get("/car?q=" + "x" * 100_000)

    (span,) = [event for event in recording.events() if event.is_span]
    assert len(span.get("url.query")) < MAX_LABEL_BYTES + 100
    assert span.get("tags") == ["cut"]
    assert span.get("http.response.status_code") == 200


def test_fields_for_the_request(recording):
    """`dashcam.add` puts labels on the span of the request, from however deep in it; secrets and odd values as ever."""
    app = create_app()

    @app.get("/add")
    def add():
        dashcam.add(car_id=7, password="hunter2")
        with tracer.start_as_current_span("deep"):
            dashcam.add(car_id=8, ratio=math.inf)
        return "ok"

    app.test_client().get("/add")

    span = _by_name(recording)["GET /add"]
    assert span.labels == {"car_id": 8, "password": "***", "ratio": "inf"}
    assert span.get("tags") == ["mended"]


@pytest.mark.parametrize("status", [Status(StatusCode.ERROR, "no wheel"), StatusCode.ERROR])
def test_a_span_that_failed(cars, status):
    """By its own word."""
    with tracer.start_as_current_span("work") as span:
        span.set_status(status)

    assert _by_name(cars)["work"].get("event.outcome") == "failure"


def test_an_error_that_goes_through_a_span(cars):
    """It is a failure of the span."""
    with pytest.raises(KeyError), tracer.start_as_current_span("work"):
        {}["no"]

    assert _by_name(cars)["work"].get("event.outcome") == "failure"


class Cancelled(BaseException):
    """As trio has it."""


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (SystemExit(1), "failure"),
        (SystemExit(0), "success"),
        (KeyboardInterrupt(), "failure"),
        (asyncio.CancelledError(), "unknown"),
        (Cancelled(), "unknown"),
        (GeneratorExit(), "success"),
    ],
)
def test_what_is_no_exception_goes_through_a_span(cars, error, outcome):
    """OpenTelemetry leaves it out; a span that begins while one is handled has nothing to do with it."""

    class CleanUp:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            with tracer.start_as_current_span("cleaning up"):
                return True

    def work():
        raise error

    with CleanUp(), tracer.start_as_current_span("work"):
        work()

    spans = _by_name(cars)
    assert spans["work"].get("event.outcome") == outcome
    assert spans["cleaning up"].get("event.outcome") == "success"


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.CLIENT])
@pytest.mark.parametrize("jump_s", [-3600, 3600])
def test_a_clock_that_jumps(cars, monkeypatch, kind, jump_s):
    """A duration is that of the clock that never does."""
    span = tracer.start_span("served", kind=kind)
    after_ns = time.time_ns() + jump_s * 1_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: after_ns)
    monkeypatch.setattr("opentelemetry.sdk.trace.time_ns", lambda: after_ns)
    span.end()

    (event,) = [event for event in cars.events() if event.is_span]
    assert 0 < event.get("event.duration") < 100_000_000_000


def test_a_span_whose_times_are_given(cars):
    """Of work that was done before: they count."""
    tracer.start_span("work", start_time=1_000_000_000).end(end_time=3_000_000_000)

    assert _by_name(cars)["work"].get("event.duration") == 2_000_000_000


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.CLIENT])
@pytest.mark.parametrize(
    ("start", "expected_ns"), [(-5, 0), (1.5e9, 1_500_000_000), (10**19, 9_999_999_999_999_999_000)]
)
def test_a_span_of_an_odd_time(cars, kind, start, expected_ns):
    """It is recorded all the same, at the nearest time that a line can have."""
    tracer.start_span("work", kind=kind, start_time=start).end(end_time=start)

    event = _by_name(cars)["work"]
    assert event.time_ns == expected_ns
    assert event.get("event.duration") == 0


def test_a_span_that_ends_before_it_begins(cars):
    """Took no time."""
    tracer.start_span("work", start_time=2_000_000_000).end(end_time=1_000_000_000)

    assert _by_name(cars)["work"].get("event.duration") == 0


UNSAMPLED = """
import flask, sys
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import dashcam

exporter = InMemorySpanExporter()
if "own" in sys.argv:
    provider = TracerProvider()
    trace.set_tracer_provider(provider)
early = trace.get_tracer("early")
app = flask.Flask("garage")
dashcam.init_app(app, "garage")
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))

@app.get("/")
def index():
    dashcam.get_logger("garage").info("shows a car")
    with early.start_as_current_span("work"):
        carrier = {}
        propagate.inject(carrier)
    if "fail" in flask.request.args:
        raise ValueError("no wheel")
    return carrier["traceparent"][-2:]

trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
def ask(path, flag):
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-{flag}", "X-Request-ID": "golf-1"}
    return app.test_client().get(path, headers=headers)

print(ask("/", "00").text, ask("/?fail", "00").status_code, len(exporter.get_finished_spans()))
print(ask("/", "01").text, len(exporter.get_finished_spans()))
"""


@pytest.mark.parametrize("provider", ["ours", "own"])
def test_requests_that_are_not_sampled(recording, provider):
    """All is recorded, however little of it exporters and other services get."""
    printed = run(UNSAMPLED, provider, env=recording.environment)

    assert printed.splitlines() == ["00 500 0", "01 2"]
    events = recording.events()
    spans = [(event.get("message"), event.get("event.outcome")) for event in events if event.is_span]
    served, work = ("GET /", "success"), ("work", "success")
    assert sorted(spans) == sorted([served, served, ("GET /", "failure"), work, work, work])
    assert {event.get("trace.id") for event in events} == {"4bf92f3577b34da6a3ce929d0e0e4736"}
    assert [event.get("error.type") for event in events if event.get("error.stack_trace")] == ["ValueError"]


def test_a_sampler_that_drops_everything(recording):
    """Is for exporters: what is recorded is recorded."""
    run(UNSAMPLED, env=recording.environment | {"OTEL_TRACES_SAMPLER": "always_off"})

    assert len([event for event in recording.events() if event.is_span]) == 6


DEATHS = """
import atexit, sys, threading
import dashcam
dashcam.init("cars")
if "thread" in sys.argv:
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
elif "greenlet" in sys.argv:
    import gevent
    gevent.spawn(lambda: 1 / 0).join()
    gevent.spawn(sys.exit).join()
elif "exit" in sys.argv:
    sys.exit("the end")
elif "nowhere" in sys.argv:
    class Car:
        def __del__(self):
            1 / 0
    Car()
    atexit.register(lambda: 1 / 0)
elif "interrupt" in sys.argv:
    raise KeyboardInterrupt
elif "hook" in sys.argv:
    sys.excepthook = lambda kind, error, trace: print(repr(error), file=sys.stderr)
    1 / 0
elif "logging" in sys.argv:
    sys.excepthook = lambda *told: dashcam.get_logger("cars").error("the end", exc_info=told)
    1 / 0
elif "shown" in sys.argv:
    try:
        1 / 0
    except ZeroDivisionError as error:
        sys.last_value = error.with_traceback(error.__traceback__.tb_next)  # as pytest does, for a debugger
else:
    1 / 0
"""


IGNORED = (
    "Exception ignored while calling deallocator Car.__del__"  # Python's own words
    if sys.version_info >= (3, 14)
    else "exception ignored in Car.__del__",
    "Exception ignored in atexit callback <lambda>",
)


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("main", [("critical", "unhandled exception", "ZeroDivisionError")]),
        ("thread", [("error", "unhandled exception in a thread", "ZeroDivisionError")]),
        ("greenlet", [("error", "unhandled exception in a greenlet", "ZeroDivisionError")]),
        ("nowhere", [("error", message, "ZeroDivisionError") for message in IGNORED]),
        ("exit", []),
        ("interrupt", []),
        ("hook", [("critical", "unhandled exception", "ZeroDivisionError")]),
        ("logging", [("error", "the end", "ZeroDivisionError")]),
        ("shown", []),
    ],
)
def test_what_ends_a_process(recording, way, expected):
    """An error nobody handled is recorded once, and still printed."""
    program = (
        f"import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', {DEATHS!r}, {way!r}], stderr=-1).stderr)"
    )
    printed = run(program, env=recording.environment)

    told = [(event.get("log.level"), event.get("message"), event.get("error.type")) for event in recording.events()]
    assert told == expected
    assert ("ZeroDivisionError" in printed) == bool(expected)
    assert "opentelemetry" not in printed


CELLS = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("import dashcam; dashcam.init('notebook')")
shell.run_cell("1 / 0")
shell.run_cell("dashcam.init('notebook')")
shell.run_cell("1 /")
shell.run_cell("raise KeyboardInterrupt")
shell.run_cell("print(6 * 7)")
"""


def test_what_ends_a_cell_of_a_notebook(recording):
    """It is recorded once, and the notebook shows it as before."""
    pytest.importorskip("IPython", reason="IPython is missing: pip install ipython")
    home = {"IPYTHONDIR": str(recording.folder.parent)}
    printed = run(CELLS, env=recording.environment | home)

    told = [(event.get("message"), event.get("error.type")) for event in recording.events() if event.get("error.type")]
    assert told == [("unhandled exception in a cell", name) for name in ("ZeroDivisionError", "SyntaxError")]
    assert "ZeroDivisionError" in printed
    assert printed.endswith("42\n")


KILLED = """
import os, signal, sys
import dashcam
from flask import Flask

app = Flask("cars")
dashcam.init_app(app)

@app.get("/<way>")
def handle(way):
    if way == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return way

for way in ("first", "second", "killed"):
    app.test_client().get(f"/{way}", headers={"X-Request-ID": way})
"""


def test_a_request_that_was_open_when_its_process_was_killed(recording):
    """It is reported as aborted, and only it: those before had ended."""
    subprocess.run([sys.executable, "-c", KILLED], env=recording.environment, check=False)

    found = [(event.get("http.request.id"), event.get("event.action")) for event in recording.events()]
    assert sorted(found, key=str) == [("first", None), ("killed", "request-aborted"), ("second", None)]


def test_a_request_that_ended_is_not_open_any_more(recording):
    """Only what is open is carried over into the next segment, and reported as aborted when the process dies."""
    app = Flask("cars")
    dashcam.init_app(app)
    app.get("/")(lambda: str(len(list(open_requests(lambda _: True)))))

    assert app.test_client().get("/").text == "1"
    assert list(open_requests(lambda _: True)) == []
