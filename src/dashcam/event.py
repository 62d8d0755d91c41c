"""The noun of Dashcam: one event, a log line or a span, as one JSON object in the Elastic Common Schema.

A spool holds each event without what all events of its segment share. `EncodedEvent` is the completed form that is
shipped: the bytes of one JSON object, UTF-8, without a newline. `Event` is a line read back.
"""

import json
import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

from dashcam.codec import orjson

ECS_VERSION = "8.17.0"

NS_PER_S = 1_000_000_000

STATEMENT_ACTION = "segment-sealed"  # `event.action` of what `dashcam audit` reads (`dashcam/statement.py`)


class EncodedEvent(NamedTuple):
    """One event on its way to a backend: its `event.id`, whether it is a span, and its JSON object as bytes."""

    id: str
    is_span: bool
    data: bytes


class Event:
    """One event read back: the JSON object as it was shipped."""

    __slots__ = ("_fields", "_line")

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields: dict[str, Any] | None = fields
        self._line: bytes | None = None

    @classmethod
    def from_line(cls, line: bytes) -> "Event":
        """Return the event of a line that is known to hold one JSON object; it is read when its fields are needed."""
        event = cls.__new__(cls)
        event._fields, event._line = None, line  # noqa: SLF001 - its own
        return event

    @classmethod
    def from_json(cls, data: bytes | str) -> "Event":
        """Return the event of one JSON object; raises `ValueError` when the text is not one."""
        return cls._of(orjson.loads(data))

    @classmethod
    def from_store(cls, data: bytes | str) -> "Event":
        """Return the event of what a store kept, as `read_json` reads it."""
        return cls._of(read_json(data))

    @classmethod
    def _of(cls, fields: Any) -> "Event":
        if not isinstance(fields, dict):
            raise ValueError(f"an event is a JSON object, not {type(fields).__name__}")
        return cls(fields)

    @property
    def fields(self) -> dict[str, Any]:
        """The JSON object."""
        if self._fields is None:
            self._fields = orjson.loads(self._line or b"")
        return self._fields

    def __eq__(self, other: object) -> bool:
        return self.fields == other.fields if isinstance(other, Event) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # what it holds has none

    def __repr__(self) -> str:
        return f"Event({self.fields!r})"

    def to_json(self) -> bytes:
        """The event as one JSON object, keys in the order they came, no newline."""
        return self._line or orjson.dumps(self.fields)

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a dotted name such as `http.request.id`, whether its keys are nested or dotted."""
        if name in self.fields:
            return self.fields[name]
        value: Any = self.fields
        for key in name.split("."):
            if not isinstance(value, dict) or key not in value:
                return default
            value = value[key]
        return value

    @property
    def id(self) -> str:
        """`event.id`: unique, the same on every resend."""
        return str(self.get("event.id", ""))

    @property
    def time_ns(self) -> int:
        """`@timestamp` in nanoseconds since the epoch; for a span, its start."""
        return parse_time(str(self.get("@timestamp")))

    @property
    def is_span(self) -> bool:
        """True for a finished span (a transaction is the span of a served request), false for a log record."""
        return self.get("processor.event") in ("transaction", "span")

    @property
    def labels(self) -> dict[str, Any]:
        """The fields that the caller added."""
        labels = self.get("labels")
        return labels if isinstance(labels, dict) else {}


def format_time(time_ns: int) -> str:
    """Nanoseconds since the epoch as `2026-11-24T01:35:46.123456Z`: UTC, microseconds, always 27 characters."""
    seconds, rest_ns = divmod(time_ns, NS_PER_S)
    # Not `strftime`, which imports a module and so fails at the very end of a process.
    year, month, day, hour, minute, second, *_ = time.gmtime(seconds)
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{rest_ns // 1000:06}Z"


def parse_time(text: str) -> int:
    """An ISO 8601 time as nanoseconds since the epoch, UTC unless it has an offset; raises `ValueError`."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * NS_PER_S + moment.microsecond * 1000


def read_json(data: bytes | str) -> Any:
    r"""Return the value of a JSON text of others; raises `ValueError` when it is not JSON.

    A byte that is not UTF-8, as of a surrogate that was encoded by itself, costs itself alone and reads as U+FFFD; so
    does an escape of half a surrogate pair.

    >>> read_json(b'{"a": "x\xed\xa0\x80y", "b": "\\ud800"}')["b"]
    '\ufffd'
    """
    try:
        return orjson.loads(data)
    except ValueError:
        text = data.decode(errors="replace") if isinstance(data, bytes) else data
    try:
        return _without_surrogates(
            json.loads(text, parse_int=lambda digits: (int if -(2**63) <= float(digits) < 2**64 else float)(digits))
        )
    except RecursionError:
        raise ValueError("the JSON text is nested too deep") from None


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, dict):
        return {_without_surrogates(name): _without_surrogates(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(inner) for inner in value]
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(value, str) else value
