"""Repairs the spool and the shipper's state after damage: unreadable files are moved to `quarantine/`.

Repair holds the lock of the shipper. A second run finds nothing left to do.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from dashcam import machine
from dashcam.ship.listing import SpoolListing, is_of_another_version, open_segment
from dashcam.ship.state import checkpoint
from dashcam.ship.state.checkpoint import Checkpoint
from dashcam.ship.state.dead_letters import LETTERS, decode_letter
from dashcam.ship.state.heartbeat import exclusive
from dashcam.ship.state.journal import Journal, read_journal, replace_file
from dashcam.ship.state.quarantine import quarantine, set_aside
from dashcam.ship.state.removal_account import NAME as ACCOUNT
from dashcam.ship.state.removal_account import load_account, rewrite
from dashcam.spool.drops import NAME as DROPS
from dashcam.spool.drops import is_readable


class Repair(NamedTuple):
    """A damaged file: its path, the repair, and the loss, if any."""

    path: Path
    done: str
    lost: str = ""


def repair(folder: Path) -> Iterator[Repair]:
    """Repair the files below a `DASHCAM_DIR`, one by one.

    Raises `DashcamError` while a shipper works there, and `OSError` when something cannot be written.
    """
    with exclusive(folder, machine.Event(), turn_s=0.0):
        yield from _segments(folder)
        yield from _drops(folder)
        yield from _checkpoints(folder)
        yield from _account(folder)
        yield from _letters(folder)
        yield from _journals(folder)


def send_again(folder: Path, route: str) -> None:
    """Have a route send the whole spool again: its store was rebuilt, and keeps each event once."""
    checkpoint.save(folder / "positions", route, Checkpoint(earlier=load_account(folder).recorded))


def _segments(folder: Path) -> Iterator[Repair]:
    listing = SpoolListing(folder / "spool")
    listing.refresh()
    for path, reason in listing.unreadable.items():
        yield Repair(path, f"left as it is: {reason}", "its content, until its owner and permissions are set")
    for path in listing.paths.values():
        try:
            open_segment(path).close()
        except FileNotFoundError:
            continue
        except OSError as fault:
            yield Repair(path, f"left as it is: {fault.strerror}", "its events, until it can be read")
        except ValueError as fault:
            if not is_of_another_version(path):
                size = path.lstat().st_size
                yield Repair(path, _moved(folder, path, str(fault)), f"its events ({size:,} bytes)")


def _moved(folder: Path, path: Path, reason: str) -> str:
    return f"{reason}; {quarantine(folder / 'spool', path, reason)}"


def _drops(folder: Path) -> Iterator[Repair]:
    for path in sorted((folder / "spool").glob(f"*/*/{DROPS}")):
        if not is_readable(path):
            yield Repair(path, _moved(folder, path, "these are not counts"), "counts of dropped events")


def _checkpoints(folder: Path) -> Iterator[Repair]:
    for path in sorted((folder / "positions").glob(f"*{checkpoint.SUFFIX}")):
        found, damaged = checkpoint.read(path)
        if not damaged:
            continue
        copy = set_aside(folder, path)
        if found == Checkpoint():
            found = Checkpoint(earlier=load_account(folder).recorded)
            lost = "the offsets of the route: the events in the spool are sent again, with the same IDs"
        else:
            lost = f"{damaged} of its records: acknowledged events may be sent again, with the same IDs"
        checkpoint.save(path.parent, path.stem, found)
        yield Repair(path, f"rebuilt from the readable parts; a copy is {copy}", lost)


def _account(folder: Path) -> Iterator[Repair]:
    path = folder / ACCOUNT
    records, damaged = read_journal(path)
    if damaged:
        copy = set_aside(folder, path)
        rewrite(folder, load_account(folder))
        lost = "" if records else "the counts of removed segments: counting begins again"
        yield Repair(path, f"rebuilt from the readable parts; a copy is {copy}", lost)


def _letters(folder: Path) -> Iterator[Repair]:
    for path in sorted((folder / "dead-letters").glob(f"*{LETTERS}")):
        lines = path.read_bytes().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n") and decode_letter(line)]
        if len(whole) < len(lines):
            copy = set_aside(folder, path)
            replace_file(path, b"".join(whole))
            lost = f"{len(lines) - len(whole)} letters that cannot be read"
            yield Repair(path, f"{len(whole)} letters are kept; a copy is {copy}", lost)


def _journals(folder: Path) -> Iterator[Repair]:
    """Repair the journals of clips and of replays."""
    for path in sorted([*folder.glob("clips/**/*.journal"), *folder.glob("dead-letters/*.replayed")]):
        records, damaged = read_journal(path)
        if damaged:
            copy = set_aside(folder, path)
            with closing(Journal(path)) as journal:
                journal.rewrite(records)
            yield Repair(path, f"rebuilt from the readable parts; a copy is {copy}", f"{damaged} of its records")
