"""The formats before this one: an event a row. They are read, and converted by the first writer.

`events` had the rows, by a time of its own for each, `writers` the ends of their lines, and `arrivals` which of them
had come at another time than they claim.
"""

import logging
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dashcam.destinations.local.file import (
    FORMER_VERSIONS,
    LAST_ROWID,
    MAX_BLOCK_EVENTS,
    SCHEMA,
    ZLIB_DICTIONARY,
    Block,
    partition_name,
    version_of,
)
from dashcam.destinations.local.retention import Age
from dashcam.event import EncodedEvent, Event

CONVERTED_AT_ONCE = 5_000  # events: a tenth of a second

_log = logging.getLogger("dashcam")

_ROWS = "SELECT place, id, own, ending FROM events JOIN writers ON number = writer"


class Former(NamedTuple):
    """Some events of a former format, and the function that gives the age of one that claims a time."""

    events: list[EncodedEvent]
    age_of: Callable[[int], Age]


def is_there(db: sqlite3.Connection) -> bool:
    """Return whether a file has events of a former format."""
    return db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'writers'").fetchone() is not None


def begin(db: sqlite3.Connection) -> None:
    """Give a file of a former format this one's tables; its events are still where they were."""
    for (number,) in db.execute("SELECT number FROM shelves").fetchall():
        db.execute(f"DROP TABLE {partition_name(number)}")
    db.execute("CREATE TABLE IF NOT EXISTS arrivals (low INTEGER, high INTEGER, arrived INTEGER)")
    for statement in SCHEMA:
        db.execute(statement)


def is_former(db: sqlite3.Connection) -> bool:
    """Return whether a file has nothing but a former format's tables."""
    return version_of(db) in FORMER_VERSIONS


def take(db: sqlite3.Connection, events: int = CONVERTED_AT_ONCE) -> Former:
    """Take the oldest events out of the former tables, which go with the last of them."""
    rows = db.execute(f"{_ROWS} ORDER BY place LIMIT ?", (events,)).fetchall()
    arrivals = db.execute("SELECT low, high, arrived FROM arrivals").fetchall()

    def age_of(time_us: int) -> Age:
        arrived = next((arrived for low, high, arrived in arrivals if low <= time_us <= high), time_us)
        return Age(max(arrived, time_us), arrived)

    db.execute("DELETE FROM events WHERE place <= ?", (rows[-1][0] if rows else LAST_ROWID,))
    if not rows:
        for table in ("events", "writers", "shelves", "about", "arrivals"):
            db.execute(f"DROP TABLE {table}")
    taken = [
        EncodedEvent(_id_of(event_id), is_span=False, data=timed[1])
        for _, event_id, own, ending in rows
        if (timed := _timed(own, ending))
    ]
    return Former(taken, age_of)


def blocks(db: sqlite3.Connection, *, newest_first: bool) -> Iterator[Block]:
    """Yield all events of a former format as blocks: by the last event of each, or by the first."""
    order = "DESC" if newest_first else "ASC"
    rows = db.execute(f"{_ROWS} ORDER BY place {order}")
    (shift,) = db.execute("SELECT longest_shift FROM about").fetchone()
    while some := rows.fetchmany(MAX_BLOCK_EVENTS):
        timed = sorted(filter(None, (_timed(own, ending) for _, _, own, ending in some)))
        if not timed:
            continue
        places = [some[0][0], some[-1][0]]
        first_us = min(places) - shift
        yield Block(
            max(places), first_us, [time - first_us for time, _ in timed], b"\n".join(line for _, line in timed)
        )


def _timed(own: bytes, ending: bytes) -> tuple[int, bytes] | None:
    """Return the time in microseconds and the line of a row; `None` when the row is damaged."""
    try:
        line = zlib.decompressobj(-12, ZLIB_DICTIONARY).decompress(own) + ending
        return Event.from_store(line).time_ns // 1000, line
    except (zlib.error, ValueError, TypeError) as fault:
        _log.warning("a row of the local store is damaged, and left out: %s", fault)
        return None


def _id_of(kept: bytes | str) -> str:
    return kept if isinstance(kept, str) else f"{kept[:12].hex()}-{int.from_bytes(kept[12:]):08}"
