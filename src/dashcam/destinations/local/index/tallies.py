"""The keys of the events of each block, so that a histogram of millions of events reads none of them.

`tallies` has a row for each block: 4 bytes for each event, the number of its key (`terms.key_of`). `event_keys` has the
keys. A block whose `keys` are null has to be read: there are too many keys.
"""

import sqlite3
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from dashcam.destinations.local.index.terms import COLUMNS, IndexedBlock, event_of
from dashcam.find.aggregation import Group, Grouping, Groups, Key, keys_of
from dashcam.find.query import And, Exists, Expression, MatchAll, Not, Or, Phrase, Query, Range, Term, Wildcard

SCHEMA = (
    "CREATE TABLE tallies (rowid INTEGER PRIMARY KEY, first INTEGER NOT NULL, keys BLOB)",
    "CREATE TABLE event_keys (number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE)",
    "CREATE TRIGGER forget_tallies AFTER DELETE ON blocks BEGIN DELETE FROM tallies WHERE rowid = old.rowid; END",
)

MAX_KEYS = 20_000  # a route that is an address would give each event a key of its own


class Tally(NamedTuple):
    """The key numbers of the events of a period, by the start of their step, and the blocks that have to be read."""

    numbers: dict[int, Counter[int]]
    unread: list[int]


def note(db: sqlite3.Connection, blocks: Iterable[tuple[int, IndexedBlock]]) -> None:
    """Note the keys of some blocks, each with its number."""
    numbers: dict[bytes, int | None] = {}
    rows = [(rowid, block.times_us[0], _numbered(db, block.keys, numbers)) for rowid, block in blocks]
    db.executemany("INSERT INTO tallies VALUES (?, ?, ?)", rows)


def _numbered(db: sqlite3.Connection, keys: Sequence[bytes | None], numbers: dict[bytes, int | None]) -> bytes | None:
    """Return the numbers of the keys of a block; `None` where it has to be read."""
    found: list[int] = []
    for key in keys:
        if key is not None and key not in numbers:
            numbers[key] = _number(db, key)
        number = None if key is None else numbers[key]
        if number is None:
            return None
        found.append(number)
    return struct.pack(f"<{len(found)}I", *found)


def _number(db: sqlite3.Connection, key: bytes) -> int | None:
    """Return the number of a key, a new one where it has none; `None` when there are too many keys."""
    found = db.execute("SELECT number FROM event_keys WHERE key = ?", (key,)).fetchone()
    if found:
        return int(found[0])
    (count,) = db.execute("SELECT coalesce(max(number), 0) FROM event_keys").fetchone()
    if count >= MAX_KEYS:
        return None
    db.execute("INSERT INTO event_keys VALUES (?, ?)", (count + 1, key))
    return int(count) + 1


def can_count(query: Query, grouping: Grouping) -> bool:
    """Return whether keys are enough to answer."""
    return not grouping.is_timed and set(grouping.fields) <= set(COLUMNS) and is_of(query.expression, COLUMNS)


def is_of(expression: Expression, columns: Sequence[str]) -> bool:
    """Return whether an expression asks for some fields alone."""
    match expression:
        case MatchAll():
            return True
        case And(parts) | Or(parts):
            return all(is_of(part, columns) for part in parts)
        case Not(part):
            return is_of(part, columns)
        case Phrase(field=field) | Term(field) | Wildcard(field) | Range(field) | Exists(field):
            return field in columns
    return False


def count(db: sqlite3.Connection, step_us: int, bounds: tuple[int, int]) -> Tally:
    """Return the tally of the blocks that lie in a period; `bounds` are its first and its last microsecond.

    A block whose events are of several steps has to be read.
    """
    whole = "SELECT rowid, first, keys FROM tallies WHERE rowid BETWEEN :low AND :high AND first >= :low"
    rows = db.execute(whole, {"low": bounds[0], "high": bounds[1]})
    joined: dict[int, list[bytes]] = {}
    unread = []
    for rowid, first_us, keys in rows:
        step = first_us // step_us if step_us else 0
        if keys is None or (step_us and rowid // step_us != step):
            unread.append(rowid)
        else:
            joined.setdefault(step, []).append(keys)
    return Tally({step * step_us * 1000: _count(b"".join(some)) for step, some in joined.items()}, unread)


def _count(keys: bytes) -> Counter[int]:
    return Counter(struct.unpack(f"<{len(keys) // 4}I", keys))


def groups_of(tally: Tally, keys: Mapping[int, Sequence[Key]]) -> Groups:
    """Return the groups of a tally, by the keys of a grouping that an event with a key number counts for."""
    groups: Groups = {}
    for start_ns, numbers in tally.numbers.items():
        for number, events in numbers.items():
            for key in keys.get(number, ()):
                groups.setdefault(key._replace(start_ns=start_ns), Group()).count += events
    return groups


def wanted_keys(db: sqlite3.Connection, wanted: Expression, grouping: Grouping) -> dict[int, list[Key]]:
    """Return the keys of a grouping that an event with a key number counts for, of those that are wanted."""
    by_value = Grouping(grouping.fields)
    events = ((number, event_of(key)) for number, key in db.execute("SELECT number, key FROM event_keys"))
    return {number: keys_of(event, by_value) for number, event in events if wanted.matches(event)}
