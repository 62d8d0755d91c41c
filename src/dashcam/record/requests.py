"""Spans for the calls of Requests: those of `opentelemetry-instrumentation-requests`."""

from functools import wraps
from typing import Any

from opentelemetry.instrumentation import requests as package
from requests import PreparedRequest, Response, Session


class RequestsInstrumentor(package.RequestsInstrumentor):
    """Instruments `Session.send`, unless the package itself has done so.

    The package fails on what is not prepared, such as `Session().send(Request())`, before Requests says what is wrong
    with it: that goes to Requests alone.
    """

    _instance = None  # not the package's, of which there is one

    def _instrument(self, **kwargs: Any) -> None:
        if package.RequestsInstrumentor().is_instrumented_by_opentelemetry:
            return
        plain = Session.send
        super()._instrument(**kwargs)
        traced = Session.send

        @wraps(traced)
        def send(self: Session, request: PreparedRequest, **options: Any) -> Response:
            is_prepared = isinstance(request, PreparedRequest) and request.method and request.url
            return (traced if is_prepared else plain)(self, request, **options)

        send.__wrapped__ = plain  # what the package's `uninstrument` puts back
        Session.send = send  # type: ignore[method-assign]
