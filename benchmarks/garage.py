"""A small service in four forms: `plain`, `instrumented` by OpenTelemetry alone, `silent` and `recorded` by Dashcam.

All of them answer the same; only the last one logs.
"""

import flask
from benchmarks.event import FIELDS, MESSAGE

log = None


def plain():
    app = flask.Flask("garage")

    @app.get("/cars/<car_id>")
    def car(car_id):
        if log:
            log.info(MESSAGE, **FIELDS)
        return {"id": car_id}

    return app


def instrumented():
    """The package as its documentation shows it, and an exporter that throws spans away."""
    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    app = plain()
    FlaskInstrumentor().instrument_app(app, tracer_provider=provider_to_nowhere())
    return app


def provider_to_nowhere():
    """OpenTelemetry's SDK with an exporter that throws spans away."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, spans):  # noqa: ARG002
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    return provider


def silent():
    """Everything on, and a handler that logs nothing."""
    import dashcam

    app = plain()
    dashcam.init_app(app, "garage")
    return app


def recorded():
    """Everything on: request IDs, spans, one log call a request, the spool."""
    global log
    import dashcam

    app = plain()
    dashcam.init_app(app, "garage")
    log = dashcam.get_logger("garage")
    return app
