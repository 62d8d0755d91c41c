"""A light span is to its maker what the SDK's is, and gives way to it as soon as somebody else looks."""

import asyncio
import os
import random

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from dashcam.record.context.correlation import new_request_id, random_bits
from dashcam.record.spans.recording import SpoolProcessor
from dashcam.record.spans.tracer import LightSpan, Provider

REMOTE = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("a", "b")]))


@pytest.fixture
def light(cars):
    provider = Provider(Resource.create({"service.name": "cars"}))
    provider.add_span_processor(SpoolProcessor())
    return provider


@pytest.fixture
def providers(light):
    return light, TracerProvider(resource=Resource.create({"service.name": "cars"}))


def test_a_program_that_seeds_its_random_numbers(light):
    """It gets its own numbers as without us, and seeding them twice gives no two requests or spans the same ID."""
    tracer, ids = light.get_tracer("cars"), []
    random.seed(7)
    expected = random.random()
    for _ in range(2):
        random.seed(7)
        span = tracer.start_span("step", Context())
        span.end()
        ids += [new_request_id()[14:], span.context.trace_id, span.context.span_id]
        assert random.random() == expected

    assert len(set(ids)) == 6


def test_a_forked_child_has_ids_of_its_own():
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, f"{random_bits(128)}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as file:
        assert file.read() not in {"", str(random_bits(128))}


def use(tracer):
    """All that can be done with a span; what it says of itself at the end."""
    context = trace.set_span_in_context(trace.NonRecordingSpan(REMOTE))
    span = tracer.start_span("first", context, SpanKind.CLIENT, {"a": 1, "b": "x"}, start_time=1_000)
    span.set_attribute("a", 2)
    span.set_attributes({"c": [1, 2], "d": 2.5})
    span.update_name("second")
    span.add_event("noticed", {"e": 1}, 1_500)
    span.set_status(Status(StatusCode.ERROR, "no wheel"))
    span.set_status(StatusCode.UNSET)
    span.add_link(REMOTE)
    was_recording = span.is_recording()
    span.end(2_000)
    span.end(3_000)
    span.set_attribute("a", 3)
    return {
        "name": span.name,
        "kind": span.kind,
        "parent": span.parent,
        "attributes": {name: list(v) if isinstance(v, tuple) else v for name, v in span.attributes.items()},
        "events": [(event.name, dict(event.attributes), event.timestamp) for event in span.events],
        "status": (span.status.status_code, span.status.description),
        "times": (span.start_time, span.end_time),
        "recording": (was_recording, span.is_recording()),
        "scope": span.instrumentation_scope,
        "resource": span.resource.attributes["service.name"],
        "trace": (span.get_span_context().trace_id, span.get_span_context().trace_state),
    }


def test_a_span_says_the_same_of_itself(providers):
    """Whoever made it."""
    light, sdk = (use(provider.get_tracer("tests", "1.0", "https://schema")) for provider in providers)

    assert light == sdk


@pytest.mark.parametrize("flags", [0, 1, 2, 3])
def test_flags_go_on_as_they_came(light, flags):
    """With the identity of the trace; a trace of our own is sampled."""
    tracer = light.get_tracer("tests")
    remote = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(flags))
    span = tracer.start_span("work", trace.set_span_in_context(trace.NonRecordingSpan(remote)))

    assert isinstance(span, LightSpan)
    assert (span.get_span_context().trace_id, span.get_span_context().trace_flags) == (1, flags)
    assert tracer.start_span("work").get_span_context().trace_flags.sampled


def test_blocks_and_decorators(providers):
    """`start_as_current_span` is both, also of a coroutine; each call is a span."""
    for provider in providers:
        tracer = provider.get_tracer("tests")

        @tracer.start_as_current_span("sync")
        def current(number):
            return number, trace.get_current_span()

        @tracer.start_as_current_span("async")
        async def current_later(number):
            await asyncio.sleep(0)
            return number, trace.get_current_span()

        found = [current(1), current(2), asyncio.run(current_later(3))]

        assert [number for number, _ in found] == [1, 2, 3]
        assert [span.name for _, span in found] == ["sync", "sync", "async"]
        assert len({span.get_span_context().span_id for _, span in found}) == 3
        assert not any(span.is_recording() for _, span in found)
        assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.parametrize(
    "choices", [{}, {"record_exception": False}, {"set_status_on_exception": False}, {"end_on_exit": False}]
)
def test_an_exception(providers, choices):
    """Sets the status and is an event, unless the maker does not want that."""
    seen = []
    for provider in providers:
        tracer = provider.get_tracer("tests")
        with pytest.raises(KeyError), tracer.start_as_current_span("work", **choices) as span:
            {}["no wheel"]
        status = span.status.status_code, span.status.description
        seen.append((status, [event.name for event in span.events], span.is_recording()))

    assert seen[0] == seen[1]


def test_somebody_else_who_looks(light):
    """From then on spans are the SDK's, and come to the exporter as ever."""
    tracer, exporter = light.get_tracer("tests"), InMemorySpanExporter()
    assert isinstance(tracer.start_span("before"), LightSpan)

    light.add_span_processor(SimpleSpanProcessor(exporter))
    with tracer.start_as_current_span("after", attributes={"a": 1}):
        pass

    (span,) = exporter.get_finished_spans()
    assert (span.name, dict(span.attributes)) == ("after", {"a": 1})


@pytest.mark.parametrize("name", ["OTEL_TRACES_SAMPLER", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"])
def test_settings_of_the_sdk(monkeypatch, cars, name):
    """A sampler or a limit is the SDK's to keep."""
    monkeypatch.setenv(name, {"OTEL_TRACES_SAMPLER": "always_on"}.get(name, "3"))
    provider = Provider(Resource.create({}))
    provider.add_span_processor(SpoolProcessor())

    assert not isinstance(provider.get_tracer("tests").start_span("work"), LightSpan)
