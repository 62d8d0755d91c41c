"""Watches segments that were shipped without a seal, in case their writer lives and appends more lines.

The lock of a segment says whether its writer lives, but not every file system and platform keeps locks correctly.
"""

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dashcam import machine
from dashcam.ship.listing import has_grown, read_header

_log = logging.getLogger("dashcam.ship")

FIRST_PAUSE_S, MAX_PAUSE_S = 1.0, 300.0  # between two looks at one segment
MAX_LOOKS = 50  # at once: the next events do not wait for them


@dataclass(slots=True)
class _Watched:
    key: str
    path: Path
    offset: int
    look_at_s: float
    pause_s: float = FIRST_PAUSE_S


class UnsealedSegments:
    """The segments that are watched. Not for use by several threads."""

    def __init__(self) -> None:
        self._watched: deque[_Watched] = deque()

    def watch(self, key: str, path: Path, offset: int) -> None:
        """Watch a segment for bytes behind an offset."""
        self._watched.append(_Watched(key, path, offset, machine.monotonic() + FIRST_PAUSE_S))

    def grown(self) -> Iterator[tuple[str, Path]]:
        """Yield the key and the path of each segment that has grown, and stop watching it."""
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
            except (FileNotFoundError, ValueError):  # it was removed, or is not a segment
                continue
            except OSError as fault:
                _log.debug("%s cannot be read now: %s", one.path, fault)
            one.pause_s = min(2 * one.pause_s, MAX_PAUSE_S)
            one.look_at_s = now_s + one.pause_s
            self._watched.append(one)
