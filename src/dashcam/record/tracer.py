"""Spans for a process where nobody but the spool reads them, at a third of what the SDK's take.

`Provider` is the SDK's; once somebody adds a span processor, a sampler or limits, so are its spans. Until
then a span is a `LightSpan`: the same to whoever makes it, without copies, locks and records for readers that are not
there. docs/decisions/0005 has the microseconds.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import iscoroutinefunction
from logging import getLogger
from time import time_ns
from types import MappingProxyType, TracebackType
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, TracerProvider
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import Attributes, AttributeValue

from dashcam.record.spans import close_span, open_span, processors_of

_log = getLogger("opentelemetry.sdk.trace")
_FLAGS = [TraceFlags(bits) for bits in range(4)]
_UNSET = Status(StatusCode.UNSET)
_SETTINGS = ("OTEL_TRACES_SAMPLER", "OTEL_SPAN_", "OTEL_ATTRIBUTE_", "OTEL_SDK_DISABLED", "OTEL_PYTHON_SDK_INTERNAL_")


def measures() -> bool:
    """Return true if the service has a meter provider; the API's own measures nothing."""
    return not type(metrics.get_meter_provider()).__module__.startswith("opentelemetry.metrics")


class LightSpan(trace.Span):
    """A span that only the spool reads; what may be asked of the SDK's spans may be asked of it."""

    def __init__(  # noqa: PLR0913, PLR0917 — one call for each span
        self,
        tracer: "LightTracer",
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: dict[str, Any],
        start_time: int,
    ) -> None:
        self.name = name
        self.context = context
        self.parent = parent
        self.kind = kind
        self.start_time: int | None = start_time
        self.end_time: int | None = None
        self.status = _UNSET
        self.events: list[Event] = []
        self._tracer = tracer
        self._attributes = attributes

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
        if self._is_open("end"):
            self.end_time = time_ns() if end_time is None else end_time
            close_span(self)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Set an attribute."""
        if self._is_open("set_attribute"):
            self._attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set several attributes."""
        if self._is_open("set_attributes"):
            self._attributes.update(attributes)

    def update_name(self, name: str) -> None:
        """Give the span another name."""
        if self._is_open("update_name"):
            self.name = name

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Add an event."""
        if self._is_open("add_event"):
            self.events.append(Event(name, attributes, timestamp))

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Do nothing: the spool has no links."""

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status, as the SDK does: what is OK stays so, and nothing becomes unset."""
        given = status if isinstance(status, Status) else Status(status, description)
        is_kept = self.status.status_code is StatusCode.OK or given.status_code is StatusCode.UNSET
        if self._is_open("set_status") and not is_kept:
            self.status = given

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT001, FBT002 — the API's
    ) -> None:
        """Add an event for an exception."""
        known = {"exception.type": type(exception).__qualname__, "exception.escaped": str(escaped)}
        self.add_event("exception", known | dict(attributes or {}), timestamp)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and self.is_recording():
            self.record_exception(error, escaped=True)
            self.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        self.end()

    def _is_open(self, call: str) -> bool:
        if self.end_time is not None:
            _log.warning("Tried calling %s on an ended span.", call)
        return self.end_time is None


class Provider(TracerProvider):
    """The SDK's provider, whose spans are light while only the spool reads them."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource=resource)
        is_random = type(self.id_generator) is RandomIdGenerator
        self._is_plain = is_random and not any(name.startswith(_SETTINGS) for name in os.environ)

    @property
    def is_light(self) -> bool:
        """True while nothing but the spool is to be served."""
        return self._is_plain and len(processors_of(self)) == 1

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> trace.Tracer:
        """Return a tracer of light spans."""
        names = instrumenting_module_name, instrumenting_library_version, schema_url
        sdk = super().get_tracer(*names, attributes)
        return LightTracer(self, sdk) if isinstance(sdk, SdkTracer) else sdk


class LightTracer(trace.Tracer):
    """Makes light spans, and the SDK's once somebody else looks at them."""

    def __init__(self, provider: Provider, sdk: SdkTracer) -> None:
        self.provider = provider
        self.sdk = sdk
        self._new_trace_id = provider.id_generator.generate_trace_id
        self._new_span_id = provider.id_generator.generate_span_id
        is_random = getattr(provider.id_generator, "is_trace_id_random", bool)()
        self._root_flags = _FLAGS[TraceFlags.SAMPLED | (TraceFlags.RANDOM_TRACE_ID if is_random else 0)]

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
        parent: SpanContext | None = trace.get_current_span(context).get_span_context()
        if parent is not None and parent.is_valid:
            # Parent-based, as the SDK's default sampler: the flag goes on as it came.
            trace_id, flags, state = parent.trace_id, _FLAGS[parent.trace_flags & 3], parent.trace_state
        else:
            parent, trace_id, flags, state = None, self._new_trace_id(), self._root_flags, None
        identity = SpanContext(trace_id, self._new_span_id(), is_remote=False, trace_flags=flags, trace_state=state)
        start_ns = time_ns() if start_time is None else start_time
        span = LightSpan(self, name, identity, parent, kind, dict(attributes or ()), start_ns)
        open_span(span, context)
        return span

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


class _CurrentSpan:
    """A span while it is the current one, in a `with` block or around each call of a function."""

    __slots__ = ("_arguments", "_ends", "_span", "_token", "_tracer")

    def __init__(self, tracer: LightTracer, arguments: tuple[Any, ...], *, end_on_exit: bool) -> None:
        self._tracer, self._arguments, self._ends = tracer, arguments, end_on_exit

    def __enter__(self) -> trace.Span:
        self._span = self._tracer.start_span(*self._arguments)
        self._token = attach(trace.set_span_in_context(self._span))
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        detach(self._token)
        span, (records_exception, sets_status) = self._span, self._arguments[-2:]
        if isinstance(error, Exception) and span.is_recording():  # of others, `close_span` takes notice
            if records_exception:
                span.record_exception(error)
            if sets_status:
                span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
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
