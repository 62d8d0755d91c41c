"""Spans for the statements of psycopg2, with the names and attributes of `opentelemetry-instrumentation-psycopg2`.

That package puts a cursor factory of its own into each connection: one whose class makes other cursors, such as
`RealDictConnection`, then gives other rows, and a cursor of an explicit factory is not seen. Here a connection and its
cursors are instances of subclasses of what the program asked for, and nothing else of them changes.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache, partial, wraps
from typing import Any
from weakref import WeakSet, ref

import opentelemetry.instrumentation.dbapi as dbapi  # noqa: PLR0402 — else its absence is no ModuleNotFoundError
import opentelemetry.instrumentation.psycopg2 as package
import psycopg2
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.psycopg2.version import __version__ as package_version
from opentelemetry.trace import SpanKind
from psycopg2.extensions import connection as plain_connection
from psycopg2.extensions import cursor as plain_cursor

from dashcam.record import recorder
from dashcam.record.current import SPAN, SUPPRESSING, attach, detach, get_current, is_suppressed
from dashcam.record.sql import text_of
from dashcam.record.tracer import LightSpan, light

MAX_CLASSES = 256  # kept of those that a program makes connections and cursors of
MAX_STATEMENTS = 128  # of one connection, of which the attributes are kept
MAX_STATEMENT_CHARACTERS = 2_000
_CONNECTION_ATTRIBUTES = {"database": "info.dbname", "port": "info.port", "host": "info.host", "user": "info.user"}

STATEMENT_METHODS = ("execute", "executemany", "callproc")

_cursor_classes: WeakSet[type] = WeakSet()  # ours
_tracers: "dict[ref[plain_connection], _StatementTracer]" = {}  # not a `WeakKeyDictionary`, whose `get` is Python


class Psycopg2Instrumentor(package.Psycopg2Instrumentor):
    """Instruments what `psycopg2.connect` calls, unless the package itself has done so.

    `connect` stays as it is, so that a program that imported it by name before is recorded too.
    """

    _instance = None  # not the package's, of which there is one

    def _instrument(self, **kwargs: Any) -> None:
        if package.Psycopg2Instrumentor().is_instrumented_by_opentelemetry:
            return
        dbapi.wrap_connect(
            package.__name__,
            psycopg2,  # type: ignore[arg-type]
            "_connect",
            "postgresql",
            _CONNECTION_ATTRIBUTES,
            version=package_version,
            db_api_integration_factory=_Integration,
            **kwargs,
        )


class _Integration(package.DatabaseApiIntegration):
    def wrapped_connection(
        self, connect_method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if len(args) > 1:
            args = (args[0], _recorded_connection(args[1]), *args[2:])
        else:
            kwargs = kwargs | {"connection_factory": _recorded_connection(kwargs.get("connection_factory"))}
        connection = connect_method(*args, **kwargs)
        try:
            self.get_connection_attributes(connection)
            _tracers[ref(connection, _tracers.pop)] = _StatementTracer(self)
        except Exception:  # noqa: BLE001 — a connection is one, whatever is known of it
            recorder.drop("error")
        return connection


class _StatementTracer(package.CursorTracer):
    """Makes spans as the package does, also of statements that are objects, or passed by name.

    While only the spool reads spans, the attributes that the package gave to a connection's first one are those of all
    others, except for the statement.
    """

    def __init__(self, integration: package.DatabaseApiIntegration) -> None:
        super().__init__(integration)
        self._tracer = trace.get_tracer(package.__name__, package_version)
        self._attributes: dict[str, Any] = {}
        self._statement_names: tuple[str, ...] = ()
        self._known: dict[str, tuple[str, dict[str, Any]]] = {}  # the name and the attributes of a statement's span

    def call_in_span(
        self, cursor: plain_cursor, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call a method of a cursor within a span."""
        if not args and "query" in kwargs:
            args = (kwargs["query"],)
            kwargs = {name: value for name, value in kwargs.items() if name != "query"}
        statement = args[0] if args and type(args[0]) is str else self.get_statement(cursor, args)
        context = get_current()
        name, attributes = self._known.get(statement) or self._learn(statement)
        tracer = None if not name or is_suppressed(context, SUPPRESSING) else light(self._tracer)
        if not tracer:
            return self.traced_execution(cursor, partial(method, cursor), *args, **kwargs)
        span = LightSpan(tracer, name, SpanKind.CLIENT, attributes.copy(), context)
        token = attach(Context({**context, SPAN: span}))
        try:
            return method(cursor, *args, **kwargs)
        except Exception as error:  # of others, the end of the span takes notice
            span.fail(error)
            raise
        finally:
            detach(token)
            span.end()

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

    def _populate_span(self, span: trace.Span, cursor: plain_cursor, *args: Any) -> None:
        super()._populate_span(span, cursor, *args)
        statement = self.get_statement(cursor, args)
        if isinstance(span, LightSpan) and statement and not self._db_api_integration.capture_parameters:
            attributes = span.attributes
            self._attributes = {name: value for name, value in attributes.items() if value != statement}
            self._statement_names = tuple(attributes.keys() - self._attributes.keys())
            self._known.clear()

    def get_statement(self, cursor: plain_cursor, args: Sequence[Any]) -> str:
        """Return the text of a statement, empty if it has none."""
        statement = args[0] if args else ""
        return statement if type(statement) is str else text_of(statement, cursor)

    def get_operation_name(self, cursor: plain_cursor, args: Sequence[Any]) -> str:
        """Return the first word of a statement."""
        return self._operation_of(self.get_statement(cursor, args))

    def _operation_of(self, statement: str) -> str:
        if statement.startswith("/*"):
            return str(super().get_operation_name(None, (statement,)))  # type: ignore[no-untyped-call]
        return (statement.split(None, 1) or [""])[0]


