"""Spans and IDs for the calls of client libraries, from the moment that a program imports one."""

import contextvars
import logging
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from importlib.metadata import distributions
from inspect import unwrap
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import wrapt
from opentelemetry.instrumentation.dependencies import DependencyConflictError
from opentelemetry.instrumentation.threading import ThreadingInstrumentor

from dashcam import forks
from dashcam.record.clients.processes import carry_into_processes
from dashcam.record.context import recorder
from dashcam.record.context.current import attach, get_current
from dashcam.record.logs import stdlib, unhandled
from dashcam.record.logs.logger import spool_call
from dashcam.record.spans import tracer

if TYPE_CHECKING:
    from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]


class Instrumented(NamedTuple):
    """OpenTelemetry's package for a library, or ours around it, and the extra of Dashcam that installs it."""

    package: str
    instrumentor: str
    extra: str
    is_named_if_missing: bool = True  # false for what others import without the program's own doing


LIBRARIES: Final = {
    "aiohttp": Instrumented("aiohttp_client", "AioHttpClientInstrumentor", "aiohttp"),
    "celery": Instrumented("dashcam.record.clients.celery", "instrumentor", "celery"),
    "httpx": Instrumented("httpx", "HTTPXClientInstrumentor", "httpx"),
    "psycopg": Instrumented("dashcam.record.clients.psycopg", "instrumentor", "psycopg"),
    "psycopg2": Instrumented("dashcam.record.clients.psycopg2", "Psycopg2Instrumentor", "psycopg2"),
    "redis": Instrumented("redis", "RedisInstrumentor", "redis"),
    "requests": Instrumented("dashcam.record.clients.requests", "RequestsInstrumentor", "requests"),
    "sqlalchemy": Instrumented("dashcam.record.clients.sqlalchemy", "instrumentor", "sqlalchemy"),
    "urllib.request": Instrumented("urllib", "URLLibInstrumentor", "urllib", is_named_if_missing=False),
    "urllib3": Instrumented("urllib3", "URLLib3Instrumentor", "urllib3", is_named_if_missing=False),
}


class _Uncovered(NamedTuple):
    """A library that OpenTelemetry has a package for, and Dashcam no extra."""

    package: str
    under: str = ""  # a module that imports the library, and whose calls are recorded by themselves


_UNCOVERED: Final = {
    "MySQLdb": _Uncovered("mysqlclient", under="sqlalchemy"),
    "aio_pika": _Uncovered("aio-pika"),
    "aiokafka": _Uncovered("aiokafka"),
    "asyncpg": _Uncovered("asyncpg", under="sqlalchemy"),
    "botocore": _Uncovered("botocore", under="opentelemetry.instrumentation.urllib3"),
    "cassandra": _Uncovered("cassandra"),
    "confluent_kafka": _Uncovered("confluent-kafka"),
    "grpc": _Uncovered("grpc", under="opentelemetry.exporter.otlp.proto.grpc"),
    "kafka": _Uncovered("kafka-python"),
    "mysql.connector": _Uncovered("mysql", under="sqlalchemy"),
    "pika": _Uncovered("pika"),
    "pymemcache": _Uncovered("pymemcache"),
    "pymongo": _Uncovered("pymongo"),
    "pymysql": _Uncovered("pymysql", under="sqlalchemy"),
}

_warn = spool_call(logging.WARNING, "dashcam.instrument")
_is_started = False
recorded: set[str] = set()  # the libraries whose calls have spans


def start(init: Callable[..., None]) -> None:
    """Instrument threads now, and each library when it is imported, or now if it is already.

    `init` is called in a process of a pool that does not record yet. A library whose package is missing is named once
    in the record; nothing is raised into the program's import.
    """
    global _is_started
    if _is_started:
        return
    _is_started = True
    _instrument(ThreadingInstrumentor())
    _carry_into_threads()
    for name, library in LIBRARIES.items():
        wrapt.register_post_import_hook(partial(_never_raise, partial(_instrument_library, name, library)), name)
    for name, uncovered in _UNCOVERED.items():
        wrapt.register_post_import_hook(partial(_never_raise, partial(_name_uncovered, name, uncovered)), name)
    wrapt.register_post_import_hook(
        partial(_never_raise, partial(carry_into_processes, init)), "concurrent.futures.process"
    )
    wrapt.register_post_import_hook(partial(_never_raise, _carry_into_greenlets), "gevent.greenlet")
    wrapt.register_post_import_hook(partial(_never_raise, _leave_interpreters_alone), "concurrent.futures.interpreter")
    wrapt.register_post_import_hook(partial(_never_raise, stdlib.warn_of_disabled_loggers), "logging.config")
    wrapt.register_post_import_hook(partial(_never_raise, _begin_workers), "uwsgi")
    wrapt.register_post_import_hook(partial(_never_raise, _begin_workers_first), "uwsgidecorators")
    wrapt.register_post_import_hook(partial(_never_raise, unhandled.hook_greenlets), "gevent.hub")
    wrapt.register_post_import_hook(partial(_never_raise, unhandled.hook_cells), "IPython")
    wrapt.register_post_import_hook(partial(_never_raise, unhandled.hook_processes), "multiprocessing.util")


