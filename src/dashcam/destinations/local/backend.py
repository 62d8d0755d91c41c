"""A file on this machine: SQLite, with an index for look-ups and full text; `file.py` has the format.

A batch is one transaction, on disk before `ship` returns (write-ahead log, synchronous=EXTRA): neither a killed process
nor a power cut loses acknowledged events. Readers are not blocked. Events that are too old or too many are deleted in
small steps, in the same transactions.
"""

import fcntl
import logging
import os
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dashcam.destinations.local.blocks import clock, runs
from dashcam.destinations.local.blocks import file as local_file
from dashcam.destinations.local.blocks.file import LAST_ROWID, partition_name
from dashcam.destinations.local.blocks.insertion import insert
from dashcam.destinations.local.options import Options
from dashcam.errors import BackendUnavailable
from dashcam.event import NS_PER_S
from dashcam.ship.batch import Batch, Limits, PartialResult

BUSY_S = 5.0  # another writer, such as a second shipper, is waited for
PARTITIONS = 4  # in a full file: each costs a look-up 0.1 ms, and the oldest is an index of events that are gone
EVENT_BYTES = 130  # about the size of an event in the file, to size the partitions by
MAX_LOG_BYTES = 16_000_000  # of the write-ahead log, after the merges of an index
FORGOTTEN_AT_ONCE = 16  # blocks
MAX_STEPS = 10  # a batch: deletes more than it adds, so that a lowered limit is reached in the end
FREED_AT_ONCE = 500  # pages

DAY_NS = 86_400 * NS_PER_S

# FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_NOCOW_FL of linux/fs.h
GET_FLAGS, SET_FLAGS, IS_WRITTEN_IN_PLACE = 0x80086601, 0x40086602, 0x800000

