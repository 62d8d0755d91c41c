"""Turn any value into one that a line can hold; what JSON, UTF-8 or a destination rejects is replaced or cut."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, time
from enum import Enum
from functools import lru_cache
from itertools import islice
from typing import Any, Final
from uuid import UUID

from dashcam.codec import orjson
from dashcam.record.masking.mask import (
    MASKED_REST,
    Looks,
    is_secret,
    mask_named_value,
    mask_pair,
    mask_text,
    replacement_of,
)
from dashcam.record.values.interruption import is_interruption

MAX_LABEL_BYTES = 8_000  # Lucene accepts terms of at most 32,766 bytes, the key included
MAX_TEXT_BYTES = 64 << 10  # of a message or a stack trace
MAX_VALUES_BYTES = (
    160 << 10
)  # for all values of one event: the rest of a spool's line is for the fields that Dashcam adds
MAX_NAME_BYTES = 256  # of a label, or a logger
MAX_ITEMS = 500  # of one mapping or list
MAX_DEPTH = 10  # the strictest backend allows 20 in a field
MIN_INT, MAX_INT = -(1 << 63), (1 << 64) - 1
SCALARS: Final = frozenset({str, bool, int, float, type(None)})
SEQUENCES: Final = (list, tuple, set, frozenset)

# The built-in types' own methods: a subclass may have any others in their place.
exact_text: Final = str.__str__
"""Return the `str` that a text is, also if it is one of a subclass."""
_name_of_class = type.__dict__["__name__"].__get__

_FRAMEWORKS = {
    "aiohttp",
    "bottle",
    "django",
    "falcon",
    "litestar",
    "sanic",
    "starlette",
    "tornado",
    "webob",
    "werkzeug",
}


@lru_cache(maxsize=1024)
def is_kind_of_request(kind: type) -> bool:
    """Return true for the requests of web frameworks, and for the socket that Django's own server logs as one.

    Their text holds the whole address, some are mappings that hold every header, and the span has what can be shown.
    """
    return any(
        base.__name__.endswith(("Request", "HTTPConnection"))
        if base.__module__.partition(".")[0] in _FRAMEWORKS
        else base.__module__ == base.__name__ == "socket"
        for base in kind.__mro__
    )


def is_request(value: object) -> bool:
    """Return true for a request of a web framework."""
    kind: Any = type(value)
    try:
        return is_kind_of_request(kind)
    except BaseException as fault:  # a class of classes can have any methods
        if is_interruption(fault):
            raise
        return False


def class_name(value: object) -> str:
    """Return the name of a value's class, whatever class that class is of.

    >>> class_name(7)
    'int'
    """
    kind: Any = type(value)
    return str(_name_of_class(kind))


def items_of(mapping: dict[Any, Any]) -> Iterable[tuple[Any, Any]]:
    """Return the items of a dictionary; none of a subclass's methods is called."""
    return dict.items(mapping)


def values_of(sequence: Any) -> Iterator[Any]:
    """Return an iterator over a list, a tuple or a set; none of a subclass's methods is called."""
    kind: Any = next(each for each in SEQUENCES if issubclass(type(sequence), each))
    iterator: Iterator[Any] = kind.__iter__(sequence)
    return iterator


