"""What a program adds to a span of its own is in the story: events, exceptions, and why the span failed."""

import contextlib

import pytest
from flask import Flask
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

import dashcam

from ..processes import run

tracer = trace.get_tracer("garage.lifts")

PROGRAM = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import dashcam

dashcam.init("cars")
if "sdk" in sys.argv:
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
tracer = trace.get_tracer("garage.lifts")
with tracer.start_as_current_span("lift the car") as span:
    span.add_event("halfway", {"height.cm": 90})
    try:
        raise ConnectionError("sensor 3, password=hunter2")
    except ConnectionError as error:
        span.record_exception(error, {"attempt": 1})
    span.add_event("top", timestamp=1_795_484_146_000_000_000)
try:
    with tracer.start_as_current_span("lower the car"):
        raise ValueError("the valve is stuck")
except ValueError:
    pass
with tracer.start_as_current_span("turn the car") as span:
    span.set_status(trace.Status(trace.StatusCode.ERROR, "the table does not turn"))
"""


@pytest.fixture(params=["nobody", "sdk"])
def events(request, recording):
    """What the program recorded, by message; spans that nobody else looks at, and those of the SDK."""
    run(PROGRAM, request.param, env=recording.environment)
    return {event.get("message"): event for event in recording.events()}


def test_an_event_is_a_line_of_the_span(events):
    """At the time when it was added, by the name of who made the span."""
    span, halfway = events["lift the car"], events["halfway"]

    assert halfway.labels == {"height.cm": 90}
    assert [halfway.get(name) for name in ("log.level", "log.logger")] == ["info", "garage.lifts"]
    assert [halfway.get(name) for name in ("trace.id", "span.id", "transaction.id")] == [
        span.get(name) for name in ("trace.id", "span.id", "transaction.id")
    ]
    assert events["top"].get("@timestamp").startswith("2026-11-24")


def test_an_exception_is_a_line_with_its_trace(events):
    """A warning: whether the work failed is what the span says. Secrets are masked."""
    line = events["exception"]

    assert [line.get(name) for name in ("log.level", "error.type")] == ["warning", "ConnectionError"]
    assert line.get("error.message") == "sensor 3, password=***"
    assert 'File "<string>", line ' in line.get("error.stack_trace")
    assert "hunter2" not in line.get("error.stack_trace")
    assert line.labels == {"attempt": 1}
    assert events["lift the car"].get("event.outcome") == "success"


@pytest.mark.parametrize(
    ("name", "message"),
    [("lower the car", "ValueError: the valve is stuck"), ("turn the car", "the table does not turn")],
)
def test_a_span_says_why_it_failed(events, name, message):
    """On its own line; what ended the span is no line beside."""
    assert events[name].get("event.outcome") == "failure"
    assert events[name].get("error.message") == message
    assert len(events) == 6


def test_what_ends_a_request_is_recorded_once(cars):
    """Though each span that it passes on its way out is told of it."""
    app = Flask("garage")
    dashcam.init_app(app)

    @app.get("/lifts")
    def lifts():
        with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
            raise ValueError("no lift")

    assert app.test_client().get("/lifts").status_code == 500
    said = {event.get("message"): event.get("error.message") for event in cars.events()}

    assert len(said) == len(cars.events())
    assert said == {
        "unhandled exception": "no lift",
        "outer": "ValueError: no lift",
        "inner": "ValueError: no lift",
        "GET /lifts": None,  # the line has it
    }


def test_the_level_is_that_of_log_lines(recording, monkeypatch):
    """`LOG_LEVEL` leaves out events, and no exception."""
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    dashcam.init("cars")
    with tracer.start_as_current_span("work") as span:
        span.add_event("noticed")
        span.record_exception(ValueError("no wheel"))

    assert [event.get("message") for event in recording.events()] == ["work", "exception"]


def test_levels_of_single_tracers(recording, monkeypatch):
    """`LOG_LEVELS` knows them by their names, as loggers."""
    monkeypatch.setenv("LOG_LEVELS", "garage=ERROR")
    dashcam.init("cars")
    with tracer.start_as_current_span("work") as span:
        span.add_event("noticed")

    assert [event.get("message") for event in recording.events()] == ["work"]


class Interrupting:
    def __str__(self):
        raise KeyboardInterrupt


def test_an_interruption_leaves_the_context_as_it_was(cars):
    """What is recorded later is no part of a span that was not current."""
    before = trace.get_current_span()
    with pytest.raises(KeyboardInterrupt):
        tracer.start_span("work").add_event("noticed", {"by": Interrupting()})

    assert trace.get_current_span() is before


def test_a_type_is_said_once(cars):
    """Where the span has it, too."""
    with contextlib.suppress(ValueError), dashcam.job("repair"), dashcam.span("lift"):
        raise ValueError("no lift")

    (lift,) = [event for event in cars.events() if event.get("message") == "lift"]
    assert [lift.get("error.type"), lift.get("error.message")] == ["ValueError", "no lift"]


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "add",
    [
        lambda span: span.add_event("odd", {"a": object(), "exc_info": 7, "stack_info": 8}),
        lambda span: span.add_event(7),
        lambda span: span.add_event("odd", timestamp=-1),
        lambda span: span.add_event("odd", timestamp=2**80),
        lambda span: span.add_event("odd", timestamp=1.5),
        lambda span: span.record_exception(Unprintable()),
        lambda span: span.set_status(Status(StatusCode.ERROR, "\ud800" * 100_000)),
    ],
)
def test_odd_values(cars, add):
    """Nothing is raised, and nothing lost."""
    span = tracer.start_span("work")
    with contextlib.suppress(AttributeError):  # as the API does
        add(span)
    span.end()

    assert "work" in {event.get("message") for event in cars.events()}
    assert len(cars.events()) in {1, 2}


def test_an_ended_span(cars):
    """What comes too late is not recorded, as with the SDK."""
    with tracer.start_as_current_span("work") as span:
        pass
    span.add_event("late")
    span.record_exception(ValueError("late"))

    recorded = [event.get("message") for event in cars.events()]
    assert [message for message in recorded if not message.startswith("Tried calling")] == ["work"]
