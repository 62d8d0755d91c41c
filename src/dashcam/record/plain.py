"""The short way of a log call into a line: as orjson writes it, where the sanitizer would change nothing."""

from collections.abc import Callable, Mapping
from datetime import date, time
from enum import Enum
from functools import lru_cache
from math import isfinite
from typing import Any, Final
from uuid import UUID

import orjson

from dashcam.record.interruption import is_interruption
from dashcam.record.sanitizer import (
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_LABEL_BYTES,
    MAX_NAME_BYTES,
    MAX_TEXT_BYTES,
    is_kind_of_request,
)

MAX_PLAIN_BYTES: Final = 2 * MAX_LABEL_BYTES  # beside the message: no label can be longer than its share of a line
MENDED: Final = b"\t"  # before what became a text: no other byte below a space is in what orjson writes
OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATACLASS


def convert(value: object) -> object:
    """Return the JSON of a value that orjson does not know, for its `default`; raises `TypeError` for the sanitizer."""
    kind: Any = type(value)
    return _converter_of(kind)(value)


def _as_text(value: object) -> orjson.Fragment:
    try:
        text = str(value)
    except SystemExit as error:
        if is_interruption(error):
            raise
        raise TypeError("the sanitizer says what happened") from None
    if len(text) * (1 if text.isascii() else 4) > MAX_LABEL_BYTES:
        raise TypeError("the sanitizer cuts it")
    return orjson.Fragment(MENDED + orjson.dumps(text))


def _left_to_sanitizer(_: object) -> object:
    raise TypeError("the sanitizer decides")


# The first that fits decides.
_CONVERTERS: Final[tuple[tuple[tuple[type, ...], Callable[[Any], object]], ...]] = (
    ((tuple, set, frozenset), list),
    ((date, time), lambda value: value.isoformat()),
    ((UUID,), str),
    ((Mapping, Enum, list, str, int, float), _left_to_sanitizer),
    ((object,), _as_text),
)


@lru_cache(maxsize=1024)
def _converter_of(kind: type) -> Callable[[Any], object]:
    """Return what makes JSON of the values of a class: to ask which it is takes longer than to convert one."""
    if kind in {bytes, bytearray}:
        return lambda value: _as_text(value[: MAX_LABEL_BYTES + 1].decode("utf-8", "replace"))
    if is_kind_of_request(kind):
        return _left_to_sanitizer
    return next(converter for kinds, converter in _CONVERTERS if issubclass(kind, kinds))


def dumps(document: object) -> bytes:
    """Return a document as JSON, `MENDED` before each value that became a text; raises what orjson raises.

    It makes a `TypeError` of what a signal handler raises while `convert` runs: that is raised again.
    """
    try:
        return orjson.dumps(document, convert, OPTIONS)
    except TypeError as error:
        if error.__cause__ and is_interruption(error.__cause__):
            raise error.__cause__ from None
        raise


def python_is_plain(body: bytes, message: object, fields: dict[str, Any], /) -> bool:
    """Return True if the sanitizer would neither cut nor replace anything in a call that orjson wrote as JSON.

    Nor is there an exception. A value that became a text is `MENDED`; a secret is another question, `masking.has_word`.
    """
    if not body or type(message) is not str:
        return False
    is_short = len(message) * (1 if message.isascii() else 4) <= MAX_TEXT_BYTES
    is_short = is_short and len(body) - len(message) <= MAX_PLAIN_BYTES
    return is_short and "exc_info" not in fields and "stack_info" not in fields and are_plain(fields)


def are_plain(fields: Mapping[Any, Any], depth: int = 0) -> bool:
    """Return True if the sanitizer would neither cut nor replace anything in fields that orjson wrote as JSON."""
    return len(fields) <= MAX_ITEMS and all(
        isinstance(name, str)
        and len(name) <= MAX_NAME_BYTES // 4
        and "\0" not in name
        and _is_plain_value(value, depth)
        for name, value in fields.items()
    )


def _is_plain_value(value: object, depth: int) -> bool:
    if depth > MAX_DEPTH:
        return False
    match value:
        case Enum():
            return _is_plain_value(value.value, depth)
        case str():
            return len(value) * (1 if value.isascii() else 4) <= MAX_LABEL_BYTES
        case float():
            return isfinite(value)
        case dict():
            return are_plain(value, depth + 1)
        case list() | tuple() | set() | frozenset():
            return len(value) <= MAX_ITEMS and all(_is_plain_value(item, depth + 1) for item in value)
    return True  # one that orjson knows, or that became a text or an error


try:
    from dashcam.record._speedups import is_plain_call as _is_plain
except ImportError:  # there was no compiler to build it
    _is_plain = python_is_plain

is_plain: Final = _is_plain
