"""Files that damage has made unreadable, kept aside with the reason, so that everything else goes on."""

import os
from pathlib import Path

from dashcam import machine
from dashcam.event import format_time
from dashcam.ship.state.journal import replace_file, write_all

FOLDER = "quarantine"


def quarantine(spool: Path, path: Path, reason: str) -> str:
    """Move a file of the spool aside, with the reason beside it; return a description.

    A file that cannot be moved stays where it is. Raises `FileNotFoundError` when it is gone.
    """
    aside = spool.parent / FOLDER / path.relative_to(spool)
    path.lstat()
    try:
        aside.parent.mkdir(parents=True, exist_ok=True)
        path.rename(aside)
        file = os.open(aside.with_suffix(".reason"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            write_all(file, f"{format_time(machine.time_ns())} {path}: {reason}\n".encode())
        finally:
            os.close(file)
    except OSError as fault:
        return f"it stays, and is ignored ({fault.strerror})"
    return f"moved to {aside}"


def set_aside(folder: Path, path: Path) -> Path:
    """Keep a copy of a file below a `DASHCAM_DIR` that is about to be repaired; return where. Raises `OSError`."""
    aside = folder / FOLDER / path.relative_to(folder)
    aside = aside.with_name(f"{aside.name}.{machine.time_ns()}")
    replace_file(aside, path.read_bytes())
    return aside


def quarantined(folder: Path) -> int:
    """Return how many files below a `DASHCAM_DIR` were moved aside."""
    # By name alone: there may be very many.
    return sum(not name.endswith(".reason") for _, _, names in os.walk(folder / FOLDER) for name in names)
