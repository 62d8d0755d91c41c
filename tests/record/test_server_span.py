"""The span of a served request says what the request was."""

import flask
import pytest
from opentelemetry import trace

import dashcam


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