_log = logging.getLogger("dashcam.ship")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of a file: bytes on disk, nanoseconds back from now, and events in one partition."""

    bytes: int
    age_ns: int
    partition_events: int

    @classmethod
    def of(cls, options: Options) -> "Bounds":
        """Return the limits that the options allow."""
        partition_events = options.limit_bytes // PARTITIONS // EVENT_BYTES
        return cls(options.limit_bytes, options.retention_days * DAY_NS, max(partition_events, 1))


def connect(options: Options) -> "Local":
    """The backend of the file in `options.dir`, which is made when it can be; if not, `ship` says why."""
    local = Local(local_file.path_of(options), Bounds.of(options))
    with suppress(BackendUnavailable):
        local.open()
    return local


class Local:
    """One file's writer; a second one, in this process or another, waits for its turn."""

    limits = Limits(events=2_000, bytes=4_000_000)

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
        with self._excused():
            db = self.open()
            with _transaction(db):
                now_us = clock.trusted_time(db, self._clock() // 1000)
                refused = insert(
                    db, list(batch), lambda time_us: clock.age_of(time_us, now_us), self._bounds.partition_events
                )
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
                _make_shared_memory(self._path)
                # `ship` is called from another thread than `connect`, but from one at a time.
                self._db = sqlite3.connect(
                    self._path, timeout=self._busy_s, isolation_level=None, check_same_thread=False
                )
                self._file = now
                _prepare(self._db)
            return self._db

    @contextmanager
    def _excused(self) -> Iterator[None]:
        """Turn a fault of the file into `BackendUnavailable`: the file is opened again for the next try."""
        try:
            yield
        except sqlite3.Error as fault:
            self.close()
            raise BackendUnavailable(local_file.reason_of(self._path, fault)) from fault
        except OSError as fault:
            raise BackendUnavailable(f"{self._path} cannot be made: {fault.strerror}.") from fault


def _make_shared_memory(path: Path) -> None:
    """Make the file that SQLite's connections map into memory, on btrfs with the attribute that turns off copies.

    A full btrfs has no room for the copy of a changed page, and writing to the mapped page would raise SIGBUS.
    """
    with suppress(OSError):  # it is there, or the disk is full, or of another kind
        if os.statvfs(path.parent).f_files == 0:  # as on btrfs
            file = os.open(f"{path}-shm", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
            try:
                (flags,) = struct.unpack("l", fcntl.ioctl(file, GET_FLAGS, bytes(8)))
                fcntl.ioctl(file, SET_FLAGS, struct.pack("l", flags | IS_WRITTEN_IN_PLACE))
            finally:
                os.close(file)


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
    # `fetchall` runs the statement to its end. An error there would otherwise be lost, and the file have no log.
    db.execute("PRAGMA journal_mode = WAL").fetchall()
    with _transaction(db):
        # Another shipper may have come first.
        if local_file.is_blank(db):
            for statement in local_file.SCHEMA:
                db.execute(statement)
    db.execute("PRAGMA synchronous = EXTRA")  # if there is no log, each batch syncs the folder
    db.execute("PRAGMA secure_delete = FAST")  # do not overwrite deleted rows with zeros
    db.execute(f"PRAGMA journal_size_limit = {MAX_LOG_BYTES}")
    db.execute("PRAGMA cache_size = -16000")  # kibibytes: the inner pages of every index


def _forget(db: sqlite3.Connection, now_us: int, bounds: Bounds) -> None:
    """Delete blocks that are too old and, while the file is too large, the oldest."""
    oldest_us = now_us - bounds.age_ns // 1000
    room_bytes = max(bounds.bytes // 2, bounds.bytes - MAX_LOG_BYTES)
    future_us = now_us + DAY_NS // 1000  # a clock that is hours behind must not delete recent events
    # Each of the two is found by an index; joined by OR they would be looked for in every block. The plus keeps SQLite
    # to the index of arrivals, where little is left that came so long ago.
    old = [f"since < {oldest_us} ORDER BY since", f"arrived < {oldest_us} AND +since > {future_us} ORDER BY arrived"]
    for _ in range(MAX_STEPS):
        used_bytes = (_pragma(db, "page_count") - _pragma(db, "freelist_count")) * _pragma(db, "page_size")
        wanted = ["TRUE ORDER BY since"] if used_bytes > room_bytes else old
        if not any(_delete(db, condition, now_us) for condition in wanted):
            break
        _clear(db)


def _delete(db: sqlite3.Connection, condition: str, now_us: int) -> bool:
    """Delete some blocks, the first in an order; return whether there were any."""
    oldest = f"SELECT rowid FROM blocks WHERE {condition} LIMIT {FORGOTTEN_AT_ONCE}"  # noqa: S608
    gone = db.execute(f"DELETE FROM blocks WHERE rowid IN ({oldest}) RETURNING rowid, since").fetchall()  # noqa: S608
    # Blocks whose age counted from their arrival, or with times in the future, say nothing about other blocks.
    if in_turn := [rowid for rowid, since_us in gone if since_us <= rowid <= now_us]:
        clock.note_let_go(db, max(in_turn))
    return bool(gone)


def _clear(db: sqlite3.Connection) -> None:
    """Delete partitions and runs without any event; the current partition stays."""
    (oldest,) = db.execute("SELECT coalesce(min(arrived), ?) FROM blocks", (LAST_ROWID,)).fetchone()
    runs.forget(db, oldest)
    empty = "DELETE FROM partitions WHERE newest < ? AND number < (SELECT max(number) FROM partitions) RETURNING number"
    for (number,) in db.execute(empty, (oldest,)).fetchall():
        db.execute(f"DROP TABLE {partition_name(number)}")


def _give_back_room(db: sqlite3.Connection) -> None:
    """Shrink the file when much of it is unused."""
    if _pragma(db, "freelist_count") > _pragma(db, "page_count") // 4:
        # As a script, because `execute` stops at the first page: a step of this statement gives no row.
        db.executescript(f"PRAGMA incremental_vacuum({FREED_AT_ONCE})")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])
