"""Counts of events that were dropped while there was no segment whose header could count them.

They stand in a small file in the folder of the service, `drops`, which is made while there is room, so that it can be
changed in place on a full disk. Where it cannot be written, they stand in the folder for temporary files. The next
segment of the service takes them over into its header.
"""

import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from dashcam import machine
from dashcam.spool.lock import lock
from dashcam.spool.segment import DROP_REASONS, encode_count

NAME = "drops"
MODE = 0o640
MAX_QUICK_S = 0.001  # to write the counts; where it takes longer, time after time, it is done less often:
MAX_SLOWDOWN = 50  # the process spends at most a fiftieth of its time on it
ATTEMPTS, ATTEMPT_S = 20, 0.0005  # to lock the file: others hold it for some microseconds
_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_MAX_BYTES = 64 << 10

_Change = Callable[[dict[str, int]], dict[str, int]]


class DropCounts:
    """The counts of one service; never raises. What cannot be written anywhere is kept until it can."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pending: Counter[str] = Counter()
        self._flush_at_s = 0.0
        self._took_s = (0.0, 0.0, 0.0)

    def add(self, reason: str) -> None:
        """Count an event; it is written at once, unless writing is slow, as it is on a full disk of some kinds."""
        self._pending[reason] += 1
        if (started_s := machine.monotonic()) < self._flush_at_s:
            return
        self.flush()
        self._took_s = (*self._took_s[1:], machine.monotonic() - started_s)
        if (took_s := min(self._took_s)) > MAX_QUICK_S:
            self._flush_at_s = machine.monotonic() + MAX_SLOWDOWN * took_s

    def flush(self) -> None:
        """Write what was counted."""
        pending, self._pending = self._pending, Counter()
        if not pending:
            return
        for path in (self._folder / NAME, _path_elsewhere(self._folder)):
            try:
                _change(path, self._folder, lambda counts: dict(Counter(counts) + pending))
            except OSError:
                continue
            return
        self._pending += pending

    def take(self) -> Mapping[str, int]:
        """Return the counts and set them to zero: from here on a header has them.

        Makes the file, too, while there is room.
        """
        taken, self._pending = self._pending, Counter()

        def empty(counts: dict[str, int]) -> dict[str, int]:
            taken.update(counts)
            return {}

        with suppress(OSError):  # there is no room: what is dropped is counted elsewhere
            _change(self._folder / NAME, self._folder, empty)
        elsewhere = _path_elsewhere(self._folder)
        if elsewhere.exists():
            with suppress(OSError):  # it stays as it is
                _change(elsewhere, self._folder, empty)
            with suppress(OSError):
                elsewhere.unlink()
        return taken


def read_drops(spool: Path) -> Mapping[str, int]:
    """Return the events dropped by the services below a spool that no header counts, by reason."""
    total: Counter[str] = Counter()
    paths = list(_paths_elsewhere(spool))
    with suppress(OSError):  # it cannot be read now: some counts stand elsewhere
        paths += spool.glob(f"*/*/{NAME}")
    for path in paths:
        with suppress(OSError, ValueError):  # gone, or not such a file
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                total.update(_decode(os.pread(file, _MAX_BYTES, 0))["dropped"])
            finally:
                os.close(file)
    return total


def is_readable(path: Path) -> bool:
    """Return whether a file has counts. Raises `OSError` when it cannot be read."""
    try:
        _decode(path.read_bytes()[:_MAX_BYTES] or _encode(path.parent, {}))
    except ValueError:
        return False
    return True


def _change(path: Path, folder: Path, change: _Change) -> None:
    """Change the counts in a file as one step, for all processes of the service."""
    file = os.open(path, _FLAGS | os.O_CREAT, MODE)
    try:
        _lock(file)
        data = os.pread(file, _MAX_BYTES, 0)
        if not data:
            os.fchmod(file, MODE)
        try:
            before = _decode(data)["dropped"]
        except ValueError:
            before = {}
        after = _encode(folder, change(before))
        if after != data and os.pwrite(file, after, 0) < len(after):
            os.ftruncate(file, 0)
            raise OSError("the disk is full")
    finally:
        os.close(file)


def _lock(file: int) -> None:
    for _ in range(ATTEMPTS):
        with suppress(BlockingIOError, PermissionError):  # POSIX allows either for a lock that is held
            return lock(file)
        machine.sleep(ATTEMPT_S)
    raise BlockingIOError("the counts are locked by another process")


def _encode(folder: Path, counts: Mapping[str, int]) -> bytes:
    # Numbers of fixed width: a later count never needs another block of a full disk.
    numbers = ",".join(f'"{reason}":{encode_count(counts.get(reason, 0)).decode()}' for reason in DROP_REASONS)
    return b'{"dropped":{%b},"folder":%b}\n' % (numbers.encode(), orjson.dumps(_absolute(folder)))


def _decode(data: bytes) -> dict[str, Any]:
    fields = orjson.loads(data)
    if not isinstance(fields, dict) or not isinstance(fields.get("dropped"), dict):
        raise ValueError("these are not counts of dropped events")
    counts = {reason: fields["dropped"].get(reason, 0) for reason in DROP_REASONS}
    if not all(isinstance(count, int) and count >= 0 for count in counts.values()):
        raise ValueError("these are not counts of dropped events")
    return {"dropped": counts, "folder": str(fields.get("folder", ""))}


def _path_elsewhere(folder: Path) -> Path:
    name = f"dashcam-drops-{os.getuid()}-{zlib.crc32(_absolute(folder).encode()):08x}"
    return _temporary_folder() / name


def _absolute(folder: Path) -> str:
    return os.fsencode(folder.absolute()).decode("latin-1")


def _temporary_folder() -> Path:
    return Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108 — only counts stand there, and no link is followed


def _paths_elsewhere(spool: Path) -> Iterator[Path]:
    prefix = _absolute(spool) + "/"
    for path in _temporary_folder().glob("dashcam-drops-*"):
        with suppress(OSError, ValueError):  # another's, or not such a file
            if not path.is_symlink() and path.is_file() and _decode(path.read_bytes())["folder"].startswith(prefix):
                yield path
