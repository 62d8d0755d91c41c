"""Starts recording in a process: `init` and, for Flask, `init_app`."""

import logging
import os
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from inspect import iscoroutinefunction
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import propagate, trace
from opentelemetry.environment_variables import OTEL_PROPAGATORS
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from dashcam.extras import missing_extra
from dashcam.record import otel_variables
from dashcam.record.clients import instrument
from dashcam.record.context import recorder
from dashcam.record.context.correlation import PROPAGATORS, RequestIdPropagator, current_request
from dashcam.record.context.recorder import Recorder
from dashcam.record.context.service import Service
from dashcam.record.logs import keep, log_record, stdlib, unhandled
from dashcam.record.logs.console import Console
from dashcam.record.logs.logger import get_logger
from dashcam.record.masking.mask import configure
from dashcam.record.spans import tracer
from dashcam.record.spans.conventions import prefer_stable_conventions
from dashcam.record.spans.recording import PROCESSOR, processors_of, record_unsampled
from dashcam.record.spans.tracer import Provider
from dashcam.record.values.plain import copy_fields, python_copy_fields
from dashcam.settings import RecordSettings, load_or_default

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from dashcam.record.servers.asgi import ASGIApp

_COMPILE = "install a wheel for this platform, or install a C compiler and then this package again"
_is_alone = False  # whether the tracer provider is ours: nobody else has set up OpenTelemetry
_propagators: TextMapPropagator | None = None  # those of the program, or OpenTelemetry's usual ones
_joined: TextMapPropagator | None = None  # those, and the request ID


def init(service: str = "", version: str = "", settings: RecordSettings | None = None) -> None:
    """Record this process: its log calls, spans and unhandled exceptions, into the spool.

    `OTEL_SERVICE_NAME` overrides `service`. `settings` replaces what the environment says. Calls of client libraries
    get spans and carry the request ID, whether the library is imported before or after. A second call replaces the
    service and the settings of the first one. A setting that cannot be used gets its default, with a warning in the
    record.

        >>> dashcam.init("nightly", "1.4.0")
    """
    used, faults = (settings, list[str]()) if settings else load_or_default(RecordSettings)
    identity = Service.of_process(service, version)
    configure(used.mask, used.mask_allow, used.mask_key)
    keep.configure(used.clip_key)
    is_first = not recorder.running()
    recorder.start(_recorder(identity, used))
    if logging.getLogRecordFactory() is logging.LogRecord and log_record.is_known:
        logging.setLogRecordFactory(log_record.make_record)
    stdlib.hook(used.level, used.levels)
    _record_spans(identity)
    unhandled.hook()
    for fault in [*faults, *otel_variables.left_out()]:
        _warn_once(fault)
    if copy_fields is python_copy_fields:
        _warn_once("the compiled parts are missing, so a log call takes several times as long", fix=_COMPILE)
    if is_first:
        stdlib.warn_of_gunicorns_master(identity.name)


def init_app(app: Any, service: str = "", version: str = "") -> Any:
    """Record an application: call `init`, and give each request a request ID and a span. Return what to serve.

    Flask, FastAPI, Starlette and Quart applications are changed in place and returned. For any other ASGI application,
    serve the returned application. The name of the service is `OTEL_SERVICE_NAME`, else `service`, else the calling
    module (for Flask, the application's package). Raises `TypeError` if `app` is not such an application.

        >>> app = dashcam.init_app(Flask("garage"))
    """
    settings, _ = load_or_default(RecordSettings)  # `init` warns of what cannot be used
    if hasattr(app, "import_name") and hasattr(app, "wsgi_app"):
        own = _join(service or _package(app.import_name), version, settings)
        _recording("flask").instrument(app, service=own, is_caller_trusted=settings.trust_request_id)
        return app
    is_starlette, is_quart = hasattr(app, "build_middleware_stack"), hasattr(app, "asgi_app")
    # A callable of ASGI 3 is a coroutine function, or an object whose call is one.
    call = getattr(app, "__call__", None)  # noqa: B004 — it is looked at, not only for
    if not (is_starlette or is_quart or iscoroutinefunction(app) or iscoroutinefunction(call)):
        raise TypeError(f"{app!r} is not a Flask or ASGI application; for a WSGI application use dashcam.wsgi(app)")
    own = _join(service or _caller(), version, settings)
    package = type(app).__module__.partition(".")[0]
    package = package if is_starlette else "asgi"
    options = _recording("asgi").Options(own, settings.trust_request_id, package, _is_alone)
    if is_starlette:
        _recording("asgi").instrument(app, options)
    elif is_quart:
        app.asgi_app = _recording("asgi").record(app.asgi_app, options)
    else:
        return _recording("asgi").record(app, options)
    return app


def wsgi(app: "WSGIApplication", service: str = "", version: str = "") -> "WSGIApplication":
    """Return a recorded version of a WSGI application, such as Django's. Each request gets a request ID and a span.

        >>> application = dashcam.wsgi(get_wsgi_application(), "garage")

    The name of the service is `OTEL_SERVICE_NAME`, else `service`, else the calling module or the program.
    Raises `TypeError` if `app` cannot be called.
    """
    if not callable(app):
        raise TypeError(f"{app!r} is not a WSGI application")
    settings, _ = load_or_default(RecordSettings)  # `init` warns of what cannot be used
    own = _join(service or _caller(), version, settings)
    recorded: WSGIApplication = _recording("wsgi").record(app, service=own, is_caller_trusted=settings.trust_request_id)
    return recorded