def _carry_into_threads() -> None:
    """Have each thread begin in the context that it was started in.

    OpenTelemetry's package keeps it on the thread, and leaves out a thread with a `run` of its own.
    """
    begin_plain = getattr(threading.Thread, "_bootstrap_inner", None)  # what calls `run`; there is no public way
    if begin_plain is None:
        return

    def begin(thread: threading.Thread) -> None:
        if (context := getattr(thread, "_otel_context", None)) is not None:
            attach(context)
        begin_plain(thread)

    threading.Thread._bootstrap_inner = begin  # type: ignore[attr-defined]  # noqa: SLF001


def _carry_into_greenlets(module: ModuleType) -> None:
    """Have each greenlet of gevent begin in the context that it was spawned in, which greenlets do not share."""

    def carry(greenlet: Any) -> None:
        if greenlet.gr_context is None and (context := get_current()):
            greenlet.gr_context = contextvars.Context()
            greenlet.gr_context.run(attach, context)

    module.Greenlet.add_spawn_callback(carry)


def _leave_interpreters_alone(module: ModuleType) -> None:
    # It is a `ThreadPoolExecutor`, whose instrumented `submit` makes a closure, which no other interpreter takes.
    module.InterpreterPoolExecutor.submit = unwrap(ThreadPoolExecutor.submit)


def _begin_workers(uwsgi: ModuleType) -> None:
    # Python does not know of uWSGI's forks, unless `py-call-osafterfork` is set.
    if not hasattr(uwsgi, "masterpid"):  # a module of the program, with the name of what is in uWSGI's processes
        return
    former: Callable[[], object] | None = getattr(uwsgi, "post_fork_hook", None)

    def begin() -> None:
        forks.begin_child()
        if former:
            former()

    uwsgi.post_fork_hook = begin  # type: ignore[attr-defined]


def _begin_workers_first(uwsgidecorators: ModuleType) -> None:
    # It replaces the hook, and some of its functions do not return.
    uwsgidecorators.postfork_chain.insert(0, forks.begin_child)


def _never_raise(hook: Callable[[ModuleType], None], module: ModuleType) -> None:
    try:
        hook(module)
    except Exception as fault:  # noqa: BLE001 — the program's import works as it would without us
        _warn("a library is not instrumented", library=module.__name__, exc_info=fault)
        recorder.drop("error")


def _instrument_library(name: str, library: Instrumented, _: ModuleType) -> None:
    try:
        is_own = library.package.startswith("dashcam.")
        package = import_module(library.package if is_own else f"opentelemetry.instrumentation.{library.package}")
    except ModuleNotFoundError:
        if library.is_named_if_missing:
            fix = f"pip install 'dashcam[{library.extra}]'"
            _warn(f"calls of {name} carry no request ID and have no span", library=name, fix=fix)
        return
    try:
        _instrument(getattr(package, library.instrumentor)())
        recorded.add(name)
    except DependencyConflictError as conflict:
        fix = f"a version that OpenTelemetry's package supports: {conflict}"
        _warn(f"calls of {name} carry no request ID and have no span", library=name, fix=fix)


def _name_uncovered(name: str, uncovered: _Uncovered, _: ModuleType) -> None:
    package = f"opentelemetry-instrumentation-{uncovered.package}"
    if uncovered.under in sys.modules or any(distributions(name=package)):
        return
    fix = f"pip install {package}, and call instrument() of its instrumentor"
    _warn(f"calls of {name} carry no request ID and have no span", library=name, fix=fix)


def _instrument(instrumentor: "BaseInstrumentor") -> None:
    if not instrumentor.is_instrumented_by_opentelemetry:
        options = {"tracer_provider": tracer.aside} if tracer.aside else {}
        # It raises: else it logs an error, to whoever hears the program.
        instrumentor.instrument(raise_exception_on_conflict=True, **options)
