"""A file on this machine: SQLite, with an index for look-ups and full text; `local_file` has the format.

A batch is one transaction, on disk before `ship` returns (write-ahead log, synchronous=FULL): neither a killed process
nor a power cut takes what was answered for. Readers go on meanwhile. Events that are too old or too many go in small
steps, in the same transactions.
"""

import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dashcam.destinations.local import file as local_file
from dashcam.destinations.local import retention
from dashcam.destinations.local.file import FIRST_PLACE, LAST_PLACE, pack, packed_id, shelf_name, terms_of
from dashcam.destinations.local.options import Options
from dashcam.errors import BackendUnavailable
from dashcam.event import NS_PER_S, Event
from dashcam.ship.batch import Batch, Limits, PartialResult

BUSY_S = 5.0  # another writer, such as a second shipper, is waited for
SHELVES = 4  # in a full file: each costs a look-up 0.1 ms, and the oldest is an index of events that are gone
EVENT_BYTES = 400  # about what an event takes, to size the shelves by
MAX_LOG_BYTES = 16_000_000  # of the write-ahead log, after the merges of an index
FORGOTTEN_AT_ONCE = 1_000  # events
MAX_STEPS = 10  # a batch: more goes than comes, and a limit that was lowered is reached in the end
FREED_AT_ONCE = 500  # pages

