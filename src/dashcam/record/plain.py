"""The short way of a value into a line: as orjson writes it, where the sanitizer would change nothing."""

from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from math import isfinite
from pathlib import PosixPath, PurePosixPath
from typing import Any, Final
from uuid import UUID

import orjson

from dashcam.record.sanitizer import MAX_DEPTH, MAX_ITEMS, MAX_LABEL_BYTES, MAX_NAME_BYTES

MAX_PLAIN_BYTES: Final = 2 * MAX_LABEL_BYTES  # no text in it can be longer than its share of a line
MENDED: Final = b"\t"  # before what became a text: no other byte below a space is in what orjson writes
OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATACLASS
# Types whose values hold no other ones.
LEAVES: Final = frozenset({date, datetime, time, UUID, Decimal, PosixPath, PurePosixPath})


def convert(value: object) -> object:
    """Return the JSON of a value that orjson does not know, for its `default`; raises `TypeError` for the sanitizer."""
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping | Enum | list | str | int | float):
        raise TypeError("the sanitizer decides")
    text = (
        value[: MAX_LABEL_BYTES + 1].decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value)
    )
    if len(text) * (1 if text.isascii() else 4) > MAX_LABEL_BYTES:
        raise TypeError("the sanitizer cuts it")
    return orjson.Fragment(MENDED + orjson.dumps(text))


def dumps(document: object) -> bytes:
    """Return a document as JSON, `MENDED` before each value that became a text; raises what orjson raises."""
    return orjson.dumps(document, convert, OPTIONS)


def is_plain(fields: dict[str, Any]) -> bool:
    """Return True if the sanitizer would neither cut nor replace anything in fields that orjson writes."""
    verdict = fast_verdict(fields, LEAVES)
    return _is_plain_mapping(fields, 0) if verdict is None else verdict


def python_verdict(fields: dict[str, Any], _: frozenset[type], /) -> bool | None:
    """Return `is_plain` of fields; where there is a compiler, C does it, and returns None for what it does not know."""
    return _is_plain_mapping(fields, 0)


def _is_plain_mapping(mapping: Mapping[Any, Any], depth: int) -> bool:
    return len(mapping) <= MAX_ITEMS and all(
        isinstance(name, str)
        and len(name) <= MAX_NAME_BYTES // 4
        and "\0" not in name
        and _is_plain_value(value, depth)
        for name, value in mapping.items()
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
            return _is_plain_mapping(value, depth + 1)
        case Mapping():
            return False
        case list() | tuple() | set() | frozenset():
            return len(value) <= MAX_ITEMS and all(_is_plain_value(item, depth + 1) for item in value)
    return True


try:
    from dashcam.record._speedups import is_plain as _verdict
except ImportError:  # there was no compiler to build it
    _verdict = python_verdict

fast_verdict: Final = _verdict
