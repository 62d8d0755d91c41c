"""A copy of a program's values that consists of exact built-in types, where the sanitizer would change nothing.

Only such a copy is written as JSON: no code of a value runs while orjson reads it, and no other thread can change it.
`_copy.h` does the same in C.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, time
from enum import Enum, EnumMeta
from functools import lru_cache
from math import isfinite
from typing import Any, Final
from uuid import UUID

from dashcam.record.values.interruption import is_interruption
from dashcam.record.values.sanitizer import (
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_LABEL_BYTES,
    MAX_NAME_BYTES,
    SCALARS,
    SEQUENCES,
    exact_text,
    is_kind_of_request,
    items_of,
    values_of,
)

MAX_PLAIN_BYTES: Final = 2 * MAX_LABEL_BYTES  # beside the message: no label can be longer than its share of a line


def convert(value: object) -> tuple[object, bool] | None:
    """Return the content of a value of no built-in type, and true if it became a text; None for the sanitizer."""
    try:
        kind: Any = type(value)
        return _converter_of(kind)(value)
    except BaseException as fault:  # the value can raise anything when it is asked
        if is_interruption(fault):
            raise
        return None


def _as_text(value: object) -> tuple[object, bool] | None:
    text = exact_text(str(value))
    is_short = len(text) * (1 if text.isascii() else 4) <= MAX_LABEL_BYTES
    return (text, True) if is_short else None


def _left_to_sanitizer(_: object) -> None:
    return None


# The first that fits decides.
_CONVERTERS: Final[tuple[tuple[tuple[type, ...], Callable[[Any], tuple[object, bool] | None]], ...]] = (
    ((Enum,), lambda value: (value.value, False)),
    ((date, time), lambda value: (exact_text(value.isoformat()), False)),
    ((UUID,), lambda value: (exact_text(str(value)), False)),
    ((Mapping,), _left_to_sanitizer),
    ((bytes, bytearray), lambda value: _as_text(bytes(value[: MAX_LABEL_BYTES + 1]).decode("utf-8", "replace"))),
    ((object,), _as_text),
)


@lru_cache(maxsize=1024)
def _converter_of(kind: type) -> Callable[[Any], tuple[object, bool] | None]:
    """Return what converts the values of a class: to ask which it is takes longer than to convert one."""
    if is_kind_of_request(kind):
        return _left_to_sanitizer
    return next(converter for kinds, converter in _CONVERTERS if issubclass(kind, kinds))


class _NotPlain(Exception):
    """The sanitizer has to see to a value."""


def python_copy_fields(fields: dict[str, Any], /) -> tuple[dict[str, Any], bool] | None:
    """Return a copy of fields, and true if a value became a text; None if the sanitizer would cut or replace one.

    >>> python_copy_fields({"car_id": 7, "wheels": (1, 2)})
    ({'car_id': 7, 'wheels': [1, 2]}, False)
    """
    copier = _Copier()
    try:
        return copier.fields(fields, 0), copier.is_mended
    except _NotPlain:
        return None


class _Copier:
    """The copy of one event's fields, with the bytes of JSON that it has room for."""

    def __init__(self) -> None:
        self.is_mended = False
        self._room = MAX_PLAIN_BYTES

    def fields(self, fields: dict[Any, Any], depth: int) -> dict[str, Any]:
        if dict.__len__(fields) > MAX_ITEMS:
            raise _NotPlain
        return {self._name(name): self._value(value, depth) for name, value in items_of(fields)}

    def _name(self, name: Any) -> str:
        if not issubclass(type(name), str) or str.__len__(name) > MAX_NAME_BYTES // 4 or str.__contains__(name, "\0"):
            raise _NotPlain
        return self._text(name, MAX_NAME_BYTES)

    def _text(self, value: Any, limit_bytes: int) -> str:
        text = exact_text(value)
        self._take(len(text) + 3)
        if len(text) * (1 if text.isascii() else 4) > limit_bytes:
            raise _NotPlain
        return text

    def _take(self, count: int) -> None:
        self._room -= count
        if self._room < 0:
            raise _NotPlain

    def _value(self, value: Any, depth: int) -> Any:
        self._take(2)
        kind: Any = type(value)
        if depth > MAX_DEPTH or (kind is float and not isfinite(value)):
            raise _NotPlain
        if kind in SCALARS and kind is not str:
            return value
        if issubclass(type(kind), EnumMeta):
            return self._converted(value, depth)
        if issubclass(kind, str):
            return self._text(value, MAX_LABEL_BYTES)
        if issubclass(kind, int):
            return int.__pos__(value)
        if issubclass(kind, float):
            return self._value(float.__pos__(value), depth)
        if issubclass(kind, dict):
            return self.fields(value, depth + 1)
        if issubclass(kind, SEQUENCES):
            return self._items(values_of(value), depth + 1)
        return self._converted(value, depth)

    def _items(self, items: Iterable[object], depth: int) -> list[Any]:
        taken = list(items)
        if len(taken) > MAX_ITEMS:
            raise _NotPlain
        return [self._value(item, depth) for item in taken]

    def _converted(self, value: object, depth: int) -> Any:
        if (answer := convert(value)) is None:
            raise _NotPlain
        content, is_text = answer
        self.is_mended = self.is_mended or is_text
        return self._value(content, depth if type(content) in SCALARS else depth + 1)


try:
    from dashcam.record._speedups import copy_fields as _copy_fields
except ImportError:  # there was no compiler to build it
    _copy_fields = python_copy_fields

copy_fields: Final = _copy_fields
