"""How a log call becomes a line of the spool."""

import sys
import time
from functools import lru_cache
from math import isfinite
from typing import Any

import orjson

from dashcam.event import NS_PER_S
from dashcam.record.correlation import fragment
from dashcam.record.masking import has_secret, is_secret_name, may_hold_secret
from dashcam.record.mender import ITEMS, LABEL_BYTES, NAME_BYTES, Mender

NAMES_REMEMBERED = 10_000  # harmless field names; a caller that makes names up cannot fill the memory

_dumps = orjson.dumps
_harmless: set[str] = set()
_is_harmless = _harmless.issuperset


@lru_cache(maxsize=8)
def _until_second(seconds: int) -> bytes:
    return time.strftime('{"@timestamp":"%Y-%m-%dT%H:%M:%S.', time.gmtime(seconds)).encode()


def head(now_ns: int) -> bytes:
    """The start of a line, `{"@timestamp":"…Z",`: UTC, microseconds."""
    seconds, rest_ns = divmod(now_ns, NS_PER_S)
    return b'%b%06dZ",' % (_until_second(seconds), rest_ns // 1000)


def encode_line(now_ns: int, level: bytes, body: bytes, tail: bytes) -> bytes:
    """A log call as a line: when, at which level, what, in which request, and what ends each line of its logger."""
    seconds, rest_ns = divmod(now_ns, NS_PER_S)
    return b'%b%06dZ",%b%b%b%b' % (_until_second(seconds), rest_ns // 1000, level, body[1:-1], fragment(), tail)


def encode_call(message: object, fields: dict[str, Any]) -> bytes:
    """One JSON object of a log call: `message`, `labels`, and where due `error` and `tags`.

    `exc_info` among the fields is what it is for `logging`: an exception, `True` for the one being handled, or the
    triple of `sys.exc_info()`. Takes any values and masks secrets; what it had to replace or cut is in `tags`.
    """
    try:
        body = _dumps({"message": message, "labels": fields} if fields else {"message": message})
    except (TypeError, ValueError, RecursionError):
        return _mended(message, fields)
    text = body.decode()
    if (
        _is_harmless(fields)
        and len(body) <= LABEL_BYTES
        and type(message) is str
        and "[" not in text
        and '":null' not in text  # also what JSON makes of a number that is none
        and not may_hold_secret(text, 2 + len(fields) if fields else 1)
    ):
        return body
    return _examined(body, message, fields)


def _examined(body: bytes, message: object, fields: dict[str, Any]) -> bytes:
    """The body as it is when a closer look finds nothing in it to mend."""
    suspects = fields.keys() - _harmless
    if not all(map(_is_fit_name, suspects)):
        return _mended(message, fields)
    if len(_harmless) < NAMES_REMEMBERED:
        _harmless.update(suspects)
    is_short = len(body) <= LABEL_BYTES and len(fields) <= ITEMS
    is_fit = is_short and isinstance(message, str) and all(map(_is_fit, (message, *fields.values())))
    return body if is_fit else _mended(message, fields)


def _is_fit_name(name: str) -> bool:
    is_plain = len(name) <= NAME_BYTES // 4 and "\0" not in name
    return is_plain and name != "exc_info" and not is_secret_name(name) and not has_secret(name)


def _is_fit(value: object) -> bool:
    """Whether a value can be recorded as JSON has it: a single one, no secret in it, and a number if it is one."""
    match value:
        case str():
            return not has_secret(value)
        case float():
            return isfinite(value)
    return value is None or isinstance(value, int)


def _mended(message: object, fields: dict[str, Any]) -> bytes:
    mender = Mender()
    error = _error_of(fields.get("exc_info"))
    body: dict[str, Any] = {"message": mender.text(message)}
    if labels := mender.fields({name: value for name, value in fields.items() if name != "exc_info"}):
        body["labels"] = labels
    if error:
        body["error"] = mender.error(error)
    if mender.tags:
        body["tags"] = sorted(mender.tags)
    return _dumps(body)


def _error_of(exc_info: Any) -> BaseException | None:
    """The exception that a caller's `exc_info` means, if any."""
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1] if len(exc_info) == 3 else None
    elif isinstance(exc_info, int) and exc_info:
        exc_info = sys.exception()
    return exc_info if isinstance(exc_info, BaseException) else None
