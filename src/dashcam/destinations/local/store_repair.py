"""Saves the readable events of a damaged local store into a new file."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from dashcam.destinations.local.backend import Bounds, Local
from dashcam.destinations.local.blocks import file as local_file
from dashcam.destinations.local.blocks.file import Block
from dashcam.destinations.local.options import Options
from dashcam.event import EncodedEvent, Event
from dashcam.ship.delivery import batches
from dashcam.ship.inspection.spool_repair import Repair
from dashcam.ship.state.quarantine import FOLDER

_FILES = ("", "-wal", "-shm")  # of a database


def repair(options: Options) -> Iterator[Repair]:
    """Rebuild the file of the options if it is damaged, and yield the repair. Raises `OSError`."""
    path = local_file.path_of(options)
    if not path.exists() or not (fault := _fault(path)):
        return
    new = path.with_name("events.repaired.db")
    for end in _FILES:
        Path(f"{new}{end}").unlink(missing_ok=True)
    saved = 0
    with closing(Local(new, Bounds.of(options))) as local:
        local.open()
        for batch in batches(_events(path), local.limits):
            refused = local.ship(batch)
            saved += len(batch) - len(refused.rejected if refused else ())
    aside = path.parent / FOLDER / path.name
    aside.parent.mkdir(parents=True, exist_ok=True)
    for end in _FILES:
        with suppress(FileNotFoundError):
            Path(f"{path}{end}").rename(f"{aside}{end}")
    with closing(sqlite3.connect(new)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # write the log into the file, which is then complete
    new.rename(path)
    yield Repair(
        path,
        f"{fault}: {saved:,} events were saved into a new file; the old one is {aside}",
        "the events of the rows that cannot be read; those that the spool holds are sent again",
    )


def _fault(path: Path) -> str:
    """Return the first fault of a file; empty for one that is in order."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as db:
            local_file.is_blank(db)
            (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as fault:
        return str(fault)
    return "" if found == "ok" else str(found).replace("\n", " ")


def _events(path: Path) -> Iterator[EncodedEvent]:
    for block in _blocks(path):
        for line in block.text.split(b"\n"):
            with suppress(ValueError):  # damaged within
                event = Event.from_json(line)
                yield EncodedEvent(event.id, event.is_span, line)


def _blocks(path: Path) -> Iterator[Block]:
    """Yield the blocks that can be read: from the first one on, then from the last one back to where that ended."""
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as db:
        reached = local_file.FIRST_ROWID
        with suppress(sqlite3.DatabaseError):
            for row in db.execute("SELECT rowid, first, events, body FROM blocks ORDER BY rowid"):
                reached = row[0]
                yield from _unpacked(row)
            return
        backwards = "SELECT rowid, first, events, body FROM blocks WHERE rowid > ? ORDER BY rowid DESC"
        with suppress(sqlite3.DatabaseError):
            for row in db.execute(backwards, (reached,)):
                yield from _unpacked(row)


def _unpacked(row: tuple[int, int, int, bytes]) -> Iterator[Block]:
    with suppress(ValueError, TypeError):
        yield local_file.unpack(*row)
