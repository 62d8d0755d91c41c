"""Spans for the statements of psycopg2, with the names and attributes of `opentelemetry-instrumentation-psycopg2`.

That package puts a cursor factory of its own into each connection: one whose class makes other cursors, such as
`RealDictConnection`, then gives other rows, and a cursor of an explicit factory is not seen. Here a connection and its
cursors are instances of subclasses of what the program asked for, and nothing else of them changes.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial, wraps
from typing import Any
from weakref import WeakSet, ref

import opentelemetry.instrumentation.dbapi as dbapi  # noqa: PLR0402 — else its absence is no ModuleNotFoundError
import opentelemetry.instrumentation.psycopg2 as package
import psycopg2
from opentelemetry.instrumentation.psycopg2.version import __version__ as package_version
from psycopg2.extensions import connection as plain_connection
from psycopg2.extensions import cursor as plain_cursor
from psycopg2.extensions import parse_dsn

from dashcam.record.clients.sql import StatementTracer, connecting
from dashcam.record.context import recorder
from dashcam.record.spans.tracer import get_tracer

MAX_CLASSES = 256  # kept of those that a program makes connections and cursors of
_CONNECTION_ATTRIBUTES = {"database": "info.dbname", "port": "info.port", "host": "info.host", "user": "info.user"}

STATEMENT_METHODS = ("execute", "executemany", "callproc")

_cursor_classes: WeakSet[type] = WeakSet()  # ours
_tracers: "dict[ref[plain_connection], StatementTracer]" = {}  # not a `WeakKeyDictionary`, whose `get` is Python


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
        with connecting(lambda: (self, parse_dsn(args[0] if args else kwargs["dsn"]))):
            connection = connect_method(*args, **kwargs)
        try:
            self.get_connection_attributes(connection)
            tracer = get_tracer(package.__name__, package_version)
            _tracers[ref(connection, _tracers.pop)] = StatementTracer(self, tracer)
        except Exception:  # noqa: BLE001 — a connection is one, whatever is known of it
            recorder.give_up()
        return connection


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
        return (
            tracer.call_in_span(self, partial(method, self), args, kwargs) if tracer else method(self, *args, **kwargs)
        )

    return wraps(method)(traced) if callable(method) else method


def _subclass(base: type, bases: tuple[type, ...], methods: dict[str, Any]) -> type:
    try:
        namespace = {"__slots__": (), "__module__": base.__module__, "__doc__": base.__doc__}
        return type(base.__name__, bases, namespace | methods)
    except TypeError:  # it may forbid subclasses
        return base
