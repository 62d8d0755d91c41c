"""The spans of SQL statements, as OpenTelemetry's packages for DB-API make them."""

import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import time_ns
from types import SimpleNamespace
from typing import Any

import opentelemetry.instrumentation.dbapi as dbapi  # noqa: PLR0402 — else its absence is no ModuleNotFoundError
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import SpanKind, Status, StatusCode

from dashcam.record.context import recorder
from dashcam.record.context.current import SPAN, SUPPRESSING, attach, detach, get_current, is_suppressed
from dashcam.record.spans.tracer import LightSpan, light
from dashcam.record.values.traces import describe

MAX_STATEMENTS = 128  # of one connection, of which the attributes are kept
MAX_STATEMENT_CHARACTERS = 2_000

Call = Callable[..., Any]
_CONNECT = "connect"
# The integration of a connection, and what the program gave to libpq.
Attempt = Callable[[], tuple[dbapi.DatabaseApiIntegration, Mapping[str, Any]]]
# What libpq connects to where a program does not say it; the password is not asked for.
_DEFAULTS = {"dbname": "PGDATABASE", "host": "PGHOST", "port": "PGPORT", "user": "PGUSER"}


def text_of(statement: Any, cursor: Any) -> str:
    """Return the text of a statement, also of one that psycopg or psycopg2 composes; empty if it has none.

    >>> text_of(b"SELECT 1", None)
    'SELECT 1'
    """
    try:
        if isinstance(statement, str):
            return statement
        if hasattr(statement, "as_string"):  # of both libraries' `Composable`
            return str(statement.as_string(cursor))
        return statement.decode("utf-8", "replace") if isinstance(statement, bytes) else str(statement)
    except Exception:  # noqa: BLE001 — the library says what is wrong with a statement
        return ""


