"""Spans for the tasks of Celery, by `opentelemetry-instrumentation-celery`.

The package puts the exception that ends a task on its span before Celery itself logs it: Celery's line is the record.
"""

from typing import Any

import opentelemetry.instrumentation.celery as package
from opentelemetry.context import Context

from dashcam.record.context.current import attach, detach, get_current
from dashcam.record.spans.span_events import ESCAPES


def instrumentor() -> package.CeleryInstrumentor:
    """Return the package's only instrumentor, so that a program that instruments Celery later does so once."""
    made = package.CeleryInstrumentor()  # type: ignore[no-untyped-call]
    made._trace_failure = _trace_failure  # type: ignore[method-assign]  # noqa: SLF001 — it connects this to a signal
    return made


def _trace_failure(*args: Any, **kwargs: Any) -> None:
    token = attach(Context({**get_current(), ESCAPES: True}))
    try:
        package.CeleryInstrumentor._trace_failure(*args, **kwargs)  # type: ignore[no-untyped-call]  # noqa: SLF001
    finally:
        detach(token)
