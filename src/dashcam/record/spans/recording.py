"""Records OpenTelemetry spans, begun and finished: the span of a served request is its access line."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, TracerProvider
from opentelemetry.util.types import Attributes

from dashcam.record.context import recorder
from dashcam.record.context.correlation import JOB, OpenSpan, ServerRequest, open_spans
from dashcam.record.context.current import get_current
from dashcam.record.context.open_span import open_of
from dashcam.record.spans.span_events import record_all
from dashcam.record.spans.span_line import RecordableSpan, encode_end, encode_start
from dashcam.spool.line import MAX_TIME_NS

MAX_CLOCK_LAG_NS = 10_000_000  # the most between a time that the SDK takes and our look at it
_SERVER = SpanKind.SERVER
_CONSUMER = SpanKind.CONSUMER  # takes a message from a queue, as a Celery worker does


class SpoolProcessor(SpanProcessor):
    """Records the spans of the SDK: each open one, the start of a served request, and each that ends."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Keep the span among the open ones; never raises."""
        context = get_current() if parent_context is None else parent_context
        attributes: Any = span.attributes or {}
        open_span(span, span.context, span.parent, attributes.copy(), context)

    def on_end(self, span: ReadableSpan) -> None:
        """Record the span; never raises."""
        if span.events and span.context.span_id in open_spans:
            record_all(span)
        if known := open_spans.pop(span.context.span_id, None):
            # The SDK's own mapping makes two calls for each value that is read; its copy is a plain dictionary.
            attributes: Any = span.attributes or {}
            close_span(span, attributes.copy(), known)


PROCESSOR: Final = SpoolProcessor()


class Identity(Protocol):
    """The identity of a span: that of the SDK, or a light span itself."""

    @property
    def trace_id(self) -> int: ...
    @property
    def span_id(self) -> int: ...
    @property
    def is_remote(self) -> bool: ...


def open_span(  # noqa: PLR0913, PLR0917 — one call for each span
    span: RecordableSpan,
    identity: Identity,
    parent: Identity | None,
    attributes: dict[str, Any],
    context: Mapping[str, Any],
    monotonic_start_ns: int | None = None,
) -> None:
    """Keep a span among the open ones, and mark the start of a served request; never raises.

    `monotonic_start_ns` is given of a span that begins now; of any other one its time says when it did.
    """
    try:
        start_ns: Any = span.start_time
        if monotonic_start_ns is None or not 0 <= start_ns <= MAX_TIME_NS:
            monotonic_start_ns, start_ns = monotonic_start_ns or _monotonic_start(start_ns), _start_ns(start_ns)
        is_root = span.kind is _SERVER or span.kind is _CONSUMER or JOB in context
        above = parent_id = None
        if parent:
            parent_id = parent.span_id
            above = None if parent.is_remote else open_spans.get(parent_id)
        ids = identity.trace_id, (span_id := identity.span_id), parent_id
        known = open_spans[span_id] = open_of(*ids, above, is_root, context, monotonic_start_ns, start_ns)
    except Exception:  # noqa: BLE001 — telemetry never fails a request
        recorder.give_up()
    else:
        if known.served and known.transaction == known.span_id:
            mark_request(span, attributes, known, known.served)


def close_span(
    span: RecordableSpan, attributes: dict[str, Any], known: OpenSpan, duration_ns: int | None = None
) -> None:
    """Record a span that has ended; never raises. Without a duration, the span's times say it.

    It is not among the open ones any more: a new segment that begins meanwhile must not open it again.
    """
    try:
        took_ns = _duration_of(span, known.monotonic_start_ns) if duration_ns is None else duration_ns
        recorder.current(known.service).append(encode_end(span, attributes, known, took_ns))
    except Exception:  # noqa: BLE001 — telemetry never fails a request
        recorder.give_up()


def mark_request(span: RecordableSpan, attributes: dict[str, Any], known: OpenSpan, served: ServerRequest) -> None:
    """Mark a served request as open; a later mark, which says more, stands for the former. Never raises."""
    try:
        served.start = encode_start(span, attributes, known)
        recorder.current(known.service).append(served.start)
    except Exception:  # noqa: BLE001 — telemetry never fails a request
        recorder.give_up()


class RecordingSampler(Sampler):
    """Records what another sampler drops: without the sampled flag, so no exporter and no other service takes it."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(  # noqa: PLR0913, PLR0917 — the parameters are the SDK's
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[trace.Link] | None = None,
        trace_state: trace.TraceState | None = None,
    ) -> SamplingResult:
        """Return what the other sampler decides, with `RECORD_ONLY` in place of `DROP`."""
        result = self._sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if result.decision is Decision.DROP:
            return SamplingResult(Decision.RECORD_ONLY, attributes, result.trace_state)
        return result

    def get_description(self) -> str:
        """Return the description of the other sampler."""
        return self._sampler.get_description()


def record_unsampled(provider: SdkTracerProvider) -> None:
    """Have a provider record every span; its sampler goes on to decide which of them exporters get."""
    if not isinstance(provider.sampler, RecordingSampler):
        provider.sampler = RecordingSampler(provider.sampler)
        # Each tracer keeps the sampler of the time when somebody asked for it; there is no public list of them.
        for tracer in getattr(provider, "_tracers", {}).values():
            tracer.sampler = provider.sampler


def record_tracer(tracer: trace.Tracer) -> None:
    """Record the spans of a tracer of the SDK whose provider is not the global one."""
    processors = getattr(tracer, "span_processor", None)
    if processors and PROCESSOR not in getattr(processors, "_span_processors", ()):
        processors.add_span_processor(PROCESSOR)
        tracer.sampler = RecordingSampler(tracer.sampler)  # type: ignore[attr-defined]


def processors_of(provider: TracerProvider) -> tuple[SpanProcessor, ...]:
    """Return the span processors of a provider, none if this release keeps them elsewhere: there is no public way."""
    return getattr(getattr(provider, "_active_span_processor", None), "_span_processors", ())


def _monotonic_start(start_time: int | None) -> int:
    since_ns = time.time_ns() - (start_time or 0)
    # 0 if the time was not taken just now: the clock that never jumps does not know it.
    return time.monotonic_ns() - int(since_ns) if 0 <= since_ns < MAX_CLOCK_LAG_NS else 0


def _start_ns(start_time: int | None) -> int:
    """Return when a span began, as a line can have it: anybody may give a span any time, even a fraction."""
    return max(0, min(int(start_time or 0), MAX_TIME_NS))


def _duration_of(span: RecordableSpan, monotonic_start_ns: int) -> int:
    end_ns = span.end_time or 0
    if monotonic_start_ns and 0 <= time.time_ns() - end_ns < MAX_CLOCK_LAG_NS:
        return time.monotonic_ns() - int(monotonic_start_ns)
    return max(0, int(end_ns - (span.start_time or 0)))  # a time given by hand
