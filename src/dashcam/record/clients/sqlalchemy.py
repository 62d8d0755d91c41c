"""Spans for the statements of SQLAlchemy, by `opentelemetry-instrumentation-sqlalchemy`, once each.

Where the driver below makes a span of each statement, the package's own would be a second one for the same work.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import opentelemetry.instrumentation.sqlalchemy as package
import wrapt
from opentelemetry.instrumentation.sqlalchemy.engine import EngineTracer

from dashcam.record.clients.instrument import recorded

_DRIVERS = {"psycopg2": "psycopg2", "psycopg": "psycopg", "psycopg_async": "psycopg"}  # SQLAlchemy's names, and ours


def instrumentor() -> package.SQLAlchemyInstrumentor:
    """Return the package's only instrumentor, so that a program that instruments SQLAlchemy later does so once."""
    made = package.SQLAlchemyInstrumentor()
    # The package asks for a version below 2.1, with which it works as it is.
    made.instrumentation_dependencies = lambda: ("sqlalchemy >= 1.0.0, < 2.2",)  # type: ignore[method-assign]
    if not made.is_instrumented_by_opentelemetry:
        with suppress(AttributeError):  # a later package: then there are two spans
            wrapt.wrap_function_wrapper(EngineTracer, "_before_cur_exec", _leave_to_driver)
    return made


def _leave_to_driver(
    before: Callable[..., Any], tracer: EngineTracer, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    connection, _cursor, statement, parameters, *_rest = args
    if _DRIVERS.get(connection.engine.driver) in recorded and not tracer.enable_commenter:
        return statement, parameters
    return before(*args, **kwargs)
