"""Encodes a log call as a line of the spool."""

import sys
from collections.abc import Callable
from typing import Any, Final, cast

import orjson
from opentelemetry.context import Context, create_key

from dashcam.record import masking, recorder
from dashcam.record.correlation import ids_in
from dashcam.record.current import get_current
from dashcam.record.interruption import is_interruption
from dashcam.record.masking import mask_value, masked_by_name, secret_name
from dashcam.record.plain import MENDED, OPTIONS, convert, dumps, is_plain
from dashcam.record.sanitizer import MAX_LABEL_BYTES, MAX_NAME_BYTES, MAX_TEXT_BYTES, Sanitizer
from dashcam.record.traces import DescribedError, format_exception
from dashcam.spool.line import MAX_TIME_NS

CONTEXT_FIELDS: Final = create_key("dashcam-fields")  # what `dashcam.context` puts on every log call
LOGGED: Final = "_is_logged_by_dashcam"  # what ended the program, if its own hook logs that
MAX_ERROR_BYTES = 100_000  # of an exception beside a short message: more has to share the line

_MARK = MENDED[0]  # Python finds a number in bytes in a quarter of the time that it takes for bytes
_dumps = orjson.dumps
_last: tuple[Context | None, bytes, dict[str, Any] | None] = (None, b"", None)
_OF_JSON = frozenset({str, int, float, bool, type(None)})
_NO_LABELS = frozenset({"exc_info", "stack_info"})


def python_encode_call(time_ns: int, level: str, message: object, fields: dict[str, Any], tail: bytes, /) -> bytes:
    """Return the line of a log call: time, level, message, fields, request, and the `tail` of its logger's lines.

    Fields become `labels`. `exc_info` among them is what it is for `logging`: an exception, `True` for the one being
    handled, or the triple of `sys.exc_info()`; `stack_info` is a text. Any values are accepted, secrets are masked, and
    `tags` says that a value was replaced or cut.
    """
    global _last
    # A context never changes, so what is in the last one is kept; its identity is enough to know it again.
    context = get_current()
    known, ids, context_fields = _last
    if known is not context:
        ids, context_fields = _parts_of(context)
        _last = (context, ids, context_fields)
    if context_fields:
        fields = {**context_fields, **fields}

    head: dict[str, Any] = {"message": message}
    if fields:
        head["labels"] = fields
    body = _encode_any(head, fields) if not _NO_LABELS.isdisjoint(fields) else _encode_labels(head, message, fields)
    time_ns = max(0, min(time_ns, MAX_TIME_NS))
    return b'{"time_ns":%d,"log.level":"%b",%b%b%b' % (time_ns, level.encode(), body[1:-1], ids, tail)


def _encode_labels(head: dict[str, Any], message: object, fields: dict[str, Any]) -> bytes:
    try:
        body = dumps(head)
    except Exception as fault:  # a caller's value can raise anything when its text is asked for
        if is_interruption(fault):
            raise
        body = b""
    if not is_plain(body, message, fields):
        return _encode_any(head, fields)
    body = _mask(body, head) if masking.has_word(body) else body
    return _with_tags(body) if _MARK in body else body


def _parts_of(context: Context) -> tuple[bytes, dict[str, Any] | None]:
    """Return the ids of a context as the middle of a line, and the fields that `dashcam.context` put there."""
    return ids_in(context), cast("dict[str, Any] | None", context.get(CONTEXT_FIELDS))


def encode_plain(document: dict[str, Any]) -> bytes:
    """Return a document as JSON if it can be recorded as it is, with no secret in it; else nothing."""
    try:
        body = dumps(document)
    except Exception as fault:  # a caller's value can raise anything when its text is asked for
        if is_interruption(fault):
            raise
        return b""
    return body if is_plain(body, "", document) and _MARK not in body and not masking.has_word(body) else b""


def _encode_any(head: dict[str, Any], fields: dict[str, Any]) -> bytes:
    """Return the JSON of a call of any values."""
    return _sanitized(head, fields) if _NO_LABELS.isdisjoint(fields) else _encode_error_call(head, fields)


def _with_tags(body: bytes) -> bytes:
    """Return JSON without its marks, and with the tag that says what they mark."""
    return body.replace(MENDED, b"")[:-1] + b',"tags":["mended"]}'


def _mask(body: bytes, document: dict[str, Any]) -> bytes:
    """Return the JSON of a call with its secrets masked."""
    is_mended = _MARK in body  # what became a text is not asked for it again
    is_json = not is_mended and _OF_JSON.issuperset(map(type, document.get("labels", {}).values()))
    masked = orjson.dumps(mask_value(document if is_json else orjson.loads(body.replace(MENDED, b""))))
    return masked[:-1] + MENDED + b"}" if is_mended else masked


