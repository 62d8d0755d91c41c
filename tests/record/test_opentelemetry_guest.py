"""A service that has OpenTelemetry set up goes on as before: its exporter, its propagators, its console."""

import json
import subprocess
import sys

import pytest

from ..processes import finished

PROGRAM = """
import json, sys
import flask, requests
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

early = trace.get_tracer("early")
exporter = InMemorySpanExporter()
options = {}
if "unset" in sys.argv:
    options["tracer_provider"] = TracerProvider()
    options["tracer_provider"].add_span_processor(SimpleSpanProcessor(exporter))
if "hooked" in sys.argv:
    options["request_hook"] = lambda span, environ: span.set_attribute("hooked", True)
if "class" in sys.argv:  # as `opentelemetry-instrument` does
    FlaskInstrumentor().instrument(**options)
app = flask.Flask("garage")

@app.get("/cars/<car_id>")
def show(car_id):
    headers = {}
    token = context.attach(baggage.set_baggage("tenant", "acme"))
    with early.start_as_current_span("work"):
        propagate.inject(headers)
    context.detach(token)
    return headers

def others():
    if "unset" not in sys.argv:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
    if "class" not in sys.argv:
        FlaskInstrumentor().instrument_app(app, **options)

def ours():
    import dashcam
    dashcam.init("garage")
    dashcam.init_app(app)

def others_propagators():
    from opentelemetry.baggage.propagation import W3CBaggagePropagator
    propagate.set_global_textmap(W3CBaggagePropagator())

def reset():
    trace._TRACER_PROVIDER_SET_ONCE._done = False
    exporter.clear()

for step in sys.argv[1].split("-"):
    {"others": others, "ours": ours, "reset": reset, "baggage": others_propagators,
     "again": lambda: trace.set_tracer_provider(TracerProvider())}[step]()
remote = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "baggage": "a=b"}
carried = app.test_client().get("/cars/7", headers=remote).json
names = {span.context.span_id: span.name for span in exporter.get_finished_spans()}
print(json.dumps({
    "carried": sorted(carried), "baggage": carried.get("baggage"),
    "spans": [
        [span.kind.name, span.name, span.instrumentation_scope.name, f"{span.context.trace_id:x}",
         names.get(span.parent.span_id, span.parent.span_id), sorted(span.attributes)]
        for span in exporter.get_finished_spans()
    ],
}))
"""


