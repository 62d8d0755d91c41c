"""Starts recording in a process: `init` and, for Flask, `init_app`."""

import logging
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.propagate import set_global_textmap
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from dashcam.extras import missing_extra
from dashcam.record import instrument, log_record, recorder, stdlib, unhandled
from dashcam.record.console import Console
from dashcam.record.correlation import PROPAGATORS, current_request
from dashcam.record.recorder import Recorder, Service
from dashcam.record.spans import SpoolProcessor, processors_of, record_unsampled
from dashcam.settings import RecordSettings, load, prefer_stable_conventions

if TYPE_CHECKING:
    import flask
    from _typeshed.wsgi import WSGIApplication

_processor = SpoolProcessor()


def init(service: str = "", version: str = "", settings: RecordSettings | None = None) -> None:
    """Record this process: its log calls, spans and unhandled exceptions, into the spool.

    `OTEL_SERVICE_NAME` goes before `service`. Calls of client libraries get spans and carry the request ID, whether the
    library is imported before or after. A second call goes on in another spool. Raises `SettingsError` for a bad
    environment.
    """
    settings = settings or load(RecordSettings)
    identity = Service.of_process(service, version)
    recorder.start(_recorder(identity, settings))
    if logging.getLogRecordFactory() is logging.LogRecord and log_record.is_known:
        logging.setLogRecordFactory(log_record.make_record)
    stdlib.hook(settings.level)
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
    own = _join(service or app.import_name.partition(".")[0], version, settings)
    flask_recording.instrument(app, service=own, is_caller_trusted=settings.trust_request_id)


def wsgi(app: "WSGIApplication", service: str = "", version: str = "") -> "WSGIApplication":
    """Return a WSGI application, such as Django's, that records: `init`, and a span and a request ID for each request.

        application = dashcam.wsgi(get_wsgi_application(), "garage")

    The service is named by `OTEL_SERVICE_NAME`, `service`, or the program, in this order.
    """
    try:
        from dashcam.record import wsgi as wsgi_recording
    except ModuleNotFoundError as error:
        raise (missing_extra(error) or error) from error

    settings = load(RecordSettings)
    own = _join(service, version, settings)
    return wsgi_recording.record(app, service=own, is_caller_trusted=settings.trust_request_id)


def _join(name: str, version: str, settings: RecordSettings) -> Service:
    """Return the service of an application, and record it; beside those of other applications, if there are any."""
    own, running = Service.of_process(name, version), [each.service for each in recorder.running()]
    if not running:
        init(name, version, settings)
    elif not version and (same := [each for each in running if each.name == own.name]):
        return same[0]
    elif own not in running:
        recorder.add(_recorder(own, settings))
    return own


def _recorder(service: Service, settings: RecordSettings) -> Recorder:
    return Recorder(service, settings, None if settings.console == "off" else Console(settings.console, service))


def add(**fields: Any) -> None:
    """Put fields on the request that is being served: labels of its span. Outside of a request it does nothing."""
    if request := current_request():
        request.labels.update(fields)


def _record_spans(service: Service) -> None:
    prefer_stable_conventions()
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider(resource=Resource.create({"service.name": service.name}))
        trace.set_tracer_provider(provider)
    record_unsampled(provider)
    if _processor not in processors_of(provider):
        provider.add_span_processor(_processor)
    set_global_textmap(PROPAGATORS)
    instrument.start()
