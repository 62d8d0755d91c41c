"""What a program adds to a span while it is open: each event, and each exception, is a line of its own.

An exception that ends a span is none: the span's line says it, and whoever handles it in the end records it.
"""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from dashcam.record.context.current import SPAN, attach, detach, get_current
from dashcam.record.logs import unhandled
from dashcam.record.logs.logger import record_event
from dashcam.record.values.traces import DescribedError
from dashcam.spool.line import MAX_TIME_NS

ESCAPES = "dashcam-escapes"  # in a context in which an exception is put on a span that it ends
_CELERY = "opentelemetry.instrumentation.celery"
EXCEPTION = "exception"  # the name of an event (OpenTelemetry, semantic conventions for exceptions on spans)
_TYPE, _MESSAGE, _TRACE, _ESCAPED = (f"{EXCEPTION}.{name}" for name in ("type", "message", "stacktrace", "escaped"))


class Added(NamedTuple):
    """An event as somebody adds it to a span, at a time in nanoseconds, or now."""

    name: object
    attributes: Mapping[str, Any]
    time_ns: object = None
    error: BaseException | DescribedError | None = None


def record(span: trace.Span, scope: InstrumentationScope | None, added: Added) -> None:
    """Record an event of an open span, by the name of the library that made the span; never raises."""
    level = logging.INFO if added.error is None else logging.WARNING  # whether the work failed, the span says
    labels = {name: value for name, value in added.attributes.items() if name not in {"exc_info", "stack_info"}}
    fields = labels if added.error is None else labels | {"exc_info": added.error}
    time_ns = max(0, min(added.time_ns, MAX_TIME_NS)) if type(added.time_ns) is int else None
    token = attach(Context({**get_current(), SPAN: span}))
    try:
        record_event(scope.name if scope else "", level, added.name, fields, time_ns)
    finally:
        detach(token)


def record_exception(span: trace.Span, scope: InstrumentationScope | None, error: BaseException, added: Added) -> None:
    """Record an exception that somebody adds to an open span, unless it ends the span, or was recorded as unhandled."""
    if ESCAPES not in get_current() and not unhandled.is_recorded(error):
        record(span, scope, added._replace(error=error))


def record_all(span: ReadableSpan) -> None:
    """Record the events of a span of the SDK that is about to end, but for the exception that ended it."""
    for event in span.events:
        attributes = dict(event.attributes or {})
        error = None
        if event.name == EXCEPTION:
            error = DescribedError(*(str(attributes.pop(name, "")) for name in (_TYPE, _MESSAGE, _TRACE)))
            has_escaped = attributes.pop(_ESCAPED, "") == "True"
            if has_escaped or span.status.description in _descriptions(error, span.instrumentation_scope):
                continue
        shown = trace.NonRecordingSpan(span.context)
        record(shown, span.instrumentation_scope, Added(event.name, attributes, event.timestamp, error))


def _descriptions(error: DescribedError, scope: InstrumentationScope | None) -> set[str]:
    """Return what the status of a span says if this exception has ended it."""
    of_celery = {error.message} if scope and scope.name == _CELERY else set()
    return {f"{error.type}: {error.message}", error.type} | of_celery
