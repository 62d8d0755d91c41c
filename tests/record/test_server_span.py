"""The span of a served request says what the request was."""

import flask
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import dashcam
from dashcam.record.context.correlation import parent_of


@pytest.fixture
def client(recording):
    app = flask.Flask("cars")
    dashcam.init_app(app)

    @app.post("/cars/<name>")
    def create(name):
        span = trace.get_current_span()
        span.set_attribute("wheels", 4)
        span.set_attribute("db_password", "hunter2")
        return dict(span.attributes)

    return app.test_client()


@pytest.fixture
def served(recording, client):
    def served(path, **request):
        client.post(path, headers={"X-Request-ID": "r1"}, **request)
        return next(event for event in recording.events() if event.is_span)

    return served


def test_leaves_the_span_its_attributes(client):
    """A handler sees on its span what the instrumentation knows of the request."""
    attributes = client.post("/cars/golf").json

    assert {"http.request.method", "http.route", "url.path", "url.scheme", "server.port"} <= attributes.keys()
    assert attributes["http.route"] == "/cars/<name>"


def test_says_what_was_asked_and_answered(served):
    """Method, route, path, query, sizes and status are fields of the span."""
    event = served("/cars/golf?color=red", data=b"x" * 19)

    assert event.get("http.request") == {"id": "r1", "method": "POST", "body": {"bytes": 19}}
    assert event.get("http.route") == "/cars/<name>"
    assert event.get("http.response.status_code") == 200
    assert event.get("http.response.body.bytes") > 0
    assert event.get("url") == {"scheme": "http", "path": "/cars/golf", "query": "color=red"}


def test_decodes_a_path(served):
    """A path of other letters than ASCII is recorded as people write it."""
    assert served("/cars/Käfer").get("url.path") == "/cars/Käfer"


def test_masks_what_a_caller_wrote(served):
    """A secret in the query, or in an attribute by its name, is masked."""
    event = served("/cars/golf?token=hunter2")

    assert event.get("url.query") == "token=***"
    assert event.labels == {"wheels": 4, "db_password": "***"}


def test_takes_spans_of_other_instrumentation(recording):
    """A server span that Flask did not begin is told from its attributes alone."""
    dashcam.init("worker")
    attributes = {"http.method": "GET", "http.status_code": 503, "http.user_agent": "curl password=x"}

    with trace.get_tracer("other").start_as_current_span("GET", kind=trace.SpanKind.SERVER, attributes=attributes):
        pass

    (event,) = recording.events()
    assert event.get("http") == {"request": {"method": "GET"}, "response": {"status_code": 503}}
    assert event.get("user_agent.original") == "curl password=***"
    assert event.get("event.outcome") == "failure"


def test_keeps_what_changes_while_a_request_is_served(recording):
    """A span's last name and attributes count; what `dashcam.add` says goes before an attribute of the name."""
    app = flask.Flask("cars")
    dashcam.init_app(app)

    @app.get("/")
    def look():
        span = trace.get_current_span()
        span.update_name("a closer look")
        span.set_attributes({"http.route": "/else", "wheels": 3})
        dashcam.add(wheels=4)
        return ""

    app.test_client().get("/")

    (event,) = recording.events()
    assert event.get("message") == event.get("transaction.name") == "a closer look"
    assert event.get("http.route") == "/else"
    assert event.labels == {"wheels": 4}


PIECES = st.sampled_from(
    ["00", "01", "ff", "-", "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "0" * 32, "0" * 16]
)
NEARLY = st.lists(PIECES | st.text("0aF- \n", max_size=3), max_size=8).map("".join)
USUAL = st.builds(
    "00-{:032x}-{:016x}-{:02x}".format, st.integers(0, 2**128 - 1), st.integers(0, 2**64 - 1), st.integers(0, 255)
)


@given(NEARLY | USUAL)
def test_a_parent_is_that_of_the_propagator(traceparent):
    """Any other `traceparent` is left to it."""
    extracted = TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())

    parent = parent_of(traceparent)

    assert parent is None or parent.get_span_context() == trace.get_current_span(extracted).get_span_context()


@given(USUAL)
def test_a_usual_parent_is_read_here(traceparent):
    """But for ids of zeros, which name no span."""
    _, trace_id, span_id, _ = traceparent.split("-")

    assert (parent_of(traceparent) is None) == (0 in (int(trace_id, 16), int(span_id, 16)))
