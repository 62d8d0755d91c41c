"""Encodes a log call as a line of the spool."""

import sys
from collections.abc import Callable
from logging import LogRecord
from typing import Any, Final, cast

from opentelemetry.context import Context, create_key

from dashcam.codec import orjson
from dashcam.record.context import recorder
from dashcam.record.context.correlation import ids_in
from dashcam.record.context.current import get_current
from dashcam.record.masking import mask
from dashcam.record.masking.mask import Looks, mask_value, masked_by_name, secret_name
from dashcam.record.values.interruption import is_interruption
from dashcam.record.values.plain import MAX_PLAIN_BYTES, convert, copy_fields
from dashcam.record.values.sanitizer import (
    MAX_LABEL_BYTES,
    MAX_NAME_BYTES,
    MAX_TEXT_BYTES,
    Sanitizer,
    class_name,
    exact_text,
)
from dashcam.record.values.traces import DescribedError, format_exception
from dashcam.spool.line import MAX_TIME_NS

CONTEXT_FIELDS: Final = create_key("dashcam-fields")  # what `dashcam.context` puts on every log call
LOGGED: Final = "_is_logged_by_dashcam"  # what ended the program, if its own hook logs that
MAX_ERROR_BYTES = 100_000  # of an exception beside a short message: more has to share the line
# A record's own attributes come first in its dictionary, in an order that never changes; what follows is `extra`.
OWN_NAMES: Final = tuple(LogRecord("", 0, "", 0, "", (), None).__dict__)

_Parts = tuple[Context | None, bytes, dict[str, Any] | None]
_last: _Parts = (None, b"", None)
_NO_LABELS = frozenset({"exc_info", "stack_info"})
_MENDED = b',"tags":["mended"]'


def python_encode_call(time_ns: int, level: str, message: object, fields: dict[str, Any], tail: bytes, /) -> bytes:
    """Return the line of a log call: time, level, message, fields, request, and the `tail` of its logger's lines.

    Fields become `labels`. `exc_info` among them is what it is for `logging`: an exception, `True` for the one being
    handled, or the triple of `sys.exc_info()`; `stack_info` is a text. Any values are accepted, secrets are masked, and
    `tags` says that a value was replaced or cut.
    """
    global _last
    # A context never changes, so what is in the last one is kept; its identity is enough to know it again.
    context = get_current()
    parts = _last
    if parts[0] is not context:
        _last = parts = _parts_of(context)
    if parts[2]:
        fields = {**parts[2], **fields}

    body = _encode_labels(message, fields) or _encode_any(message, fields)
    time_ns = max(0, min(time_ns, MAX_TIME_NS))
    return b'{"time_ns":%d,"log.level":"%b",%b%b%b' % (time_ns, level.encode(), body[1:-1], parts[1], tail)


def _encode_labels(message: object, fields: dict[str, Any]) -> bytes:
    """Return the JSON of a call without an exception whose values can be recorded as they are; nothing of another."""
    if not _is_short_text(message) or not _NO_LABELS.isdisjoint(fields) or (copy := copy_fields(fields)) is None:
        return b""
    head = {"message": message, "labels": copy[0]} if copy[0] else {"message": message}
    body = _written(head)
    if not body or len(body) - len(cast("str", message)) > MAX_PLAIN_BYTES:
        return b""
    body = _mask(head) if mask.has_word(body) else body
    return body[:-1] + _MENDED + b"}" if copy[1] and body else body


def _is_short_text(message: object) -> bool:
    return type(message) is str and len(message) * (1 if message.isascii() else 4) <= MAX_TEXT_BYTES


def _written(copy: dict[str, Any]) -> bytes:
    """Return a copy of exact built-in types as JSON; nothing where it has a lone surrogate or too large a number."""
    try:
        return orjson.dumps(copy)
    except TypeError:
        return b""


def _parts_of(context: Context) -> _Parts:
    """Return a context, its ids as the middle of a line, and the fields that `dashcam.context` put there."""
    return context, ids_in(context), cast("dict[str, Any] | None", context.get(CONTEXT_FIELDS))


def encode_plain(document: dict[str, Any]) -> bytes:
    """Return a document as JSON if it can be recorded as it is, with no secret in it; else nothing."""
    if (copy := copy_fields(document)) is None or copy[1]:
        return b""
    body = _written(copy[0])
    return body if len(body) <= MAX_PLAIN_BYTES and not mask.has_word(body) else b""


def _encode_any(message: object, fields: dict[str, Any]) -> bytes:
    """Return the JSON of a call of any values."""
    return _sanitized(message, fields) if _NO_LABELS.isdisjoint(fields) else _encode_error_call(message, fields)


def _mask(head: dict[str, Any]) -> bytes:
    """Return the JSON of a call with its secrets masked; its values are a copy of exact built-in types.

    Nothing where a text has more words of secrets than masking looks at: the sanitizer marks the event then.
    """
    if labels := head.get("labels"):  # most secrets are a text with a name of its own
        masked = {**head, "labels": {name: _masked_text(name, value) for name, value in labels.items()}}
        body = orjson.dumps(masked)
        if not mask.has_word(body):
            return body
    looks = Looks()
    masked = mask_value(head, looks)
    return b"" if looks.ran_out else orjson.dumps(masked)


