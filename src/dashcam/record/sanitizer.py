"""Turn any value into one that a line can hold; what JSON, UTF-8 or a destination rejects is replaced or cut."""

import math
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from enum import Enum
from functools import lru_cache
from itertools import islice
from typing import Any
from uuid import UUID

import orjson

from dashcam.record.interruption import is_interruption
from dashcam.record.masking import is_secret, mask_named_value, mask_pair, mask_text, replacement_of

MAX_LABEL_BYTES = 8_000  # Lucene accepts terms of at most 32,766 bytes, the key included
MAX_TEXT_BYTES = 64 << 10  # of a message or a stack trace
MAX_VALUES_BYTES = (
    160 << 10
)  # for all values of one event: the rest of a spool's line is for the fields that Dashcam adds
MAX_NAME_BYTES = 256  # of a label, or a logger
MAX_ITEMS = 500  # of one mapping or list
MAX_DEPTH = 10  # the strictest backend allows 20 in a field
MIN_INT, MAX_INT = -(1 << 63), (1 << 64) - 1

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
    return is_kind_of_request(kind)


class Sanitizer:
    """A converter for the values of one event; `tags` collects what it did to them: `cut`, `mended`.

    It also masks secrets, by the name of a field and within every text.
    """

    def __init__(self) -> None:
        self.tags: set[str] = set()
        self._room = MAX_VALUES_BYTES

    def text(self, value: object, limit_bytes: int = MAX_TEXT_BYTES) -> str:
        """Return a value as valid UTF-8 text of at most about `limit_bytes`."""
        whole = value if isinstance(value, str) else self._described(value)
        limit_bytes = max(0, min(limit_bytes, self._room))
        # A secret that begins before the cut is masked whole.
        text = self._encodable(mask_text(whole[: limit_bytes + 4096]))
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
            return f"<{type(value).__name__}>"
        try:
            return self._value(value, depth)
        except BaseException as fault:  # a caller's mapping can raise anything
            if is_interruption(fault):
                raise
            return self._sanitized(f"<{type(value).__name__} that fails with {type(fault).__name__}>")

    def _value(self, value: object, depth: int) -> Any:
        match value:
            case Enum():
                return self.value(value.value, depth)
            case None | bool():
                return value
            case int():
                return int(value) if MIN_INT <= value <= MAX_INT else self._sanitized(value)
            case float():
                return float(value) if math.isfinite(value) else self._sanitized(value)
            case str():
                return self.text(value, MAX_LABEL_BYTES)
            case UUID() | date() | datetime() | time():
                return value.isoformat() if isinstance(value, date | time) else str(value)
            case bytes() | bytearray():
                return self._sanitized(value[: MAX_LABEL_BYTES + 1].decode("utf-8", "replace"))
            case Mapping():
                return self.fields(value, depth + 1)
            case list() | tuple() | set() | frozenset():
                return mask_pair([self.value(item, depth + 1) for item in self._first(value)])
        return self._sanitized(value)

    def fields(self, fields: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
        """Return a JSON object: names as strings, values sanitized, secrets masked by their name, no requests."""
        sanitized = {}
        for name in self._first(fields):
            given = fields[name]
            if is_request(given):
                continue
            key, value = self._name(name), self.value(given, depth)
            asked = name[:MAX_NAME_BYTES] if isinstance(name, str) else key
            sanitized[key] = replacement_of(value) if is_secret(asked, value) else value
        return mask_named_value(sanitized)

    def _first(self, items: Any) -> Iterator[Any]:
        """Yield the items that the line has room for."""
        for item in islice(items, MAX_ITEMS):
            if self._room <= 0:
                break
            yield item
        else:
            if len(items) <= MAX_ITEMS:
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

    def _sanitized(self, value: object) -> str:
        self.tags.add("mended")
        return self.text(value, MAX_LABEL_BYTES)

    def _described(self, value: object, depth: int = 0) -> str:
        try:
            return str(value)
        except BaseException as fault:  # a caller's __str__ can raise anything
            if is_interruption(fault):
                raise
            self.tags.add("mended")
            if type(value) is tuple and depth < MAX_DEPTH:  # such as a message and its arguments
                return f"({', '.join(self._described(each, depth + 1) for each in value)})"
            return f"<{type(value).__name__} whose text fails with {type(fault).__name__}>"
