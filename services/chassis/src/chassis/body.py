"""The checked body of a request."""

from collections.abc import Mapping
from typing import Any
from unicodedata import category

from flask import request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest, RequestTimeout

MAX_BODY_BYTES = 16 * 1024  # a name needs a hundred; what is larger is no request of ours


def read_texts(longest: Mapping[str, int]) -> dict[str, str]:
    """The request's JSON object: just these fields, each a text of 1 up to that many characters.

    Raises 400 with every fault named, 413 or 415.
    """
    body = _read_object()
    faults = [f"{name!r} is not a field" for name in body if name not in longest]
    faults += [f"{name!r} {fault}" for name, most in longest.items() if (fault := _text_fault(body.get(name), most))]
    if faults:
        raise BadRequest(f"The body cannot be used: {', '.join(faults)}.")
    return body


def _read_object() -> dict[str, Any]:
    try:
        body = request.get_json()
    except TimeoutError as fault:
        raise RequestTimeout("The body did not arrive in time.") from fault
    except (OSError, ParseException) as fault:
        raise BadRequest("The body cannot be read: its framing is broken, or it ends early.") from fault
    except (BadRequest, RecursionError) as fault:
        raise BadRequest("The body is not JSON.") from fault
    if not isinstance(body, dict):
        raise BadRequest("The body is not a JSON object.")
    return body


def _text_fault(value: object, most: int) -> str:
    if not isinstance(value, str) or not value.strip():
        return "must be a text that is not blank"
    if len(value) > most:
        return f"has {len(value)} characters, at most {most} are allowed"
    if any(category(character) in {"Cc", "Cs"} for character in value):
        return "has control characters or halves of a surrogate pair"
    return ""
