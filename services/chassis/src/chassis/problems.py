"""Every error a service answers is a problem details object (RFC 9457) that carries the request ID."""

import json
from typing import Any

from flask import Flask
from werkzeug import Response
from werkzeug.exceptions import HTTPException, InternalServerError

import dashcam

log = dashcam.get_logger(__name__)


def answer_problems(app: Flask) -> None:
    """Make an app answer all its errors, Flask's own among them, with a `problem`, and log those of 500 and above."""
    app.register_error_handler(HTTPException, _answer)


def problem(error: HTTPException) -> Response:
    """The `application/problem+json` answer to an error, with the error's status and headers."""
    response = error.get_response()
    response.data = json.dumps(_details(error))
    response.content_type = "application/problem+json"
    return response


def _answer(error: HTTPException) -> Response:
    # An unhandled exception, which Flask wraps in an InternalServerError, is recorded by `dashcam.init_app`.
    if (error.code or 0) >= 500 and not isinstance(error, InternalServerError):
        cause: dict[str, Any] = {"cause": repr(error.__cause__)} if error.__cause__ else {}
        log.error(str(error.description), status=error.code, **cause)
    return problem(error)


def _details(error: HTTPException) -> dict[str, object]:
    return {
        "type": "about:blank",
        "title": error.name,
        "status": error.code,
        "detail": error.description,
        "request_id": dashcam.request_id(),
    }
