"""The served requests of each block, so that an overview of a million of them reads none.

`requests` has a row for a block with such requests: 12 bytes for each, the number of its key and the nanoseconds that
it took. A key, in `request_keys`, has the values of its `COLUMNS`. A block whose `records` are null has to be read. So
has one where a request has an `event.action`: searches without Dashcam's own events can then be counted.
"""

import sqlite3
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import orjson

from dashcam.destinations.local.index.tallies import is_of
from dashcam.destinations.local.index.terms import IndexedBlock, event_of
from dashcam.event import Event
from dashcam.find.aggregation import DURATION, EDGES_NS, Durations, Group, Grouping, Groups, bucket_of, keys_of
from dashcam.find.query import And, Expression, Query
from dashcam.find.requests import FINISHED, WITHOUT_ROUTE
from dashcam.find.values import values_of

SCHEMA = (
    "CREATE TABLE requests (rowid INTEGER PRIMARY KEY, first INTEGER NOT NULL, records BLOB)",
    "CREATE TABLE request_keys (number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE)",
    """
    CREATE TRIGGER forget_requests AFTER DELETE ON blocks
    BEGIN DELETE FROM requests WHERE rowid = old.rowid; END
    """,
)

COLUMNS = (
    "service.name",
    "service.version",
    "service.environment",
    "http.route",
    "http.request.method",
    "http.response.status_code",
    "event.outcome",
    "event.dataset",
)
"""The fields that requests are counted and chosen by."""

NAME = "transaction.name"
"""The field that those which are `WITHOUT_ROUTE` are counted by as well."""

ABSENT = "event.action"  # a counted request does not have it

MAX_KEYS = 20_000  # a route that is an address would give each request a key of its own

_RECORD = struct.Struct("<Iq")
_UNKNOWN_NS = -(2**63)
_MARK = b'"transaction"'
_UNCOUNTED = b"-"  # for the key of a request that has to be read
_NAMED = b"+"  # for the key of one whose name is in its line alone
_ROUTE = frozenset(WITHOUT_ROUTE.parts)


def note(db: sqlite3.Connection, blocks: Iterable[tuple[int, IndexedBlock]]) -> None:
    """Note the requests of some blocks, each with its number."""
    numbers: dict[bytes, int] = {}
    rows = []
    for rowid, block in blocks:
        counted: list[tuple[bytes, Any]] = []
        for line, key, duration in zip(block.lines, block.keys, block.durations, strict=True):
            if key is None:
                counted += _counted(line) if _MARK in line or b"\\u" in line else ()
            elif (request := _request_key(key)) == _NAMED:
                counted += _counted(line)
            elif request:  # most lines need not be read
                counted.append((request, _duration(line) if duration is None else duration))
        if counted:
            rows.append((rowid, block.times_us[0], _records(db, counted, numbers)))
    db.executemany("INSERT INTO requests VALUES (?, ?, ?)", rows)


def _counted(line: bytes) -> Iterator[tuple[bytes, Any]]:
    """Yield the key of a request that ended, and the time it took; nothing for any other event."""
    try:
        event = Event.from_store(line)
    except ValueError:  # a search leaves it out as well
        return
    if request := _key_of(event):
        yield request, next(iter(values_of(event, DURATION)), None)


@lru_cache(maxsize=4_096)
def _request_key(key: bytes) -> bytes | None:
    """Return the key of requests that ended, of the key that such events have in `tallies`; `None` for other events."""
    event = event_of(key)
    request = _key_of(event)
    return _NAMED if request and request != _UNCOUNTED and WITHOUT_ROUTE.matches(event) else request


def _key_of(event: Event) -> bytes | None:
    if not FINISHED.matches(event):
        return None
    if values_of(event, ABSENT):
        return _UNCOUNTED
    names = values_of(event, NAME) if WITHOUT_ROUTE.matches(event) else []
    return orjson.dumps([*(values_of(event, name) for name in COLUMNS), names])