def asgi(app: "ASGIApp", service: str = "", version: str = "") -> "ASGIApp":
    """Return a recorded version of an ASGI application, such as Django's. Each request gets a request ID and a span.

        >>> application = dashcam.asgi(get_asgi_application(), "garage")

    The name of the service is `OTEL_SERVICE_NAME`, else `service`, else the calling module or the program.
    Raises `TypeError` if `app` cannot be called.
    """
    if not callable(app):
        raise TypeError(f"{app!r} is not an ASGI application")
    settings, _ = load_or_default(RecordSettings)  # `init` warns of what cannot be used
    own = _join(service or _caller(), version, settings)
    recorded: ASGIApp = _recording("asgi").record(
        app, _recording("asgi").Options(own, settings.trust_request_id, is_alone=_is_alone)
    )
    return recorded


def _recording(kind: str) -> Any:
    """Return the module that records a kind of application; it needs the libraries of an extra."""
    try:
        module = import_module(f"dashcam.record.servers.{kind}")
    except ModuleNotFoundError as error:
        raise (missing_extra(error) or error) from error
    stdlib.leave_out_access_logs()
    return module


def _caller() -> str:
    """Return the package of the module that calls our caller, empty for a script: the program names that."""
    return _package(str(sys._getframe(2).f_globals.get("__name__", "")))  # noqa: SLF001 — as `logging` finds its caller


def _package(module: str) -> str:
    return "" if module.startswith("__") else module.partition(".")[0]


def _join(name: str, version: str, settings: RecordSettings) -> Service:
    """Return the service of an application, and record it; beside those of other applications, if there are any."""
    own, running = Service.of_process(name, version), [each.service for each in recorder.running()]
    if not running:
        init(name, version)
    elif not version and (same := [each for each in running if each.name == own.name]):
        return same[0]
    elif own not in running:
        recorder.add(_recorder(own, settings))
    return own


@cache
def _warn_once(fault: str, **fields: Any) -> None:
    get_logger("dashcam.settings").warning(fault, **fields)


def _recorder(service: Service, settings: RecordSettings) -> Recorder:
    return Recorder(service, settings, None if settings.console == "off" else Console(settings.console, service))


def add(**fields: Any) -> None:
    """Add labels to the span of the current request or job. Outside of one, do nothing.

    >>> dashcam.add(car_id=7, wheels=4)
    """
    if request := current_request():
        request.labels.update(fields)


def _record_spans(service: Service) -> None:
    prefer_stable_conventions()
    with otel_variables.hidden():
        provider = trace.get_tracer_provider()
    if tracer.makes_spans(provider):
        _record_provider(provider)
    else:
        ours = tracer.aside or Provider(resource=_resource(service))
        if ours.is_switched_off or not isinstance(provider, trace.ProxyTracerProvider):
            tracer.aside = ours
        else:
            _set_ours(ours)
        _record_provider(ours)
    instrument.start(init)


def _resource(service: Service) -> Resource:
    attributes = {"service.name": service.name}
    try:
        return Resource.create(attributes)
    except RuntimeError:  # it starts a thread for each detector, and no more can be started, or none in an interpreter
        return Resource(attributes)


def _set_ours(ours: Provider) -> None:
    global _is_alone
    trace.set_tracer_provider(ours)
    _is_alone = True
    if hasattr(trace, "_TRACER_PROVIDER_SET_ONCE"):  # else one that the program sets later is refused
        trace._TRACER_PROVIDER_SET_ONCE = cast("Any", _SetOnce(ours))  # noqa: SLF001 — there is no public way


def _record_provider(provider: TracerProvider) -> None:
    """Record the spans of a provider, and send the request ID along with what its program sends."""
    record_unsampled(provider)
    if PROCESSOR not in processors_of(provider):
        provider.add_span_processor(PROCESSOR)
    global _propagators, _joined
    if _propagators is None or propagate.get_global_textmap() is not _joined:
        _propagators = propagate.get_global_textmap()
    is_usual = _is_alone and not _are_chosen(_propagators)
    _joined = PROPAGATORS if is_usual else CompositePropagator([_propagators, RequestIdPropagator()])
    propagate.set_global_textmap(_joined)


def _are_chosen(propagators: TextMapPropagator) -> bool:
    """Return true unless these are the propagators of OpenTelemetry for a program that chooses none."""
    return OTEL_PROPAGATORS in os.environ or propagators.fields != {"traceparent", "tracestate", "baggage"}


class _SetOnce:
    """Lets a program set its own tracer provider, once, as without ours, which gives way; it is recorded."""

    def __init__(self, ours: Provider) -> None:
        self._ours = ours
        self._lock = Lock()
        self._done = False  # by the name that tests of programs set back

    def do_once(self, set_provider: Callable[[], None]) -> bool:
        """Set a provider as OpenTelemetry does; false if one was set before."""
        global _is_alone
        with self._lock:
            if self._done:
                return False
            self._done = True
        set_provider()
        provider = trace.get_tracer_provider()
        _is_alone = False
        if tracer.makes_spans(provider):
            self._ours.give_way_to(provider)
            _record_provider(provider)
        else:
            tracer.aside = self._ours
        return True
