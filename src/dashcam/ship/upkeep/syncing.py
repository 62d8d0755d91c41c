"""Syncs the segments that have grown since the last round to the disk."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dashcam.ship.listing import open_segment
from dashcam.spool.lock import is_locked
from dashcam.spool.reader import NO_DATA

MAX_ROUNDS = 60  # between two questions whether a quiet process is still there
LOOK_BYTES = 16 << 10
MAX_OPEN = 256  # segments; others are opened for each look at them, which takes ten times as long


@dataclass(slots=True)
class _Growing:
    """A segment that may grow: its file while that is open, the end of its data, and when to ask whether it is final.

    `end` is where its data ended when it was synced last, `rounds` those since then.
    """

    path: Path
    file: int = -1
    size_bytes: int = 0
    end: int = -1
    rounds: int = 0
    check_at: int = 1


class SegmentSync:
    """The segments of a spool, and how far each is synced. Not for use by several threads."""

    def __init__(self, max_open: int = MAX_OPEN) -> None:
        self._max_open = max_open
        self._open = 0
        self._growing: dict[str, _Growing] = {}
        self._final: dict[str, int] = {}

    def close(self) -> None:
        """Close the files that are open."""
        for segment in self._growing.values():
            self._close(segment)

    def take(self, paths: Mapping[str, Path]) -> None:
        """Update the list of segments."""
        for key in self._growing.keys() - paths.keys():
            self._close(self._growing.pop(key))
        for key in self._final.keys() - paths.keys():
            del self._final[key]
        for key in paths.keys() - self._growing.keys() - self._final.keys():
            self._growing[key] = _Growing(paths[key])

    def sizes(self) -> dict[str, int]:
        """Return the size of each segment at the last round, in bytes."""
        return self._final | {key: each.size_bytes or _size_bytes(each.path) for key, each in self._growing.items()}

    def round(self) -> dict[str, str]:
        """Sync the segments that have grown; return the failures by path."""
        troubles = {}
        for key, segment in list(self._growing.items()):
            try:
                # Most have nothing new, and cost one look.
                if segment.file >= 0 and os.pread(segment.file, 1, segment.end) in NO_DATA:
                    self._rest(key, segment)
                else:
                    self._sync(key, segment)
            except FileNotFoundError:  # gone since it was listed
                continue
            except OSError as fault:
                self._close(segment)
                troubles[str(segment.path)] = fault.strerror or str(fault)
        return troubles

    def _rest(self, key: str, segment: _Growing) -> None:
        """Ask ever less often whether the process of a quiet segment is still there."""
        segment.rounds += 1
        if segment.rounds < segment.check_at:
            return
        segment.check_at += min(segment.rounds, MAX_ROUNDS)
        if not (segment.file >= 0 and is_locked(segment.file)) and _is_final(segment.path):
            self._final[key] = _size_bytes(segment.path)
            self._close(self._growing.pop(key))

    def _sync(self, key: str, segment: _Growing) -> None:
        file = segment.file if segment.file >= 0 else self._open_file(segment)
        try:
            has_grown = segment.end < 0 or os.pread(file, 1, segment.end) not in NO_DATA
            if has_grown:
                size_bytes = os.fstat(file).st_size
                end = _end_of_data(file, max(segment.end, 0), size_bytes)
                if size_bytes:  # else it is not a segment, and there may be very many
                    os.fsync(file)
                segment.size_bytes, segment.end, segment.rounds, segment.check_at = size_bytes, end, 0, 1
        finally:
            if file != segment.file:
                os.close(file)
        if not has_grown:
            self._rest(key, segment)

    def _open_file(self, segment: _Growing) -> int:
        file = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        if self._open < self._max_open:
            self._open += 1
            segment.file = file
        return file

    def _close(self, segment: _Growing) -> None:
        if segment.file >= 0:
            os.close(segment.file)
            segment.file = -1
            self._open -= 1


def _is_final(path: Path) -> bool:
    try:
        with open_segment(path) as reader:
            return reader.is_final()
    except ValueError:
        return True


def _size_bytes(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _end_of_data(file: int, low: int, high: int) -> int:
    """Return where the zeros of a segment begin: data fills it from the front, and holds none."""
    block = os.pread(file, LOOK_BYTES, low)  # the lines of one round usually end here
    if (zero := block.find(0)) >= 0 or len(block) < LOOK_BYTES:
        return low + (zero if zero >= 0 else len(block))
    low += LOOK_BYTES
    while low < high:
        middle = (low + high) // 2
        if os.pread(file, 1, middle) in NO_DATA:
            high = middle
        else:
            low = middle + 1
    return low