def with_statement(
    args: tuple[Any, ...], kwargs: dict[str, Any], name: str = "query"
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call with the statement as the first one, if it was passed by name."""
    if args or name not in kwargs:
        return args, kwargs
    return (kwargs[name],), {each: value for each, value in kwargs.items() if each != name}


class StatementTracer(dbapi.CursorTracer[Any]):
    """Makes the spans of a connection as the package does, also of statements that are objects, or passed by name.

    With a `tracer`, while only the spool reads spans, the attributes that the package gave to the first one of the
    connection are those of all others, except for the statement.
    """

    def __init__(self, integration: dbapi.DatabaseApiIntegration, tracer: trace.Tracer | None) -> None:
        super().__init__(integration)
        self._tracer = tracer
        self._attributes: dict[str, Any] = {}
        self._statement_names: tuple[str, ...] = ()
        self._known: dict[str, tuple[str, dict[str, Any]]] = {}  # the name and the attributes of a statement's span

    def call_in_span(self, cursor: Any, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what a method of a cursor returns; it runs within a span."""
        if not args:
            args, kwargs = with_statement(args, kwargs)
        context = get_current()
        if (span := self._light_span(cursor, args, context)) is None:
            return self.traced_execution(cursor, call, *args, **kwargs)
        token = attach(Context({**context, SPAN: span}))
        try:
            return call(*args, **kwargs)
        except Exception as error:  # of others, the end of the span takes notice
            span.fail(error)
            raise
        finally:
            detach(token)
            span.end()

    async def await_in_span(
        self, cursor: Any, call: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Return what a coroutine of a cursor returns; it runs within a span."""
        if not args:
            args, kwargs = with_statement(args, kwargs)
        context = get_current()
        if (span := self._light_span(cursor, args, context)) is None:
            return await self.traced_execution_async(cursor, call, *args, **kwargs)
        token = attach(Context({**context, SPAN: span}))
        try:
            return await call(*args, **kwargs)
        except Exception as error:  # of others, the end of the span takes notice
            span.fail(error)
            raise
        finally:
            detach(token)
            span.end()

    def _light_span(self, cursor: Any, args: tuple[Any, ...], context: Context) -> LightSpan | None:
        statement = args[0] if args and type(args[0]) is str else self.get_statement(cursor, args)
        name, attributes = self._known.get(statement) or self._learn(statement)
        if not name or self._tracer is None or is_suppressed(context, SUPPRESSING):
            return None
        tracer = light(self._tracer)
        return LightSpan(tracer, name, SpanKind.CLIENT, attributes.copy(), context) if tracer else None

    def _learn(self, statement: str) -> tuple[str, dict[str, Any]]:
        """Return the name and the attributes of a statement's span; no name before the package has made a first one."""
        if not self._statement_names:
            return "", {}
        learned = self._operation_of(statement), self._attributes | dict.fromkeys(self._statement_names, statement)
        if len(statement) <= MAX_STATEMENT_CHARACTERS:
            if len(self._known) >= MAX_STATEMENTS:
                self._known.clear()
            self._known[statement] = learned
        return learned

    def _populate_span(self, span: trace.Span, cursor: Any, *args: Any) -> None:
        super()._populate_span(span, cursor, *args)
        statement = self.get_statement(cursor, args)
        if isinstance(span, LightSpan) and statement and not self._db_api_integration.capture_parameters:
            attributes = span.attributes
            self._attributes = {name: value for name, value in attributes.items() if value != statement}
            self._statement_names = tuple(attributes.keys() - self._attributes.keys())
            self._known.clear()

    def get_statement(self, cursor: Any, args: Sequence[Any]) -> str:
        """Return the text of a statement, empty if it has none."""
        return text_of(args[0], cursor) if args else ""

    def get_operation_name(self, cursor: Any, args: Sequence[Any]) -> str:
        """Return the first word of a statement after a comment, empty if it has none."""
        return self._operation_of(self.get_statement(cursor, args))

    def _operation_of(self, statement: str) -> str:
        if statement.startswith("/*"):
            statement = self._leading_comment_remover.sub("", statement)
        return (statement.split(None, 1) or [""])[0]


class _Attributes(dict[str, Any]):
    """Takes what the package gives to a span."""

    set_attribute = dict.__setitem__
    set_attributes = dict.update

    def is_recording(self) -> bool:
        return True


@contextmanager
def connecting(attempt: Attempt) -> Iterator[None]:
    """Record an attempt to connect by libpq as a span if it fails; one that succeeds costs no span."""
    start_ns = time_ns()
    try:
        yield
    except BaseException as error:
        _record_failed(attempt, start_ns, error)
        raise


def _record_failed(attempt: Attempt, start_ns: int, error: BaseException) -> None:
    try:
        around = trace.get_current_span()
        if getattr(around, "name", "") == _CONNECT and getattr(around, "kind", None) == SpanKind.CLIENT:
            return  # SQLAlchemy's, which says the same
        if not is_instrumentation_enabled():
            return
        integration, given = attempt()
        known = {name: str(given.get(name) or os.environ.get(variable, "")) for name, variable in _DEFAULTS.items()}
        port = int(known["port"]) if known["port"].isdecimal() else None  # of several hosts, a list
        host = known["host"].rpartition("@")[2]  # before it, a part of a password that has one itself
        info = SimpleNamespace(**known | {"host": host, "port": port})
        integration.get_connection_attributes(SimpleNamespace(info=info))
        taken: Any = _Attributes()
        dbapi.CursorTracer[Any](integration)._populate_span(taken, None)  # noqa: SLF001
        attributes = {name: value for name, value in taken.items() if value}  # there is no statement
        tracer = integration._tracer  # noqa: SLF001
        span = tracer.start_span(_CONNECT, kind=SpanKind.CLIENT, attributes=attributes, start_time=start_ns)
        span.record_exception(error, escaped=True)
        span.set_status(Status(StatusCode.ERROR, describe(error)))
        span.end()
    except Exception:  # noqa: BLE001 — the program gets the exception that it would get without us
        recorder.give_up()
