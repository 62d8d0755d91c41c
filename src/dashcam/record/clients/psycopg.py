"""Spans for the statements of psycopg 3, with the names and attributes of `opentelemetry-instrumentation-psycopg`.

That package gives each connection a cursor factory of its own: a factory that the connection's class chose is lost, and
cursors of the server, cursors that a program makes by itself, streams and COPY are not seen. Here the methods of
psycopg's own cursors make the spans; connections, cursors and their factories stay what they are.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, contextmanager
from functools import partial
from typing import Any
from weakref import ref

import opentelemetry.instrumentation.psycopg as package
import psycopg
import wrapt
from opentelemetry.instrumentation.psycopg.version import __version__ as package_version
from opentelemetry.instrumentation.utils import is_instrumentation_enabled, unwrap
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from psycopg.conninfo import conninfo_to_dict

from dashcam.record.clients.sql import StatementTracer, connecting, with_statement
from dashcam.record.spans.tracer import get_tracer
from dashcam.record.values.traces import describe

Options = dict[str, Any]
_OPTIONS = (
    "tracer_provider",
    "enable_commenter",
    "commenter_options",
    "enable_attribute_commenter",
    "capture_parameters",
)

_tracers: "dict[ref[Any], _Tracer]" = {}  # not a `WeakKeyDictionary`, whose `get` is Python


def instrumentor() -> package.PsycopgInstrumentor:
    """Return the package's only instrumentor, so that a program that instruments psycopg later does so once."""
    made = package.PsycopgInstrumentor()
    made._instrument = _instrument  # type: ignore[method-assign]  # noqa: SLF001 — what the package offers to override
    made._uninstrument = _uninstrument  # type: ignore[method-assign]  # noqa: SLF001
    return made


def _instrument(**kwargs: Any) -> None:
    options = {name: kwargs[name] for name in _OPTIONS if name in kwargs}
    for kind, name, wrapper in _WRAPPERS:
        wrapt.wrap_function_wrapper(kind, name, partial(wrapper, options))


def _uninstrument(**_: Any) -> None:
    for kind, name, _wrapper in _WRAPPERS:
        unwrap(kind, name)
    _tracers.clear()


def _integration(options: Options) -> package.DatabaseApiIntegration:
    return package.DatabaseApiIntegration(
        package.__name__,
        "postgresql",
        package.PsycopgInstrumentor._CONNECTION_ATTRIBUTES,  # noqa: SLF001
        package_version,
        connect_module=psycopg,  # type: ignore[arg-type]
        **options,
    )


class _Tracer(StatementTracer):
    """The tracer of a connection; with options, the package makes every span."""

    def __init__(self, connection: Any, options: Options) -> None:
        integration = _integration(options)
        integration.get_connection_attributes(connection)
        super().__init__(integration, None if options else get_tracer(package.__name__, package_version))

    def start(self, cursor: Any, args: Sequence[Any]) -> Span:
        """Start the span of a statement that takes longer than a call; whoever starts it ends it."""
        integration = self._db_api_integration
        name = self.get_operation_name(cursor, args) or integration.database or integration.name
        span = integration._tracer.start_span(name, kind=SpanKind.CLIENT)  # noqa: SLF001
        self._populate_span(span, cursor, *args)
        return span


def _tracer_of(options: Options, cursor: Any) -> _Tracer:
    connection = cursor.connection
    tracer = _tracers.get(ref(connection))
    if tracer is None:
        tracer = _tracers[ref(connection, _tracers.pop)] = _Tracer(connection, options)
    return tracer


def _connect(options: Options, method: Callable[..., Any], _: Any, args: Any, kwargs: Any) -> Any:
    with connecting(partial(_attempt, options, args, kwargs)):
        return method(*args, **kwargs)


async def _connect_async(options: Options, method: Callable[..., Any], _: Any, args: Any, kwargs: Any) -> Any:
    with connecting(partial(_attempt, options, args, kwargs)):
        return await method(*args, **kwargs)


def _attempt(options: Options, args: Any, kwargs: Any) -> tuple[package.DatabaseApiIntegration, Mapping[str, Any]]:
    return _integration(options), conninfo_to_dict(args[0] if args else kwargs.get("conninfo", "")) | kwargs


def _execute(options: Options, method: Callable[..., Any], cursor: Any, args: Any, kwargs: Any) -> Any:
    return _tracer_of(options, cursor).call_in_span(cursor, method, args, kwargs)


def _execute_async(options: Options, method: Callable[..., Any], cursor: Any, args: Any, kwargs: Any) -> Any:
    return _tracer_of(options, cursor).await_in_span(cursor, method, args, kwargs)


@contextmanager
def _statement(options: Options, cursor: Any, args: Any, kwargs: Any, name: str) -> Iterator[None]:
    """Record what runs meanwhile as a statement; log calls and spans of the program are no part of it."""
    if not is_instrumentation_enabled():
        yield
        return
    args, _ = with_statement(args, kwargs, name)
    span = _tracer_of(options, cursor).start(cursor, args)
    try:
        yield
    except Exception as error:
        span.set_status(Status(StatusCode.ERROR, describe(error)))
        span.record_exception(error, escaped=True)
        raise
    finally:
        span.end()


def _stream(options: Options, method: Callable[..., Any], cursor: Any, args: Any, kwargs: Any) -> Iterator[Any]:
    with _statement(options, cursor, args, kwargs, "query"):
        yield from method(*args, **kwargs)


async def _stream_async(
    options: Options, method: Callable[..., Any], cursor: Any, args: Any, kwargs: Any
) -> AsyncIterator[Any]:
    with _statement(options, cursor, args, kwargs, "query"):
        async with aclosing(method(*args, **kwargs)) as rows:
            async for row in rows:
                yield row


@contextmanager
def _copy(
    options: Options, method: Callable[..., AbstractContextManager[Any]], cursor: Any, args: Any, kwargs: Any
) -> Any:
    with _statement(options, cursor, args, kwargs, "statement"), method(*args, **kwargs) as copy:
        yield copy


@asynccontextmanager
async def _copy_async(options: Options, method: Callable[..., Any], cursor: Any, args: Any, kwargs: Any) -> Any:
    with _statement(options, cursor, args, kwargs, "statement"):
        async with method(*args, **kwargs) as copy:
            yield copy


_WRAPPERS: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (psycopg, "connect", _connect),
    (psycopg.Connection, "connect", _connect),
    (psycopg.AsyncConnection, "connect", _connect_async),
    (psycopg.Cursor, "execute", _execute),
    (psycopg.Cursor, "executemany", _execute),
    (psycopg.Cursor, "stream", _stream),
    (psycopg.Cursor, "copy", _copy),
    (psycopg.ServerCursor, "execute", _execute),
    (psycopg.AsyncCursor, "execute", _execute_async),
    (psycopg.AsyncCursor, "executemany", _execute_async),
    (psycopg.AsyncCursor, "stream", _stream_async),
    (psycopg.AsyncCursor, "copy", _copy_async),
    (psycopg.AsyncServerCursor, "execute", _execute_async),
)
