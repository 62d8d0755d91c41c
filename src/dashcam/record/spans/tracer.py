"""Spans for a process where nobody but the spool reads them, at a third of what the SDK's take.

`Provider` is the SDK's; once somebody adds a span processor, a sampler or limits, so are its spans. Until
then a span is a `LightSpan`: the same to whoever makes it, without copies, locks and records for readers that are not
there. docs/decisions/0005 has the microseconds.
"""

import os
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from functools import wraps
from inspect import iscoroutinefunction
from logging import getLogger
from time import monotonic_ns, time_ns
from types import MappingProxyType, TracebackType
from typing import Any, TypeGuard

import opentelemetry.metrics._internal as metrics_api
from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context, detach
from opentelemetry.environment_variables import OTEL_PYTHON_METER_PROVIDER
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, TracerProvider
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.util.types import Attributes, AttributeValue

from dashcam.record.context.correlation import HEADER, PROPAGATORS, REQUEST_ID, open_spans, random_bits
from dashcam.record.context.current import SPAN, attach, get_current, reset
from dashcam.record.spans.recording import close_span, open_span
from dashcam.record.spans.span_events import EXCEPTION, Added, record, record_exception
from dashcam.record.values.traces import describe

_log = getLogger("opentelemetry.sdk.trace")
_FLAGS = [TraceFlags(bits) for bits in range(4)]
_IS_RANDOM = getattr(RandomIdGenerator(), "is_trace_id_random", bool)()
_ROOT_FLAGS = _FLAGS[TraceFlags.SAMPLED | (TraceFlags.RANDOM_TRACE_ID if _IS_RANDOM else 0)]
_SETTINGS = ("OTEL_TRACES_SAMPLER", "OTEL_SPAN_", "OTEL_ATTRIBUTE_", "OTEL_PYTHON_SDK_INTERNAL_")
_UNSET = Status(StatusCode.UNSET)  # of most spans


_names_meters = OTEL_PYTHON_METER_PROVIDER in os.environ


def measures() -> bool:
    """Return true if the service has a meter provider; the API's own measures nothing."""
    if not _names_meters and getattr(metrics_api, "_METER_PROVIDER", metrics_api) is None:
        return False  # nobody has set one: to ask takes two microseconds
    return not type(metrics.get_meter_provider()).__module__.startswith("opentelemetry.metrics")


def _valid(span: object) -> SpanContext | None:
    context = span.get_span_context() if isinstance(span, trace.Span) else None
    return context if context and context.is_valid else None


