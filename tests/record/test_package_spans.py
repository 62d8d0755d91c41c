"""The span of a request is the one that OpenTelemetry's own instrumentation makes of it."""

import threading
from wsgiref.util import setup_testing_defaults

import flask
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.propagators import TraceResponsePropagator, set_global_response_propagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import dashcam
from dashcam.record.spans.recording import processors_of

from ..processes import run

REQUESTS = {
    "found": {"path": "/cars/golf"},
    "query": {"path": "/cars/golf?limit=2&token=hunter2", "method": "POST", "data": b"x" * 19},
    "not found": {"path": "/nowhere"},
    "not allowed": {"path": "/cars/golf", "method": "DELETE"},
    "a method of nobody": {"path": "/cars/golf", "method": "BREW"},
    "head": {"path": "/cars/golf", "method": "HEAD"},
    "failing": {"path": "/fail"},
    "refused": {"path": "/abort/409"},
    "unavailable": {"path": "/abort/503"},
    "a stream": {"path": "/stream"},
    "another host": {"path": "/cars/golf", "base_url": "https://cars.example:8443"},
    "a robot": {"path": "/cars/golf", "headers": {"User-Agent": "Googlebot/2.1"}},
    "of a trace": {"path": "/cars/golf", "headers": {"traceparent": f"00-{'4b' * 16}-{'00f0' * 4}-01"}},
    "a path of other letters": {"path": "/cars/K\u00e4fer"},
    "a server of its own": {
        "path": "/cars/golf",
        "environ_overrides": {"RAW_URI": "/cars/golf", "REMOTE_PORT": "4242"},
    },
}


def garage(**config):
    app = flask.Flask("garage")
    app.config.update(config)
    app.add_url_rule("/cars/<name>", view_func=car, methods=["GET", "POST"])
    app.add_url_rule("/abort/<int:code>", view_func=flask.abort, endpoint="abort")
    app.add_url_rule("/fail", view_func=fail)
    app.add_url_rule("/stream", view_func=stream)
    app.add_url_rule("/copied", view_func=copied)
    return app


def car(name):
    return {"name": name}


def fail():
    raise ValueError("no wheel")


def stream():
    return flask.Response(flask.stream_with_context(part for part in ("a", flask.request.path)))


def copied():
    """Work goes on in a thread with a copy of the request, which ends before the request does."""
    seen = []
    thread = threading.Thread(target=flask.copy_current_request_context(lambda: seen.append(flask.request.path)))
    thread.start()
    thread.join()
    trace.get_current_span().set_attribute("seen", seen)
    return "ok"


def told(exporter):
    """What the spans say, but for ids and times."""
    return [
        {
            "name": span.name,
            "kind": span.kind,
            "parent": span.parent,
            "attributes": dict(span.attributes),
            "status": (span.status.status_code, span.status.description),
            "events": [(event.name, event.attributes.get("exception.type")) for event in span.events],
            "scope": span.instrumentation_scope,
        }
        for span in exporter.get_finished_spans()
    ]


def ask(app, request):
    try:
        with app.test_client().open(**request) as answer:
            return answer.status_code, answer.get_data()
    except ValueError as error:
        return str(error)


@pytest.fixture
def onlooker(recording):
    """What somebody else is told of this process's spans."""
    dashcam.init("garage")
    exporter = InMemorySpanExporter()
    processor = SimpleSpanProcessor(exporter)
    provider = trace.get_tracer_provider()
    provider.add_span_processor(processor)
    yield exporter
    others = tuple(each for each in processors_of(provider) if each is not processor)
    provider._active_span_processor._span_processors = others


def by_the_package(request, config):
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = garage(**config)
    FlaskInstrumentor().instrument_app(app, tracer_provider=provider)
    return ask(app, request), told(exporter)


@pytest.mark.parametrize("config", [{}, {"TESTING": True}], ids=["served", "testing"])
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_the_same_span(onlooker, request_, config):
    """Name, kind, parent, attributes, status, events, scope; twice, for what is kept from one to the next."""
    app = garage(**config)
    dashcam.init_app(app, "garage")

    for _ in range(2):
        onlooker.clear()
        answered = ask(app, request_)

        assert (answered, told(onlooker)) == by_the_package(request_, config)


def test_a_copy_of_the_request_does_not_end_it(onlooker):
    """What is put on the span afterwards is still put on it."""
    app = garage()
    dashcam.init_app(app, "garage")

    ask(app, {"path": "/copied"})

    (span,) = told(onlooker)
    assert span["attributes"]["seen"] == ("/copied",)
    assert span["attributes"]["http.response.status_code"] == 200


def test_within_a_span_of_somebody_else(onlooker):
    """What is around Flask began the request: it is a part of that, as the instrumentation has it."""
    app = garage()
    dashcam.init_app(app, "garage")

    with trace.get_tracer("outer").start_as_current_span("outer"):
        ask(app, {"path": "/cars/golf"})

    inner, outer = onlooker.get_finished_spans()
    assert (inner.name, inner.kind, outer.name) == ("GET /cars/<name>", trace.SpanKind.INTERNAL, "outer")
    assert inner.parent.span_id == outer.context.span_id
    assert not trace.get_current_span().get_span_context().is_valid


EXCLUDED = """
import flask
import dashcam
app = flask.Flask("garage")
dashcam.init_app(app, "garage")
app.add_url_rule("/healthz", view_func=lambda: "well", endpoint="health")
app.add_url_rule("/cars", view_func=lambda: "cars", endpoint="cars")
print([app.test_client().get(path).text for path in ("/healthz?deep", "/cars")])
"""


def test_excluded_addresses(recording):
    """They are answered, with no span of theirs."""
    environment = recording.environment | {"OTEL_PYTHON_FLASK_EXCLUDED_URLS": "healthz,metrics"}

    assert run(EXCLUDED, env=environment) == "['well', 'cars']\n"

    assert [event.get("message") for event in recording.events()] == ["GET /cars"]


def test_captured_headers(onlooker, monkeypatch):
    """OpenTelemetry's own settings go on to do what they say."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", "X-Colour")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE", "Content-Type")
    app = garage()
    dashcam.init_app(app, "garage")

    ask(app, {"path": "/cars/golf", "headers": {"X-Colour": "red"}})

    (span,) = told(onlooker)
    assert span["attributes"]["http.request.header.x_colour"] == ("red",)
    assert span["attributes"]["http.response.header.content_type"] == ("application/json",)


def test_headers_of_an_answer_that_name_the_trace(onlooker):
    """A response propagator that a service has set."""
    set_global_response_propagator(TraceResponsePropagator())
    try:
        app = garage()
        dashcam.init_app(app, "garage")
        answer = app.test_client().get("/cars/golf")
    finally:
        set_global_response_propagator(None)

    (span,) = onlooker.get_finished_spans()
    assert f"{span.context.trace_id:032x}" in answer.headers["traceresponse"]


def test_a_status_that_nobody_got(onlooker, recording):
    """An application that fails before its first part: the SDK's span has its status, the server answers by itself."""
    environ = {}
    setup_testing_defaults(environ)

    def app(_, start_response):
        start_response("200 OK", [])
        yield 1 / 0

    with pytest.raises(ZeroDivisionError):
        b"".join(dashcam.wsgi(app, "garage")(environ, lambda *_: None))

    (span,) = [event for event in recording.events() if event.is_span]
    assert (span.get("http.response"), span.get("event.outcome")) == (None, "failure")
    assert [each.attributes["http.response.status_code"] for each in onlooker.get_finished_spans()] == [200]
