"""How a log call becomes a line of the spool."""

import sys
from math import isfinite
from typing import Any, Final, cast

import orjson
from opentelemetry.context import Context, create_key, get_current

from dashcam.record.correlation import ids_in
from dashcam.record.masking import has_secret, is_plain, is_secret_name
from dashcam.record.sanitizer import MAX_ITEMS, MAX_LABEL_BYTES, MAX_NAME_BYTES, Sanitizer

CONTEXT_FIELDS: Final = create_key("dashcam-fields")  # what `dashcam.context` puts on every log call
MAX_NAMES_REMEMBERED = 10_000  # harmless field names; a caller that makes names up cannot fill the memory

_dumps = orjson.dumps
_harmless: set[str] = set()
_is_harmless = _harmless.issuperset
_last: tuple[Context | None, bytes, dict[str, Any] | None] = (None, b"", None)
_NO_LABELS = frozenset({"exc_info", "stack_info"})


def encode_call(time_ns: int, level: str, message: object, fields: dict[str, Any], tail: bytes) -> bytes:
    """The line of a log call: when, at which level, what, in which request, and the `tail` of its logger's lines.

    Fields become `labels`. `exc_info` among them is what it is for `logging`: an exception, `True` for the one being
    handled, or the triple of `sys.exc_info()`; `stack_info` is a text. Takes any values and masks secrets; what it had
    to replace or cut is in `tags`. The one thing here that a caller always waits for, hence in one piece.
    """
    global _last
    # A context never changes, so what is in the last one is kept; its identity is enough to know it again.
    context = get_current()
    known, ids, context_fields = _last
    if known is not context:
        ids = ids_in(context)
        context_fields = cast("dict[str, Any] | None", context.get(CONTEXT_FIELDS))
        _last = (context, ids, context_fields)
    if context_fields:
        fields = {**context_fields, **fields}

    try:
        if fields:
            body = _dumps({"time_ns": time_ns, "log.level": level, "message": message, "labels": fields})
        else:
            body = _dumps({"time_ns": time_ns, "log.level": level, "message": message})
    except (TypeError, ValueError, RecursionError):
        body = _sanitized(time_ns, level, message, fields)
    else:
        if (
            type(message) is not str
            or len(body) > MAX_LABEL_BYTES
            or not _is_harmless(fields)
            or not is_plain(body, 4 + len(fields) if fields else 3)
        ) and not _is_fit_call(body, message, fields):
            body = _sanitized(time_ns, level, message, fields)

    return body[:-1] + ids + tail


def are_fit(labels: dict[str, Any]) -> bool:
    """Whether labels can be recorded as JSON has them: nothing in them is to be masked, cut or mended."""
    try:
        body = _dumps(labels)
    except (TypeError, ValueError, RecursionError):
        return False
    is_plainly_fit = len(body) <= MAX_LABEL_BYTES and _is_harmless(labels) and is_plain(body, len(labels))
    return is_plainly_fit or _is_fit_call(body, "", labels)


def _is_fit_call(body: bytes, message: object, fields: dict[str, Any]) -> bool:
    """What a closer look finds of a call's message and fields, and of the JSON made of them."""
    suspects = fields.keys() - _harmless
    if not all(map(_is_fit_name, suspects)):
        return False
    if len(_harmless) < MAX_NAMES_REMEMBERED:
        _harmless.update(suspects)
    is_short = len(body) <= MAX_LABEL_BYTES and len(fields) <= MAX_ITEMS
    return is_short and isinstance(message, str) and all(map(_is_fit, (message, *fields.values())))


def _is_fit_name(name: str) -> bool:
    is_plain = len(name) <= MAX_NAME_BYTES // 4 and "\0" not in name
    return is_plain and name not in _NO_LABELS and not is_secret_name(name) and not has_secret(name)


def _is_fit(value: object) -> bool:
    """Whether a value can be recorded as JSON has it: a single one, no secret in it, and a number if it is one."""
    match value:
        case str():
            return not has_secret(value)
        case float():
            return isfinite(value)
    return value is None or isinstance(value, int)


def _sanitized(time_ns: int, level: str, message: object, fields: dict[str, Any]) -> bytes:
    sanitizer = Sanitizer()
    body: dict[str, Any] = {"time_ns": time_ns, "log.level": level, "message": sanitizer.text(message)}
    if labels := sanitizer.fields({name: value for name, value in fields.items() if name not in _NO_LABELS}):
        body["labels"] = labels
    if error := error_of(fields.get("exc_info")):
        body["error"] = sanitizer.error(error)
    if stack := fields.get("stack_info"):
        body.setdefault("error", {}).setdefault("stack_trace", sanitizer.text(stack))
    if sanitizer.tags:
        body["tags"] = sorted(sanitizer.tags)
    return _dumps(body)


def error_of(exc_info: Any) -> BaseException | None:
    """Return the exception that a caller's `exc_info` means, if any; a class, or one with a text, is made to one."""
    arguments: tuple[object, ...] = ()
    if isinstance(exc_info, tuple):
        kind, error, _ = exc_info if len(exc_info) == 3 else (None, None, None)
        exc_info = error if isinstance(error, BaseException) else kind
        arguments = () if error is None else (error,)
    elif isinstance(exc_info, int) and exc_info:
        exc_info = sys.exception()
    if isinstance(exc_info, type) and issubclass(exc_info, BaseException):
        try:
            return exc_info.__new__(exc_info, *arguments)
        except Exception:  # noqa: BLE001 — a class may ask for more than that
            return None
    return exc_info if isinstance(exc_info, BaseException) else None