class LightSpan(trace.Span):
    """A span that only the spool reads; what may be asked of the SDK's spans may be asked of it."""

    is_remote = False
    trace_id: int
    trace_flags: TraceFlags = _ROOT_FLAGS
    trace_state: TraceState | None = None
    events: Sequence[Event] = ()
    status = _UNSET
    end_time: int | None = None
    _context: SpanContext | None = None
    _parent: SpanContext | int | None = None  # of a light one its ID: the rest is the same, and it may be freed

    def __init__(  # noqa: PLR0913, PLR0917 — one call for each span
        self,
        tracer: "LightTracer",
        name: str,
        kind: SpanKind,
        attributes: dict[str, Any],
        context: Mapping[str, Any],
        start_time: int | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.span_id = random_bits(64) or 1
        self.start_time: int | None = time_ns() if start_time is None else start_time
        self._tracer = tracer
        self._attributes = attributes
        above = context.get(SPAN)
        parent: LightSpan | SpanContext | None = None
        if type(above) is LightSpan:  # what `isinstance` asks an abstract class takes long
            parent, self._parent, self.trace_id = above, above.span_id, above.trace_id
            self.trace_flags, self.trace_state = above.trace_flags, above.trace_state
        elif above is not None and (parent := _valid(above)):
            self._parent, self.trace_id, self.trace_state = parent, parent.trace_id, parent.trace_state
            # Parent-based, as the SDK's default sampler: the flag goes on as it came.
            self.trace_flags = _FLAGS[parent.trace_flags & 3]
        else:
            self.trace_id = random_bits(128) or 1
        open_span(self, self, parent, attributes, context, monotonic_ns() if start_time is None else None)

    @property
    def context(self) -> SpanContext:
        """The identity of the span; most are not asked for it."""
        if self._context is None:
            self._context = self._identity(self.span_id)
        return self._context

    @property
    def parent(self) -> SpanContext | None:
        """The identity of the span that this one is a part of."""
        return self._identity(self._parent) if isinstance(self._parent, int) else self._parent

    def _identity(self, span_id: int) -> SpanContext:
        flags, state = self.trace_flags, self.trace_state
        return SpanContext(self.trace_id, span_id, is_remote=False, trace_flags=flags, trace_state=state)

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes, to read."""
        return MappingProxyType(self._attributes)

    @property
    def links(self) -> Sequence[Link]:
        """Links to other spans: a span that has any is the SDK's."""
        return ()

    @property
    def resource(self) -> Resource:
        """The resource of the provider."""
        return self._tracer.provider.resource

    @property
    def instrumentation_scope(self) -> InstrumentationScope | None:
        """The instrumentation that made the span."""
        return getattr(self._tracer.sdk, "_instrumentation_scope", None)

    def get_span_context(self) -> SpanContext:
        """Return the identity of the span."""
        return self.context

    def is_recording(self) -> bool:
        """Return true until the span ends."""
        return self.end_time is None

    def end(self, end_time: int | None = None) -> None:
        """End the span, and record it."""
        if self.end_time is not None:
            self._warn_of("end")
            return
        known = open_spans.pop(self.span_id, None)
        if known and known.monotonic_start_ns and end_time is None:
            took_ns = monotonic_ns() - known.monotonic_start_ns
            self.end_time = (self.start_time or 0) + took_ns
            close_span(self, self._attributes, known, took_ns)
            return
        self.end_time = time_ns() if end_time is None else end_time
        if known:
            close_span(self, self._attributes, known)

    def fail(self, error: Exception) -> None:
        """Record an exception that ends the span, as the SDK does."""
        self.record_exception(error, escaped=True)
        self.set_status(Status(StatusCode.ERROR, describe(error)))

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Set an attribute."""
        if self.end_time is None:
            self._attributes[key] = value
        else:
            self._warn_of("set_attribute")

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set several attributes."""
        if self.end_time is None:
            self._attributes.update(attributes)
        else:
            self._warn_of("set_attributes")

    def update_name(self, name: str) -> None:
        """Give the span another name."""
        if self.end_time is None:
            self.name = name
        else:
            self._warn_of("update_name")

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Add an event."""
        if self._add(name, attributes, timestamp):
            record(self, self.instrumentation_scope, Added(name, attributes or {}, timestamp))

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Do nothing: the spool has no links."""

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status, as the SDK does: what is OK stays so, and nothing becomes unset."""
        given = status if isinstance(status, Status) else Status(status, description)
        is_kept = self.status.status_code is StatusCode.OK or given.status_code is StatusCode.UNSET
        if self.end_time is not None:
            self._warn_of("set_status")
        elif not is_kept:
            self.status = given

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT001, FBT002 — the API's
    ) -> None:
        """Add an event for an exception; one that escapes from the span is recorded with the span."""
        known = {"exception.type": type(exception).__qualname__, "exception.escaped": str(escaped)}
        if self._add(EXCEPTION, known | dict(attributes or {}), timestamp) and not escaped:
            record_exception(self, self.instrumentation_scope, exception, Added(EXCEPTION, attributes or {}, timestamp))

    def _add(self, name: str, attributes: Attributes, timestamp: int | None) -> bool:
        if self.end_time is not None:
            self._warn_of("add_event")
            return False
        self.events = (*self.events, Event(name, attributes, timestamp))
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and self.is_recording():
            self.record_exception(error, escaped=True)
            self.set_status(Status(StatusCode.ERROR, describe(error)))
        self.end()

    def _warn_of(self, call: str) -> None:
        _log.warning("Tried calling %s on an ended span.", call)


def send_ids(span: LightSpan, context: Context, headers: MutableMapping[str, str]) -> None:
    """Put the ids of a span's context into headers, as the propagators do."""
    if span.trace_state or propagate.get_global_textmap() is not PROPAGATORS:
        propagate.inject(headers, context)
        return
    headers["traceparent"] = f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
    if request_id := context.get(REQUEST_ID):
        headers[HEADER] = str(request_id)


class Provider(TracerProvider):
    """The SDK's provider, whose spans are light while only the spool reads them."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource=resource)
        self.is_switched_off = getattr(self, "_disabled", False)  # by `OTEL_SDK_DISABLED`, for the program's own spans
        self._disabled = False
        self.successor: TracerProvider | None = None
        is_random = type(self.id_generator) is RandomIdGenerator
        self._is_plain = is_random and not any(name.startswith(_SETTINGS) for name in os.environ)
        self._processors = getattr(self, "_active_span_processor", None)

    @property
    def is_light(self) -> bool:
        """True while nothing but the spool is to be served."""
        return self._is_plain and len(getattr(self._processors, "_span_processors", ())) == 1

    def give_way_to(self, successor: TracerProvider) -> None:
        """Make further spans by the provider that the program has set up, also those of tracers that are there."""
        self.successor, self._is_plain = successor, False

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> trace.Tracer:
        """Return a tracer of light spans."""
        names = instrumenting_module_name, instrumenting_library_version, schema_url
        if self.successor:
            return self.successor.get_tracer(*names, attributes)
        sdk = super().get_tracer(*names, attributes)
        return LightTracer(self, sdk, (*names, attributes)) if isinstance(sdk, SdkTracer) else sdk


class LightTracer(trace.Tracer):
    """Makes light spans, and the SDK's once somebody else looks at them."""

    def __init__(self, provider: Provider, sdk: SdkTracer, names: tuple[Any, ...]) -> None:
        self.provider = provider
        self._sdk: trace.Tracer = sdk
        self._names = names
        self._of: TracerProvider = provider

    @property
    def sdk(self) -> trace.Tracer:
        """The SDK's tracer of the same name: ours, or that of the provider that ours gave way to."""
        if (successor := self.provider.successor) and self._of is not successor:
            self._sdk, self._of = successor.get_tracer(*self._names), successor
        return self._sdk

    def start_span(  # noqa: PLR0913, PLR0917 — the API's
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: FBT001, FBT002
        set_status_on_exception: bool = True,  # noqa: FBT001, FBT002
    ) -> trace.Span:
        """Start a span; within the span of the context, or of the current one."""
        if links or not self.provider.is_light:
            choices = record_exception, set_status_on_exception
            return self.sdk.start_span(name, context, kind, attributes, links, start_time, *choices)
        context = get_current() if context is None else context
        return LightSpan(self, name, kind, dict(attributes or ()), context, start_time)

    def start_as_current_span(  # noqa: PLR0913, PLR0917 — the API's, whose decorator is private
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: FBT001, FBT002
        set_status_on_exception: bool = True,  # noqa: FBT001, FBT002
        end_on_exit: bool = True,  # noqa: FBT001, FBT002
    ) -> Any:
        """Return a context manager, or decorator, within which a new span is the current one."""
        arguments = name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
        return _CurrentSpan(self, arguments, end_on_exit=end_on_exit)


aside: Provider | None = None  # makes what we record where the program's own provider makes no span of the SDK


def makes_spans(provider: trace.TracerProvider) -> TypeGuard[TracerProvider]:
    """Return true if the spans of a provider can be recorded: those of the SDK, unless it is switched off."""
    return isinstance(provider, TracerProvider) and not isinstance(provider.get_tracer("dashcam"), trace.NoOpTracer)


def get_tracer(name: str, version: str | None = None, schema_url: str | None = None) -> trace.Tracer:
    """Return a tracer whose spans are recorded, whatever the program's provider is."""
    return trace.get_tracer(name, version, aside, schema_url)


def light(tracer: trace.Tracer) -> LightTracer | None:
    """Return a tracer if nobody but the spool has an interest in the spans of a call."""
    return tracer if isinstance(tracer, LightTracer) and tracer.provider.is_light and not measures() else None


class _CurrentSpan:
    """A span while it is the current one, in a `with` block or around each call of a function."""

    __slots__ = ("_arguments", "_ends", "_span", "_token", "_tracer")

    def __init__(self, tracer: LightTracer, arguments: tuple[Any, ...], *, end_on_exit: bool) -> None:
        self._tracer, self._arguments, self._ends = tracer, arguments, end_on_exit

    def __enter__(self) -> trace.Span:
        self._span = self._tracer.start_span(*self._arguments)
        self._token = attach(Context({**get_current(), SPAN: self._span}))
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            reset(self._token)
        except (ValueError, RuntimeError):  # another context ends a generator
            detach(self._token)  # OpenTelemetry's, which logs it, as for any other tracer
        span, (records_exception, sets_status) = self._span, self._arguments[-2:]
        if isinstance(error, Exception) and span.is_recording():  # of others, `close_span` takes notice
            if records_exception:
                span.record_exception(error, escaped=isinstance(span, LightSpan))  # the SDK does not say it
            if sets_status:
                span.set_status(Status(StatusCode.ERROR, describe(error)))
        if self._ends:
            span.end()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def again() -> _CurrentSpan:
            return _CurrentSpan(self._tracer, self._arguments, end_on_exit=self._ends)

        if iscoroutinefunction(function):

            @wraps(function)
            async def in_span(*args: Any, **kwargs: Any) -> Any:
                with again():
                    return await function(*args, **kwargs)

        else:

            @wraps(function)
            def in_span(*args: Any, **kwargs: Any) -> Any:
                with again():
                    return function(*args, **kwargs)

        return in_span