class _RecordedConnection(plain_connection):
    """A connection whose cursors are recorded, whatever its class and the caller make them of."""

    __slots__ = ()

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) > 1:
            return super().cursor(args[0], _recorded_cursor(args[1] or self.cursor_factory), *args[2:], **kwargs)
        factory = kwargs.pop("cursor_factory", None) or self.cursor_factory
        return super().cursor(*args, cursor_factory=_recorded_cursor(factory), **kwargs)


def _recorded_connection(factory: Any) -> Any:
    """Return a factory of the same connections, except that their cursors are recorded."""
    return _recorded(plain_connection if factory is None else factory, _connection_class)


def _recorded_cursor(factory: Any) -> Any:
    """Return a factory of the same cursors, except that their statements are recorded."""
    return _recorded(plain_cursor if factory is None else factory, _cursor_class)


def _recorded(factory: Any, subclass: Callable[[type], type]) -> Any:
    if isinstance(factory, type):
        return subclass(factory)

    def make(*args: Any, **kwargs: Any) -> Any:
        made = factory(*args, **kwargs)
        with suppress(TypeError):  # a class of C stays what it is
            made.__class__ = subclass(type(made))
        return made

    return make


@lru_cache(MAX_CLASSES)
def _connection_class(base: type) -> type:
    """Return a subclass that calls our `cursor` last, after all that its own classes do."""
    if issubclass(base, _RecordedConnection):
        return base
    bases = (_RecordedConnection,) if base is plain_connection else (base, _RecordedConnection)
    return _subclass(base, bases, {})


@lru_cache(MAX_CLASSES)
def _cursor_class(base: type) -> type:
    """Return a subclass that makes a span of each statement."""
    if base in _cursor_classes:
        return base
    methods: dict[str, Any] = {name: _traced(getattr(base, name, None)) for name in STATEMENT_METHODS}
    made = _subclass(base, (base,), methods)
    _cursor_classes.add(made)
    return made


def _traced(method: Any) -> Any:
    def traced(self: plain_cursor, *args: Any, **kwargs: Any) -> Any:
        tracer = _tracers.get(ref(self.connection))
        return tracer.call_in_span(self, method, args, kwargs) if tracer else method(self, *args, **kwargs)

    return wraps(method)(traced) if callable(method) else method


def _subclass(base: type, bases: tuple[type, ...], methods: dict[str, Any]) -> type:
    try:
        namespace = {"__slots__": (), "__module__": base.__module__, "__doc__": base.__doc__}
        return type(base.__name__, bases, namespace | methods)
    except TypeError:  # it may forbid subclasses
        return base