def _encode_error_call(head: dict[str, Any], fields: dict[str, Any]) -> bytes:
    """Return the JSON of a call with an exception or a stack."""
    document = {"message": head["message"]}
    if labels := {name: value for name, value in fields.items() if name not in _NO_LABELS}:
        document["labels"] = labels
    is_text = type(head["message"]) is str
    if is_text and (error := _plain_error_fields(fields)) and (body := encode_plain(document | {"error": error})):
        return body
    sanitizer = Sanitizer()
    error = _error_fields(sanitizer.text, fields)
    body, part = encode_plain(document), _dumps(error)
    if not body or sanitizer.tags or len(part) > MAX_ERROR_BYTES or not is_text:
        return _sanitized(head, fields)
    return body[:-1] + b',"error":' + part + b"}" if error else body


def _sanitized(head: dict[str, Any], fields: dict[str, Any]) -> bytes:
    sanitizer = Sanitizer()
    body: dict[str, Any] = head | {"message": sanitizer.text(head["message"])}
    body.pop("labels", None)
    if labels := sanitizer.fields({name: value for name, value in fields.items() if name not in _NO_LABELS}):
        body["labels"] = labels
    if error := _error_fields(sanitizer.text, fields):
        body["error"] = error
    if sanitizer.tags:
        body["tags"] = sorted(sanitizer.tags)
    return _dumps(body)


def _error_fields(text: Callable[..., str], fields: dict[str, Any]) -> dict[str, str]:
    """Return the `error` object of ECS; `text` makes one of a value, of at most so many bytes."""
    given = fields.get("exc_info")
    described = {}
    if isinstance(given, DescribedError):
        described = {
            "type": text(given.type, MAX_NAME_BYTES),
            "message": text(given.message, MAX_LABEL_BYTES),
            "stack_trace": text(given.stack_trace),
        }
    elif error := error_of(given):
        last: object = getattr(sys, "last_value", None)
        if error is last:  # the program's hook for what ends it says so
            attributes_of(error)[LOGGED] = True
        described = {
            "type": type(error).__name__,
            "message": text(error, MAX_LABEL_BYTES),
            "stack_trace": text(format_exception(error)),
        }
    if stack := fields.get("stack_info"):
        described.setdefault("stack_trace", text(stack))
    return described


def _plain_error_fields(fields: dict[str, Any]) -> dict[str, str]:
    """Return the `error` object with each text as it is; nothing where one fails, or may be too long."""
    try:
        return _error_fields(_short_text, fields)
    except BaseException as fault:  # an exception's own text can fail in any way
        if is_interruption(fault):
            raise
        return {}


def _short_text(value: object, limit_bytes: int = MAX_TEXT_BYTES) -> str:
    text = value if isinstance(value, str) else str(value)
    if 4 * len(text) > limit_bytes:
        raise ValueError("the sanitizer cuts it, if need be")
    return text


def error_of(exc_info: Any) -> BaseException | None:
    """Return the exception that a caller's `exc_info` means, if any; a class, or one with a text, is made to one."""
    arguments: tuple[object, ...] = ()
    if isinstance(exc_info, tuple):
        kind, error, _ = exc_info if len(exc_info) == 3 else (None, None, None)
        if isinstance(error, BaseException):
            return error
        exc_info = kind
        arguments = () if error is None else (error,)
    elif isinstance(exc_info, int) and exc_info:
        exc_info = sys.exception()
    if isinstance(exc_info, type) and issubclass(exc_info, BaseException):
        try:
            return exc_info.__new__(exc_info, *arguments)
        except Exception:  # noqa: BLE001 — a class may ask for more than that
            return None
    return exc_info if isinstance(exc_info, BaseException) else None


def attributes_of(error: BaseException) -> dict[str, Any]:
    """Return the attributes of an exception, where it has some to write to."""
    try:
        return error.__dict__
    except Exception:  # noqa: BLE001 — a class may have a `__dict__` of its own
        return {}


try:
    from dashcam.record import _speedups
except ImportError:  # there was no compiler to build it
    _encode_call = python_encode_call
else:
    names, masks = (vars(recorder), vars(masking)), (secret_name, masked_by_name)
    _speedups.use(*names, get_current, _parts_of, _dumps, convert, OPTIONS, _encode_any, _mask, _with_tags, *masks)
    _encode_call = _speedups.encode_call

encode_call: Final = _encode_call
