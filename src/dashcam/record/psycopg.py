"""Spans for the statements of psycopg 3, with the names and attributes of `opentelemetry-instrumentation-psycopg`.

That package gives each connection a cursor factory of its own: a factory that the connection's class chose is lost, and
cursors of the server, cursors that a program makes by itself, streams and COPY are not seen. Here the methods of
psycopg's own cursors make the spans; connections, cursors and their factories stay what they are.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, contextmanager
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import opentelemetry.instrumentation.psycopg as package
import psycopg
import wrapt
from opentelemetry.instrumentation.psycopg.version import __version__ as package_version
from opentelemetry.instrumentation.utils import is_instrumentation_enabled, unwrap
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from dashcam.record.sql import text_of
from dashcam.record.traces import describe

Options = dict[str, Any]
_OPTIONS = (
    "tracer_provider",
    "enable_commenter",
    "commenter_options",
    "enable_attribute_commenter",
    "capture_parameters",
)

_tracers: "WeakKeyDictionary[Any, _StatementTracer]" = WeakKeyDictionary()


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


class _StatementTracer(package.CursorTracer):
    """Makes spans as the package does, also of statements that are passed by name, or are objects of other kinds."""

    def __init__(self, connection: Any, options: Options) -> None:
        integration = package.DatabaseApiIntegration(
            package.__name__,
            "postgresql",
            package.PsycopgInstrumentor._CONNECTION_ATTRIBUTES,  # noqa: SLF001
            package_version,
            connect_module=psycopg,  # type: ignore[arg-type]
            **options,
        )
        integration.get_connection_attributes(connection)
        super().__init__(integration)

    def get_statement(self, cursor: Any, args: Sequence[Any]) -> str:
        """Return the text of a statement, empty if it has none."""
        return text_of(args[0], cursor) if args else ""

    def get_operation_name(self, cursor: Any, args: Sequence[Any]) -> str:
        """Return the first word of a statement after a comment, empty if it has none."""
        statement = self._leading_comment_remover.sub("", self.get_statement(cursor, args))
        return str((statement.split(None, 1) or [""])[0])

    def start(self, cursor: Any, args: Sequence[Any]) -> Span:
        """Start the span of a statement that takes longer than a call; whoever starts it ends it."""
        integration = self._db_api_integration
        name = self.get_operation_name(cursor, args) or integration.database or integration.name
        span = integration._tracer.start_span(name, kind=SpanKind.CLIENT)  # noqa: SLF001
        self._populate_span(span, cursor, *args)
        return span


def _tracer_of(options: Options, cursor: Any) -> _StatementTracer:
    connection = cursor.connection
    tracer = _tracers.get(connection)
    if tracer is None:
        tracer = _tracers[connection] = _StatementTracer(connection, options)
    return tracer


def _with_query(args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with the statement as the first one, if it was passed by name."""
    if args or name not in kwargs:
        return args, kwargs
    return (kwargs[name],), {each: value for each, value in kwargs.items() if each != name}


def _execute(options: Options, method: Callable[..., Any], cursor: Any, args: Any, kwargs: Any) -> Any:
    args, kwargs = _with_query(args, kwargs, "query")
    return _tracer_of(options, cursor).traced_execution(cursor, method, *args, **kwargs)


def _execute_async(options: Options, method: Callable[..., Any], cursor: Any, args: Any, kwargs: Any) -> Any:
    args, kwargs = _with_query(args, kwargs, "query")
    return _tracer_of(options, cursor).traced_execution_async(cursor, method, *args, **kwargs)


@contextmanager
def _statement(options: Options, cursor: Any, args: Any, kwargs: Any, name: str) -> Iterator[None]:
    """Record what runs meanwhile as a statement; log calls and spans of the program are no part of it."""
    if not is_instrumentation_enabled():
        yield
        return
    args, _ = _with_query(args, kwargs, name)
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


_WRAPPERS: tuple[tuple[type, str, Callable[..., Any]], ...] = (
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
