"""The bodies that were sent: kept as they came, parsed by the first search."""

import re
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from dashcam.testing.fake_loggly.behaviour import Behaviour

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Body:
    """One accepted request: its events' lines, and what came with them."""

    received_ns: int
    tags: tuple[str, ...]
    content_type: str
    client: str
    lines: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """One event as Loggly keeps it; `words` is its text in lower case with one blank around each word."""

    id: str
    time_ms: int
    received_ns: int
    tags: tuple[str, ...]
    line: str
    document: dict[str, Any]
    fields: dict[str, list[Any]]
    words: str

    def answer(self) -> dict[str, Any]:
        """The event as the search interface gives it."""
        return {
            "id": self.id,
            "timestamp": self.time_ms,
            "logtypes": ["json"] if "json" in self.document else [],
            "tags": list(self.tags),
            "raw": self.line,
            "logmsg": self.line,
            "unparsed": None,
            "event": self.document,
        }


def words_of(text: str) -> str:
    """The words of a text in lower case, a blank before and after each: a phrase is found by `in`."""
    return f" {' '.join(_WORD.findall(text.lower()))} "


class Archive:
    """Every accepted body; with a journal they outlive the process, however it ends."""

    def __init__(
        self, behaviour: Behaviour, journal: Path | None = None, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._behaviour = behaviour
        self._clock = clock
        self._lock = threading.Lock()
        self._bodies: list[Body] = []
        self._unparsed: deque[Body] = deque()
        self._events: list[Stored] = []
        self._types: dict[str, type] = {}
        self._journal = journal.open("a+b", buffering=0) if journal else None
        if self._journal:
            self._journal.seek(0)
            # A body whose writing was cut short has no newline: it was not acknowledged either.
            for record in self._journal.read().split(b"\n")[:-1]:
                values = orjson.loads(record)
                lists = {"tags": tuple(values["tags"]), "lines": tuple(map(str.encode, values["lines"]))}
                self._keep(Body(**values | lists))

    def accept(self, body: Body) -> None:
        """Keep a body; on return it is on its way to the disk and will be found."""
        with self._lock:
            if self._journal:
                values = asdict(body) | {"lines": [line.decode(errors="replace") for line in body.lines]}
                self._journal.write(orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE))
            self._keep(body)

    def _keep(self, body: Body) -> None:
        self._bodies.append(body)
        self._unparsed.append(body)

    def now(self) -> int:
        """Nanoseconds since the epoch."""
        return self._clock()

    def lines(self) -> list[bytes]:
        """Every line accepted, in order of arrival, doubles and all."""
        with self._lock:
            return [line for body in self._bodies for line in body.lines]

    def search(self, wanted: Callable[[Stored], bool], from_ms: int, until_ms: int) -> list[Stored]:
        """The events of a time span that are wanted and old enough to be found, oldest first."""
        ready_ns = self._clock() - int(self._behaviour.delay_s * 1e9)
        with self._lock:
            fresh = len(self._unparsed)
            while self._unparsed:
                body = self._unparsed.popleft()
                self._events += [self._stored(body, line.decode(errors="replace")) for line in body.lines]
            if fresh:
                self._events.sort(key=lambda event: event.time_ms)
            events = [event for event in self._events if from_ms <= event.time_ms < until_ms]
        return [event for event in events if event.received_ns <= ready_ns and wanted(event)]

    def _stored(self, body: Body, line: str) -> Stored:
        parsed = self._parsed(line)
        document = {"http": {"clientHost": body.client, "contentType": body.content_type}}
        if parsed is not None:
            document["json"] = parsed
        found: dict[str, list[Any]] = {}
        for name, value in _leaves("", document):
            if not self._behaviour.one_type or self._types.setdefault(name, type(value)) is type(value):
                found.setdefault(name, []).append(value)
        texts = [line, *(str(value) for values in found.values() for value in values)]
        return Stored(
            id=str(uuid.uuid4()),
            time_ms=_time_ms(parsed, body.received_ns, self._behaviour.drift_s),
            received_ns=body.received_ns,
            tags=body.tags,
            line=line,
            document=document,
            fields=found,
            words=" | ".join(map(words_of, texts if self._behaviour.indexes_values else texts[:1])),
        )

    def _parsed(self, line: str) -> dict[str, Any] | None:
        try:
            value = orjson.loads(line)
        except ValueError:
            return None
        if not isinstance(value, dict):
            return None
        most = self._behaviour.most_fields
        return _without_nulls(value) if most is None or sum(1 for _ in _leaves("", value)) <= most else None

    def close(self) -> None:
        """Give back the journal."""
        if self._journal:
            self._journal.close()


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}" if name else key, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(name, inner)
    else:
        yield name, value


def _time_ms(parsed: dict[str, Any] | None, received_ns: int, drift_s: float | None) -> int:
    received_ms = received_ns // 1_000_000
    own_ms = parse_iso(parsed.get("timestamp")) if parsed else None
    if own_ms is None or (drift_s is not None and abs(own_ms - received_ms) > drift_s * 1000):
        return received_ms
    return own_ms


def parse_iso(value: Any) -> int | None:
    """An ISO 8601 time in milliseconds since the epoch, UTC unless it says otherwise; `None` for anything else."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(zoned.timestamp() * 1000)


def split_lines(body: bytes) -> Sequence[bytes]:
    """The lines of a bulk body; the newline after the last one may be there or not."""
    return body.removesuffix(b"\n").split(b"\n")
