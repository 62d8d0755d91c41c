"""OpenTelemetry's current context, straight from its context variable: three calls in C for seven in Python.

The keys are those that OpenTelemetry's own functions put into a context. Where the service has chosen another place for
it (`OTEL_PYTHON_CONTEXT`), the calls are OpenTelemetry's own functions.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from contextvars import ContextVar, Token
from typing import Any, Final

from opentelemetry import context as api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.instrumentation.utils import suppress_http_instrumentation, suppress_instrumentation

SPAN: Final = next(iter(trace.set_span_in_context(trace.INVALID_SPAN, Context())))  # the key of the current span


def _variable() -> ContextVar[Context] | None:
    place = getattr(api, "_RUNTIME_CONTEXT", None)
    variable = getattr(place, "_current_context", None)
    return variable if type(place) is ContextVarsRuntimeContext and isinstance(variable, ContextVar) else None


_known: Any = _variable()
get_current: Final[Callable[[], Context]] = _known.get if _known else api.get_current
attach: Final[Callable[[Context], Token[Context]]] = _known.set if _known else api.attach
reset: Final[Callable[[Token[Context]], None]] = _known.reset if _known else api.detach


def detach(token: Token[Context]) -> None:
    """Make the context of before `attach` the current one again, and do nothing in another context; never raises.

    Another context ends a generator that nobody reads to its end. OpenTelemetry logs that, to the program's console.
    """
    with suppress(ValueError, RuntimeError):
        reset(token)


def _keys_of(suppressing: AbstractContextManager[None]) -> frozenset[str]:
    token = attach(Context())
    with suppressing:
        keys = frozenset(get_current())
    detach(token)
    return keys


def is_suppressed(context: Context, keys: frozenset[str]) -> bool:
    """Return true if a context switches spans off by one of the keys."""
    return not keys.isdisjoint(context) and any(map(context.get, keys))


SUPPRESSING: Final = _keys_of(suppress_instrumentation())  # the keys that switch all spans of libraries off
SUPPRESSING_HTTP: Final = _keys_of(suppress_http_instrumentation())  # those that switch off spans of calls over HTTP