def _duration(line: bytes) -> Any:
    """Return the time that a request took, as `values_of` finds it first."""
    fields = Event.from_store(line).fields
    inner = fields.get("event")
    duration = inner.get("duration") if isinstance(inner, dict) and DURATION not in fields else None
    return duration if type(duration) is int else next(iter(values_of(Event(fields), DURATION)), None)


def _records(db: sqlite3.Connection, counted: Iterable[tuple[bytes, Any]], numbers: dict[bytes, int]) -> bytes | None:
    """Return the records of a block; `None` where it has to be read."""
    records = []
    for key, duration in counted:
        number = None if key == _UNCOUNTED else numbers.get(key) or _number(db, key)
        is_whole = type(duration) is int and abs(duration) < 2**63
        if number is None or (duration is not None and not is_whole):
            return None
        numbers[key] = number
        records.append(_RECORD.pack(number, _UNKNOWN_NS if duration is None else duration))
    return b"".join(records)


def _number(db: sqlite3.Connection, key: bytes) -> int | None:
    """Return the number of a key, a new one where it has none; `None` when there are too many keys."""
    found = db.execute("SELECT number FROM request_keys WHERE key = ?", (key,)).fetchone()
    if found:
        return int(found[0])
    number = db.execute("INSERT INTO request_keys (key) VALUES (?) RETURNING number", (key,)).fetchone()[0]
    if number <= MAX_KEYS:
        return int(number)
    db.execute("DELETE FROM request_keys WHERE number = ?", (number,))
    return None


def can_count(query: Query, grouping: Grouping) -> bool:
    """Return whether keys are enough to answer: of finished requests, and by their `COLUMNS` alone."""
    parts = list(_parts(query.expression))
    columns = {*COLUMNS, NAME} if set(parts) >= _ROUTE else set(COLUMNS)
    if FINISHED not in parts or grouping.step_ns or not set(grouping.fields) <= columns:
        return False
    return all(part == FINISHED or is_of(part, (*COLUMNS, ABSENT)) for part in parts)


def _parts(expression: Expression) -> Iterator[Expression]:
    if isinstance(expression, And) and expression != FINISHED:
        for part in expression.parts:
            yield from _parts(part)
    else:
        yield expression


def count(
    db: sqlite3.Connection, query: Query, grouping: Grouping, bounds: tuple[int, int]
) -> tuple[Groups, list[int]]:
    """Return the groups of the blocks that lie in a period, and the blocks in it that have to be read.

    `bounds` are the microseconds of the first and the last moment.
    """
    wanted = [part for part in _parts(query.expression) if part != FINISHED]
    keys = {}
    for number, text in db.execute("SELECT number, key FROM request_keys"):
        event = Event(dict(zip((*COLUMNS, NAME), orjson.loads(text), strict=True)))
        if all(part.matches(event) for part in wanted):
            keys[number] = keys_of(event, grouping)
    whole = "SELECT rowid, records FROM requests WHERE rowid BETWEEN :low AND :high AND first >= :low"
    rows = db.execute(whole, {"low": bounds[0], "high": bounds[1]})
    times: dict[int, list[int]] = {number: [] for number in keys}
    joined, unread = [], []
    for rowid, records in rows:
        if records is None:
            unread.append(rowid)
        else:
            joined.append(records)
    for number, took_ns in _RECORD.iter_unpack(b"".join(joined)):
        if number in times:
            times[number].append(took_ns)
    groups: Groups = {}
    for number, took_ns in times.items():
        durations = durations_of(took_ns) if grouping.is_timed and took_ns else Durations()
        for key in keys[number] if took_ns else ():
            groups.setdefault(key, Group()).merge(Group(len(took_ns), durations))
    return groups, unread


def durations_of(took_ns: list[int]) -> Durations:
    """Return the durations of some times, those that are known."""
    took_ns.sort()
    known = took_ns[bisect_left(took_ns, _UNKNOWN_NS + 1) :]
    if not known:
        return Durations()
    buckets, at = {}, 0
    while at < len(known):
        bucket = bucket_of(known[at])
        end = bisect_left(known, EDGES_NS[bucket + 1], at)
        buckets[bucket] = end - at
        at = end
    return Durations(buckets, known[0], known[-1])
