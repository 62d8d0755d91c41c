"""Starts recording in a process: `init` and, for Flask, `init_app`."""

import logging
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.instrumentation.threading import ThreadingInstrumentor
from opentelemetry.propagate import set_global_textmap
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from dashcam.extras import missing_extra
from dashcam.record import log_record, recorder, unhandled
from dashcam.record.correlation import PROPAGATORS, current_request
from dashcam.record.handler import Handler
from dashcam.record.recorder import Recorder, Service
from dashcam.record.spans import SpoolProcessor, processors_of
from dashcam.settings import RecordSettings, load, prefer_stable_conventions

if TYPE_CHECKING:
    import flask
    from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

# A library's instrumentor is imported only in a service that has imported the library.
_INSTRUMENTORS = {
    "psycopg2": ("opentelemetry.instrumentation.psycopg2", "Psycopg2Instrumentor"),
    "requests": ("opentelemetry.instrumentation.requests", "RequestsInstrumentor"),
}

_handler = Handler()
_processor = SpoolProcessor()


def init(service: str = "", version: str = "", settings: RecordSettings | None = None) -> None:
    """Record this process: its log calls, spans and unhandled exceptions, into the spool.

    `OTEL_SERVICE_NAME` goes before `service`. Call it after the imports: libraries that are loaded by then (`requests`,
    `psycopg2`) get spans. A second call goes on in another spool. Raises `SettingsError` for a bad environment.
    """
    settings = settings or load(RecordSettings)
    identity = Service.of_process(service, version)
    recorder.start(Recorder(identity, settings))
    _record_logging(settings.level)
    _record_spans(identity)
    unhandled.hook()


def init_app(app: "flask.Flask", service: str = "", version: str = "") -> None:
    """Record a Flask application: `init`, and a span and a request ID for each request.

    The service is named by `OTEL_SERVICE_NAME`, `service`, or the application's package, in this order.
    """
    try:
        from dashcam.record import flask as flask_recording
    except ModuleNotFoundError as error:
        raise (missing_extra(error) or error) from error

    settings = load(RecordSettings)
    name = service or app.import_name.partition(".")[0]
    running = recorder.current()
    if not isinstance(running, Recorder) or running.service != Service.of_process(name, version):
        init(name, version, settings)
    flask_recording.instrument(app, is_id_trusted=settings.trust_request_id)


def add(**fields: Any) -> None:
    """Put fields on the request that is being served: labels of its span. Outside of a request it does nothing."""
    if request := current_request():
        request.labels.update(fields)


def _record_logging(level: str) -> None:
    if logging.getLogRecordFactory() is logging.LogRecord and log_record.is_known:
        logging.setLogRecordFactory(log_record.make_record)
    root = logging.getLogger()
    if _handler not in root.handlers:
        root.addHandler(_handler)
    if root.level == logging.WARNING:  # its default, which would keep a library's INFO from us
        root.setLevel(level)


def _record_spans(service: Service) -> None:
    prefer_stable_conventions()
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider(resource=Resource.create({"service.name": service.name}))
        trace.set_tracer_provider(provider)
    if _processor not in processors_of(provider):
        provider.add_span_processor(_processor)
    set_global_textmap(PROPAGATORS)
    _instrument(ThreadingInstrumentor())
    for library, (module, name) in _INSTRUMENTORS.items():
        if library in sys.modules:
            _instrument(getattr(import_module(module), name)())


def _instrument(instrumentor: "BaseInstrumentor") -> None:
    if not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument()