DAY_NS = 86_400 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of a file: bytes on disk, nanoseconds back from now, and events in one partition."""

    bytes: int
    age_ns: int
    shelf_events: int

    @classmethod
    def of(cls, options: Options) -> "Bounds":
        """Return the limits that the options allow."""
        shelf_events = options.limit_bytes // SHELVES // EVENT_BYTES
        return cls(options.limit_bytes, options.retention_days * DAY_NS, max(shelf_events, 1))


def connect(options: Options) -> "Local":
    """The backend of the file in `options.dir`, which is made when it can be; if not, `ship` says why."""
    local = Local(local_file.path_of(options), Bounds.of(options))
    with suppress(BackendUnavailable):
        local.open()
    return local


class Local:
    """One file's writer; a second one, in this process or another, waits for its turn."""

    limits = Limits(events=1_000, bytes=4_000_000)

    def __init__(
        self, path: Path, bounds: Bounds, *, busy_s: float = BUSY_S, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._path = path
        self._bounds = bounds
        self._busy_s = busy_s
        self._clock = clock
        self._db: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None

    def ship(self, batch: Batch) -> PartialResult | None:
        """Keep the events that are not there yet; one without a time is refused."""
        rows, refused = _read(batch)
        with self._excused():
            db = self.open()
            with _transaction(db):
                now_us = retention.trusted_time(db, self._clock() // 1000)
                retention.note_arrival(db, _keep(db, rows, self._bounds.shelf_events), now_us)
                _forget(db, now_us, self._bounds)
            _give_back_room(db)
        return PartialResult(rejected=refused) if refused else None

    def close(self) -> None:
        """Close the file."""
        if self._db:
            self._db.close()
            self._db = None

    def open(self) -> sqlite3.Connection:
        """The file, open, and made if it was not there, or is not any more; raises `BackendUnavailable`."""
        with self._excused():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch(mode=0o640)
            now = self._path.stat()
            if self._db is None or self._file is None or not os.path.samestat(self._file, now):
                self.close()
                # `ship` is called from another thread than `connect`, but from one at a time.
                self._db = sqlite3.connect(
                    self._path, timeout=self._busy_s, isolation_level=None, check_same_thread=False
                )
                self._file = now
                _prepare(self._db)
            return self._db

    @contextmanager
    def _excused(self) -> Iterator[None]:
        """Whatever the file's trouble is, the batch comes again, and the file is opened anew for it."""
        try:
            yield
        except sqlite3.Error as fault:
            self.close()
            raise BackendUnavailable(local_file.reason_of(self._path, fault)) from fault
        except OSError as fault:
            raise BackendUnavailable(f"{self._path} cannot be made: {fault.strerror}.") from fault


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    # Immediate, because one that turned from reading to writing would not wait for another writer.
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):  # it rolls back by itself when the disk is full
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _prepare(db: sqlite3.Connection) -> None:
    if local_file.is_blank(db):
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        with _transaction(db):
            # Another shipper may have come first.
            for statement in local_file.SCHEMA if local_file.is_blank(db) else ():
                db.execute(statement)
    for statement in retention.TABLES:  # a file of a version without them gets them
        db.execute(statement)
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA secure_delete = FAST")  # no writing of zeros over what goes
    db.execute(f"PRAGMA journal_size_limit = {MAX_LOG_BYTES}")
    db.execute("PRAGMA cache_size = -16000")  # kibibytes: the inner pages of every index


class _Row(NamedTuple):
    """An event as it is kept, but for its place."""

    id: bytes | str
    time_us: int
    own: bytes
    ending: bytes
    terms: str


def _read(batch: Batch) -> tuple[list[_Row], dict[int, str]]:
    """The events of a batch, and the reasons why some cannot be kept, by their number in it."""
    rows, refused = [], {}
    for number, line in enumerate(batch):
        try:
            event = Event.from_json(line.data)
            rows.append(_Row(packed_id(line.id), event.time_ns // 1000, *pack(line.data), terms_of(event)))
        except (ValueError, RecursionError) as fault:
            refused[number] = f"not an event with a time: {fault}"
    return rows, refused


def _keep(db: sqlite3.Connection, rows: list[_Row], shelf_events: int) -> list[int]:
    """Put events in that are not there yet; return their places."""
    writers = _writers(db, rows)
    kept = [(place, row) for row in rows if (place := _place(db, row, writers[row.ending])) is not None]
    if not kept:
        return []
    shelf = _shelf(db, shelf_events)
    terms = [(place, row.terms) for place, row in kept]
    db.executemany(f"INSERT INTO {shelf_name(shelf)} (rowid, terms) VALUES (?, ?)", terms)  # noqa: S608 - a number
    newest = max(place for place, _ in kept)
    grown = "UPDATE shelves SET events = events + ?, newest = max(newest, ?) WHERE number = ?"
    db.execute(grown, (len(kept), newest, shelf))
    shift = max(place - row.time_us for place, row in kept)
    db.execute("UPDATE about SET longest_shift = ? WHERE longest_shift < ?", (shift, shift))
    return [place for place, _ in kept]


def _writers(db: sqlite3.Connection, rows: list[_Row]) -> dict[bytes, int]:
    """The number of each ending, which stays as long as its newest event."""
    newest: dict[bytes, int] = {}
    for row in rows:
        newest[row.ending] = max(row.time_us, newest.get(row.ending, row.time_us))
    upsert = """
        INSERT INTO writers (ending, newest) VALUES (?, ?)
        ON CONFLICT (ending) DO UPDATE SET newest = max(newest, excluded.newest) RETURNING number
    """
    return {ending: db.execute(upsert, (ending, time_us)).fetchone()[0] for ending, time_us in newest.items()}


def _place(db: sqlite3.Connection, row: _Row, writer: int) -> int | None:
    """Insert an event; return its rowid, or `None` if it is there already."""
    stretch = 1
    while True:
        # A stretch that doubles finds room soon, however many events have the same time, and a resend the same place.
        place = row.time_us + zlib.crc32(row.own) % stretch
        values = (place, row.id, writer, row.own)
        if db.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?)", values).rowcount:
            return place
        if db.execute("SELECT 1 FROM events WHERE id = ?", (row.id,)).fetchone():
            return None
        stretch *= 2


def _shelf(db: sqlite3.Connection, shelf_events: int) -> int:
    """The shelf that is filled now, a new one if the last one is full."""
    last: tuple[int, int] | None = db.execute("SELECT number, events FROM shelves ORDER BY number DESC").fetchone()
    number, events = last or (0, shelf_events)
    if events < shelf_events:
        return number
    db.execute(local_file.SHELF.format(shelf_name(number + 1)))
    db.execute("INSERT INTO shelves VALUES (?, 0, 0)", (number + 1,))
    return number + 1


def _forget(db: sqlite3.Connection, now_us: int, bounds: Bounds) -> None:
    """Let go of events that are too old and, while they take too much room, of the oldest."""
    oldest_us = now_us - bounds.age_ns // 1000
    room_bytes = max(bounds.bytes // 2, bounds.bytes - MAX_LOG_BYTES)
    old = list(retention.old_ranges(db, oldest_us, now_us, FIRST_PLACE))
    for _ in range(MAX_STEPS):
        ranges = [(FIRST_PLACE, LAST_PLACE)] if _used_bytes(db) > room_bytes else old
        if not any(_delete(db, low, high) for low, high in ranges):
            retention.forget_arrivals(db, oldest_us)
            break
        _clear(db)


def _delete(db: sqlite3.Connection, low: int, high: int) -> bool:
    """Delete the first events of a range of places; return whether there were any."""
    places = "SELECT place FROM events WHERE place BETWEEN ? AND ? ORDER BY place LIMIT ?"
    gone = db.execute(f"DELETE FROM events WHERE place IN ({places})", (low, high, FORGOTTEN_AT_ONCE))  # noqa: S608
    return gone.rowcount > 0


def _clear(db: sqlite3.Connection) -> None:
    """Let go of the shelves and endings of which no event is left; the shelf that is filled now stays."""
    (oldest,) = db.execute(
        "SELECT coalesce(min(place), ?) - longest_shift FROM about, events", (LAST_PLACE,)
    ).fetchone()
    db.execute("DELETE FROM writers WHERE newest < ?", (oldest,))
    empty = "DELETE FROM shelves WHERE newest < ? AND number < (SELECT max(number) FROM shelves) RETURNING number"
    for (number,) in db.execute(empty, (oldest,)).fetchall():
        db.execute(f"DROP TABLE {shelf_name(number)}")


def _used_bytes(db: sqlite3.Connection) -> int:
    return (_pragma(db, "page_count") - _pragma(db, "freelist_count")) * _pragma(db, "page_size")


def _give_back_room(db: sqlite3.Connection) -> None:
    """Make the file smaller when much of it is unused; a little is for the events to come."""
    if _pragma(db, "freelist_count") > _pragma(db, "page_count") // 4:
        # As a script, because `execute` stops at the first page: a step of this statement gives no row.
        db.executescript(f"PRAGMA incremental_vacuum({FREED_AT_ONCE})")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])