def _masked_text(name: str, value: object) -> object:
    return masked_by_name(name, value) if type(value) is str and secret_name(name) else value


def _encode_error_call(message: object, fields: dict[str, Any]) -> bytes:
    """Return the JSON of a call with an exception or a stack."""
    document = {"message": message}
    if labels := {name: value for name, value in fields.items() if name not in _NO_LABELS}:
        document["labels"] = labels
    is_text = type(message) is str
    if is_text and (error := _plain_error_fields(fields)) and (body := encode_plain(document | {"error": error})):
        return body
    sanitizer = Sanitizer()
    error = _error_fields(sanitizer.text, fields)
    body, part = encode_plain(document), orjson.dumps(error)
    if not body or sanitizer.tags or len(part) > MAX_ERROR_BYTES or not is_text:
        return _sanitized(message, fields)
    return body[:-1] + b',"error":' + part + b"}" if error else body


def _sanitized(message: object, fields: dict[str, Any]) -> bytes:
    sanitizer = Sanitizer()
    body: dict[str, Any] = {"message": sanitizer.text(message)}
    if labels := sanitizer.fields({name: value for name, value in fields.items() if name not in _NO_LABELS}):
        body["labels"] = labels
    if error := _error_fields(sanitizer.text, fields):
        body["error"] = error
    if sanitizer.tags:
        body["tags"] = sorted(sanitizer.tags)
    return orjson.dumps(body)


def _error_fields(text: Callable[..., str], fields: dict[str, Any]) -> dict[str, str]:
    """Return the `error` object of ECS; `text` makes one of a value, of at most so many bytes."""
    given, stack = fields.get("exc_info"), fields.get("stack_info")
    described = {}
    if type(given) is DescribedError:
        described = {
            "type": text(given.type, MAX_NAME_BYTES),
            "message": text(given.message, MAX_LABEL_BYTES),
            "stack_trace": text(given.stack_trace),
        }
    elif (error := error_of(given)) is not None:
        last: object = getattr(sys, "last_value", None)
        if error is last:  # the program's hook for what ends it says so
            attributes_of(error)[LOGGED] = True
        described = {
            "type": class_name(error),
            "message": text(error, MAX_LABEL_BYTES),
            "stack_trace": text(_trace_of(error)),
        }
    if is_true(stack):
        described.setdefault("stack_trace", text(stack))
    return described


def _trace_of(error: BaseException) -> str:
    try:
        return format_exception(error)
    except BaseException as fault:  # an exception's own attributes can fail in any way
        if is_interruption(fault):
            raise
        return f"<{class_name(error)} whose stack trace fails with {class_name(fault)}>"


def is_true(value: object) -> bool:
    """Return true if a value is; false if it fails to say."""
    try:
        return bool(value)
    except BaseException as fault:  # a value's own `__bool__` can fail in any way
        if is_interruption(fault):
            raise
        return False


def _plain_error_fields(fields: dict[str, Any]) -> dict[str, str]:
    """Return the `error` object with each text as it is; nothing where one fails, or may be too long."""
    try:
        return _error_fields(_short_text, fields)
    except BaseException as fault:  # an exception's own text can fail in any way
        if is_interruption(fault):
            raise
        return {}


def _short_text(value: object, limit_bytes: int = MAX_TEXT_BYTES) -> str:
    text = exact_text(value if issubclass(type(value), str) else str(value))
    if 4 * len(text) > limit_bytes:
        raise ValueError("the sanitizer cuts it, if need be")
    return text


def error_of(exc_info: Any) -> BaseException | None:
    """Return the exception that a caller's `exc_info` means, if any; a class, or one with a text, is made to one."""
    kind = type(exc_info)
    if issubclass(kind, BaseException):
        return cast("BaseException", exc_info)
    if issubclass(kind, tuple):
        named, error, _ = exc_info if tuple.__len__(exc_info) == 3 else (None, None, None)
        return error_of(error) or _made(named, () if error is None else (error,))
    if issubclass(kind, int) and int.__bool__(exc_info):
        return sys.exception()
    return _made(exc_info, ())


def _made(kind: Any, arguments: tuple[object, ...]) -> BaseException | None:
    """Return an exception of a class, if that is one; a class may ask for other arguments, and then there is none."""
    if not issubclass(type(kind), type) or not issubclass(kind, BaseException):
        return None
    try:
        made = kind.__new__(kind, *arguments)
    except BaseException as fault:  # a class can do anything when an exception of it is made
        if is_interruption(fault):
            raise
        return None
    return cast("BaseException", made) if issubclass(type(made), BaseException) else None


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
    _speedups.use(
        recorder=vars(recorder),
        masking=vars(mask),
        get_current=get_current,
        parts_of=_parts_of,
        dumps=orjson.dumps,
        convert=convert,
        encode_any=_encode_any,
        mask=_mask,
        give_up=recorder.give_up,
        own_names=OWN_NAMES,
    )
    _encode_call = _speedups.encode_call

encode_call: Final = _encode_call
