"""Segments that are done though no writer sealed them, watched for lines that come all the same.

A lock tells whether the writer lives, and not every file system and platform keeps locks as it should. Whoever thought
a process gone goes on when it writes.
"""

import logging
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dashcam import machine
from dashcam.ship.listing import read_header
from dashcam.spool.reader import NO_DATA

_log = logging.getLogger("dashcam.ship")

FIRST_PAUSE_S, MAX_PAUSE_S = 1.0, 300.0  # between two looks at one
MAX_LOOKS = 50  # at once: the next events do not wait for them


@dataclass(slots=True)
class _Watched:
    key: str
    path: Path
    offset: int
    look_at_s: float
    pause_s: float = FIRST_PAUSE_S


class EndedSegments:
    """The segments that are watched. Not for use by several threads."""

    def __init__(self) -> None:
        self._watched: deque[_Watched] = deque()

    def watch(self, key: str, path: Path, offset: int) -> None:
        """Watch a segment for bytes behind an offset."""
        self._watched.append(_Watched(key, path, offset, machine.monotonic() + FIRST_PAUSE_S))

    def grown(self) -> Iterator[tuple[str, Path]]:
        """Yield the key and the path of each segment that has grown; it is watched no more."""
        now_s = machine.monotonic()
        for _ in range(min(MAX_LOOKS, len(self._watched))):
            one = self._watched.popleft()
            if now_s < one.look_at_s:
                self._watched.append(one)
                continue
            try:
                if has_grown(one.path, one.offset):
                    yield one.key, one.path
                    continue
                if read_header(one.path).header.is_sealed:
                    continue
            except (FileNotFoundError, ValueError):  # it was removed, or is nothing to read from
                continue
            except OSError as fault:
                _log.debug("%s cannot be read now: %s", one.path, fault)
            one.pause_s = min(2 * one.pause_s, MAX_PAUSE_S)
            one.look_at_s = now_s + one.pause_s
            self._watched.append(one)


def has_grown(path: Path, offset: int) -> bool:
    """Return whether something was written behind an offset. Raises `OSError`."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return os.pread(file, 1, offset) not in NO_DATA
    finally:
        os.close(file)