@pytest.fixture
def seen(recording):
    """What the service's own exporter and its callees see, and its console."""

    def seen(*arguments, **environment):
        environment = recording.environment | {"OTEL_SEMCONV_STABILITY_OPT_IN": "http"} | environment
        done = finished(PROGRAM, *arguments, env=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    return seen


@pytest.mark.parametrize("order", ["others-ours", "ours-others"])
@pytest.mark.parametrize("arguments", [(), ("class",)])
def test_an_exporter_sees_what_it_saw(seen, recording, order, arguments):
    """The same spans, whoever is set up first, and ours has the whole request too."""
    alone, _ = seen("others", *arguments)
    together, _ = seen(order, *arguments)

    assert together["spans"] == alone["spans"]
    assert {event.get("message") for event in recording.events() if event.is_span} == {"GET /cars/<car_id>", "work"}


@pytest.mark.parametrize("order", ["others-ours", "ours-others"])
def test_baggage_goes_on(seen, order):
    """It is the service's own decision; the request ID goes with it."""
    alone, _ = seen("others")
    together, _ = seen(order)

    assert together["baggage"] == alone["baggage"] == "a=b,tenant=acme"
    assert together["carried"] == [*alone["carried"][:0], "X-Request-ID", *alone["carried"]]


def test_propagators_that_are_set_in_between(seen):
    """A second call of `init` keeps them, too."""
    assert seen("ours-baggage-ours")[0]["carried"] == ["X-Request-ID", "baggage"]


def test_no_baggage_without_opentelemetry(seen):
    """Nobody asked for it: what a caller sends would go to anybody."""
    alone, _ = seen("ours")

    assert alone["carried"] == ["X-Request-ID", "traceparent"]


@pytest.mark.parametrize(
    ("propagators", "carried"), [("baggage", ["X-Request-ID", "baggage"]), ("none", ["X-Request-ID"])]
)
def test_the_variable_of_propagators_holds(seen, propagators, carried):
    """Also without a provider of the service's own."""
    assert seen("ours", OTEL_PROPAGATORS=propagators)[0]["carried"] == carried


@pytest.mark.parametrize("arguments", [(), ("hooked",), ("unset",), ("class",)])
def test_the_console_stays_as_it_is(seen, arguments):
    """No warning of OpenTelemetry that was not there before."""
    assert seen("others-ours", *arguments)[1] == seen("others", *arguments)[1] == ""


@pytest.mark.parametrize("arguments", [("hooked",), ("unset",), ("class", "hooked"), ("class", "unset")])
def test_options_of_the_instrumentation_hold(seen, arguments):
    """A hook runs, and a provider that is not the global one gets its spans."""
    alone, together = (seen(order, *arguments)[0]["spans"] for order in ("others", "others-ours"))

    assert [span for span in together if span[0] != "INTERNAL" or span[1] == "work"][-1][-1] != []
    assert {tuple(span[-1]) for span in alone} <= {tuple(span[-1]) for span in together}


def test_tests_that_set_a_provider_again(seen):
    """Many do it by the name within OpenTelemetry."""
    again, printed = seen("ours-others-reset-others")

    assert again["spans"] == seen("others")[0]["spans"]
    assert "Overriding" not in printed


def test_a_provider_is_set_once(seen):
    """As OpenTelemetry has it: the second one is refused, with its warning."""
    once, _ = seen("ours-others")
    twice, printed = seen("ours-others-again")

    assert twice["spans"] == once["spans"]
    assert "Overriding of current TracerProvider is not allowed" in printed


SWITCHED_OFF = """
import sys
import flask, requests
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

def off():
    trace.set_tracer_provider(trace.NoOpTracerProvider())

def sdk():
    trace.set_tracer_provider(TracerProvider())

def ours():
    import dashcam
    dashcam.init_app(app, "garage")

app = flask.Flask("garage")

@app.get("/cars/<car_id>")
def show(car_id):
    try:
        requests.get("http://127.0.0.1:1/", timeout=1)
    except requests.ConnectionError:
        return "no answer"

for step in sys.argv[1].split("-"):
    {"off": off, "sdk": sdk, "ours": ours, "none": tuple}[step]()
app.test_client().get("/cars/7")
if "ours" in sys.argv[1]:
    import dashcam
    with dashcam.job("nightly"), dashcam.span("part"):
        pass
with trace.get_tracer("own").start_as_current_span("work") as span:
    print(type(trace.get_tracer_provider()).__name__, type(span).__name__)
"""


@pytest.mark.parametrize(
    ("without", "with_us", "environment"),
    [
        ("off", "off-ours", {}),
        ("off", "ours-off", {}),
        ("none", "ours", {"OTEL_SDK_DISABLED": "true"}),
        ("sdk", "sdk-ours", {"OTEL_SDK_DISABLED": "true"}),
        ("sdk", "ours-sdk", {"OTEL_SDK_DISABLED": "True"}),
    ],
)
def test_what_switches_opentelemetry_off_does_not_switch_us_off(recording, without, with_us, environment):
    """Its own spans stay off, with no word on the console; requests, jobs and calls are recorded all the same."""

    def run(*arguments):
        command = [sys.executable, "-W", "error", "-c", SWITCHED_OFF, *arguments]
        return subprocess.run(
            command, env=recording.environment | environment, capture_output=True, text=True, check=True
        )

    plain, recorded = run(without), run(with_us)

    assert (recorded.stdout, recorded.stderr) == (plain.stdout, plain.stderr)
    names = [event.get("span.name") for event in recording.events() if event.is_span]
    assert sorted(names) == ["GET", "GET /cars/<car_id>", "nightly", "part"]