class Sanitizer:
    """A converter for the values of one event; `tags` collects what it did to them: `cut`, `mended`, `masked-rest`.

    It also masks secrets, by the name of a field and within every text.
    """

    def __init__(self) -> None:
        self.tags: set[str] = set()
        self._room = MAX_VALUES_BYTES
        self._looks = Looks()

    def text(self, value: object, limit_bytes: int = MAX_TEXT_BYTES) -> str:
        """Return a value as valid UTF-8 text of at most about `limit_bytes`."""
        whole = self._described(value)
        limit_bytes = max(0, min(limit_bytes, self._room))
        # A secret that begins before the cut is masked whole.
        text = self._encodable(mask_text(whole[: limit_bytes + 4096], self._looks))
        if self._looks.ran_out:
            self.tags.add(MASKED_REST)
        kept = text.encode()[:limit_bytes].decode("utf-8", "ignore")
        written_bytes = len(orjson.dumps(kept))
        if written_bytes > min(2 * limit_bytes, self._room):
            kept = kept[: limit_bytes // 6]  # control characters: six bytes of JSON each
            written_bytes = len(orjson.dumps(kept))
        self._room -= written_bytes
        if len(kept) == len(text) and len(whole) <= limit_bytes + 4096:
            return kept
        self.tags.add("cut")
        return f"{kept}… [cut, {len(whole)} characters]"

    def value(self, value: object, depth: int = 0) -> Any:
        """Return a JSON value of the same meaning."""
        self._room -= 8
        if self._room <= 0 or depth > MAX_DEPTH:
            self.tags.add("cut")
            return "… [cut]"
        if is_request(value):
            return f"<{class_name(value)}>"
        try:
            kind: Any = type(value)
            return _way_of(kind)(self, value, depth)
        except BaseException as fault:  # a caller's value can raise anything
            if is_interruption(fault):
                raise
            return self.as_text(f"<{class_name(value)} that fails with {class_name(fault)}>")

    def fields(self, fields: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
        """Return a JSON object: names as strings, values sanitized, secrets masked by their name, no requests."""
        sanitized = {}
        is_own = issubclass(type(fields), dict)
        given: Any = items_of(fields) if is_own else ((name, fields[name]) for name in fields)  # type: ignore[arg-type]
        for name, inner in self._first(given):
            if is_request(inner):
                continue
            key, value = self._name(name), self.value(inner, depth)
            asked = exact_text(name)[:MAX_NAME_BYTES] if issubclass(type(name), str) else key
            sanitized[key] = replacement_of(value) if is_secret(asked, value) else value
        return mask_named_value(sanitized)

    def enum_value(self, member: Enum, depth: int) -> Any:
        """Return the value of a member of an enumeration."""
        content = member.value
        return self.value(content, depth if type(content) in SCALARS else depth + 1)  # it may be its own value

    def number(self, value: Any, _: int) -> Any:
        """Return a number that JSON can hold; any other as text."""
        if issubclass(type(value), float):
            exact = float.__pos__(value)
            return exact if math.isfinite(exact) else self.as_text(exact)
        exact_int = int.__pos__(value)
        return exact_int if MIN_INT <= exact_int <= MAX_INT else self.as_text(exact_int)

    def sequence(self, value: Any, depth: int) -> Any:
        """Return a list of a list, a tuple or a set."""
        return mask_pair([self.value(item, depth + 1) for item in self._first(values_of(value))])

    def _first(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yield the items that the line has room for, of a container as it is when it is read."""
        some: list[Any] = []
        try:
            some.extend(islice(items, MAX_ITEMS + 1))
        except RuntimeError as fault:  # another thread, or a finalizer, changed it meanwhile
            if is_interruption(fault) or not some:
                raise
            self.tags.add("cut")
        for item in some[:MAX_ITEMS]:
            if self._room <= 0:
                break
            yield item
        else:
            if len(some) <= MAX_ITEMS:
                return
        self.tags.add("cut")

    def _name(self, name: object) -> str:
        key = self.text(name, MAX_NAME_BYTES)
        if "\0" not in key:
            return key
        self.tags.add("mended")
        return key.replace("\0", "\ufffd")

    def _encodable(self, text: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError:
            self.tags.add("mended")
            return text.encode("utf-8", "backslashreplace").decode()
        return text

    def as_text(self, value: object) -> str:
        """Return the text of a value that JSON cannot hold, and mark the event."""
        self.tags.add("mended")
        return self.text(value, MAX_LABEL_BYTES)

    def _described(self, value: object, depth: int = 0) -> str:
        if issubclass(type(value), str):
            return exact_text(value)
        try:
            return exact_text(str(value))
        except BaseException as fault:  # a caller's __str__ can raise anything
            if is_interruption(fault):
                raise
            self.tags.add("mended")
            if type(value) is tuple and depth < MAX_DEPTH:  # such as a message and its arguments
                return f"({', '.join(self._described(each, depth + 1) for each in value)})"
            return f"<{class_name(value)} whose text fails with {class_name(fault)}>"


_Way = Callable[[Sanitizer, Any, int], Any]
# The first that fits decides.
_WAYS: Final[tuple[tuple[tuple[type, ...], _Way], ...]] = (
    ((Enum,), Sanitizer.enum_value),
    ((bool, type(None)), lambda _sanitizer, value, _depth: value),
    ((int, float), Sanitizer.number),
    ((str,), lambda sanitizer, value, _depth: sanitizer.text(value, MAX_LABEL_BYTES)),
    ((UUID,), lambda _sanitizer, value, _depth: exact_text(str(value))),
    ((date, time), lambda _sanitizer, value, _depth: exact_text(value.isoformat())),
    ((bytes, bytearray), lambda sanitizer, value, _depth: sanitizer.as_text(_decoded(value))),
    ((Mapping,), lambda sanitizer, value, depth: sanitizer.fields(value, depth + 1)),
    (SEQUENCES, Sanitizer.sequence),
    ((object,), lambda sanitizer, value, _depth: sanitizer.as_text(value)),
)


def _decoded(value: bytes | bytearray) -> str:
    return bytes(value[: MAX_LABEL_BYTES + 1]).decode("utf-8", "replace")


@lru_cache(maxsize=1024)
def _way_of(kind: type) -> _Way:
    """Return how the values of a class are sanitized; `__class__` may say anything, and is not asked."""
    return next(way for kinds, way in _WAYS if issubclass(kind, kinds))
