"""The lock of a shipper on its folder, held while it lives, and the status that it writes."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import orjson

from dashcam import machine
from dashcam.errors import DashcamError
from dashcam.event import format_time
from dashcam.ship.state.journal import replace_file

LOCK = "shipper.lock"
NAME = "shipper.json"
TURN_S = 20.0  # to wait for an earlier shipper: it has 15 s to settle its deliveries


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The shipper of a folder: whether it is at work, when it last was, its process, and its troubles."""

    is_at_work: bool = False
    last_seen: str | None = None
    pid: int | None = None
    troubles: Mapping[str, str] | None = None


def read_heartbeat(folder: Path) -> Heartbeat:
    """Return the state of the shipper below a `DASHCAM_DIR`."""
    lock = folder / LOCK
    try:
        last_seen = format_time(lock.stat().st_mtime_ns)
    except OSError:
        return Heartbeat()
    if not is_locked(lock):
        return Heartbeat(last_seen=last_seen)
    try:
        fields = orjson.loads((folder / NAME).read_bytes())
        pid, troubles = int(fields["pid"]), dict(fields["troubles"])
    except (OSError, ValueError, KeyError, TypeError):
        pid, troubles = None, None
    return Heartbeat(is_at_work=True, last_seen=last_seen, pid=pid, troubles=troubles)


def is_locked(path: Path) -> bool:
    """Return whether a process holds a lock file."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


class Pulse:
    """The lock that this process holds on a folder; `beat` says that it lives."""

    def __init__(self, folder: Path, lock: TextIO) -> None:
        self._folder = folder
        self._lock = lock
        self._written: bytes = b""

    def beat(self, troubles: Mapping[str, str], *, is_alive: bool = True) -> None:
        """Update the status. Raises `DashcamError` when the folder was removed or replaced, and `OSError`."""
        try:
            is_ours = os.path.samestat(os.fstat(self._lock.fileno()), (self._folder / LOCK).stat())
        except FileNotFoundError:
            is_ours = False
        if not is_ours:
            raise DashcamError(f"{self._folder} was removed or replaced while the shipper was at work; start it again")
        if is_alive:
            os.utime(self._lock.fileno())
        text = orjson.dumps({"pid": os.getpid(), "troubles": dict(troubles)})
        if text != self._written:
            replace_file(self._folder / NAME, text)
            self._written = text


@contextmanager
def exclusive(folder: Path, stopping: machine.Event, turn_s: float = TURN_S) -> Iterator[Pulse]:
    """Hold the folder's lock: two shippers would send everything twice.

    Raises `DashcamError` when another shipper still works there after `turn_s` seconds, and `OSError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as lock:
        deadline_s = machine.monotonic() + turn_s
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if machine.monotonic() > deadline_s or stopping.is_set():
                    raise DashcamError(f"another shipper works in {folder}; stop it, or set DASHCAM_DIR") from None
                machine.sleep(0.1)
        yield Pulse(folder, lock)
