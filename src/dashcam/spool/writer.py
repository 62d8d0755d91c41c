"""Puts lines into segments: a copy into mapped memory, which the kernel keeps when the process is killed."""

import fcntl
import mmap
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from dashcam.spool.segment import (
    DROP_REASONS,
    LINE_BYTES,
    LINES_AT,
    SEALED,
    SEALED_AT,
    SEGMENT_BYTES,
    SUFFIX,
    boot_id,
    count_at,
    encode_count,
    encode_header,
    new_segment_id,
)

BLOCK_BYTES = 256 << 10  # of zeros at once; of 2 MB the kernel makes one huge page, and may look 5 ms for it
RETRY_S = 0.25  # between two attempts to open a segment where there was no room: each lists a folder


class _Segment:
    """A mapped file under the lock of this process, from opening to sealing.

    The lock is POSIX's: a forked child does not inherit it, the kernel drops it with the process. The process also
    loses it when it closes any other descriptor of the file, so it must never open a segment of its own to read.
    """

    def __init__(self, folder: Path, shared: Mapping[str, Any], size: int) -> None:
        now_ns = time.time_ns()
        segment = new_segment_id(now_ns)
        hidden = folder / f".{segment}"
        self._file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _allocate(self._file, size)
            self.map = mmap.mmap(self._file, size)
            self.map.write(encode_header(segment, os.getpid(), shared, now_ns, boot_id()))
            # The name comes last: a reader that sees the file finds it locked and with its header.
            hidden.rename(folder / f"{segment}{SUFFIX}")
        except BaseException:
            os.close(self._file)
            hidden.unlink(missing_ok=True)
            raise

    def set_dropped(self, reason: str, dropped: int) -> None:
        at, count = count_at(reason), encode_count(dropped)
        self.map[at : at + len(count)] = count

    def seal(self) -> None:
        # From here each write finds no room; only then is the end of the last line known.
        self.map.seek(0, os.SEEK_END)
        end = self.map.rfind(b"\n", 0) + 1
        lines = encode_count(self.map[:end].count(b"\n") - 1)
        self.map[LINES_AT : LINES_AT + len(lines)] = lines
        self.map[SEALED_AT : SEALED_AT + 1] = SEALED
        self.map.close()
        os.ftruncate(self._file, end)
        os.close(self._file)


def _allocate(file: int, size: int) -> None:
    # Written zeros, not `posix_fallocate`: a full disk shows here as an error either way (in a mapped file it would be
    # a signal that ends the process), and pages that are in memory already cost a third of those a line must wait for.
    zeros = memoryview(bytes(min(size, BLOCK_BYTES)))
    while size > 0:
        size -= os.write(file, zeros[:size])


def _no_segment(_: bytes) -> int:
    raise ValueError("no segment is open")


class Writer:
    """The spool of one service on one host, as seen by one process that writes to it.

    `append` may be called from any thread, from signal handlers and finalizers, in the middle of another `append`, and
    in a forked child, which goes on in a segment of its own. It takes no lock: `mmap.write` copies a line and moves on
    in one step under the interpreter lock. It never raises; what cannot be kept is counted, by reason, in the header
    of the segment. `carry_over` gives the lines that each new segment starts with.
    """

    def __init__(
        self,
        folder: Path,
        shared: Callable[[], Mapping[str, Any]],
        limit_bytes: int,
        carry_over: Callable[[], Iterable[bytes]] = tuple,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self.folder = folder
        self._shared = shared
        self._limit_bytes = limit_bytes
        self._carry_over = carry_over
        self._segment_bytes = segment_bytes
        self._reset()
        _writers.add(self)

    def __repr__(self) -> str:
        return f"<Writer {self.folder} {'open' if self._segment else 'no segment'}>"

    def _reset(self) -> None:
        """Begin with no segment; in a forked child, without a word to the parent's."""
        self._segment: _Segment | None = None
        self._write: Callable[[bytes], int] = _no_segment
        self._rotating = threading.RLock()
        self._drop_reason = ""
        self._retry_at_s = 0.0
        self._dropped = dict.fromkeys(DROP_REASONS, 0)

    def append(self, line: bytes) -> None:
        """Keep one line, newline included; when this returns, a killed process no longer takes the line with it."""
        try:
            self._write(line)
        except ValueError:
            self._append_or_rotate(line)

    def close(self) -> None:
        """Seal the segment; a later `append` opens another one."""
        with self._rotating:
            segment, self._segment, self._write = self._segment, None, _no_segment
            if segment:
                segment.seal()
                self._dropped = dict.fromkeys(DROP_REASONS, 0)

    def drop(self, reason: str) -> None:
        """Count an event that cannot be kept."""
        with self._rotating:
            self._dropped[reason] += 1
            if self._segment:
                self._segment.set_dropped(reason, self._dropped[reason])

    def _append_or_rotate(self, line: bytes) -> None:
        if len(line) > min(LINE_BYTES, self._segment_bytes // 2):
            self.drop("error")
            return
        with self._rotating:
            while not self._is_written(line):
                if reason := self._rotate():
                    self.drop(reason)
                    return

    def _is_written(self, line: bytes) -> bool:
        try:
            self._write(line)
        except ValueError:
            return False
        return True

    def _rotate(self) -> str:
        """Rotate to a new segment; return why not, or an empty string."""
        if time.monotonic() < self._retry_at_s:
            return self._drop_reason
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._drop_reason = "" if self._has_room() else "limit"
            new = None if self._drop_reason else _Segment(self.folder, self._shared(), self._segment_bytes)
        except OSError:
            self._drop_reason, new = "disk", None
        if new:
            self._switch_to(new)
        else:
            self._retry_at_s = time.monotonic() + RETRY_S
        return self._drop_reason

    def _switch_to(self, new: _Segment) -> None:
        # A signal handler may have logged since the full segment refused a line, and rotated too: its segment is the
        # current one now, and is sealed like any other.
        current, self._segment, self._write = self._segment, new, new.map.write
        if current:
            current.seal()
            self._dropped = dict.fromkeys(DROP_REASONS, 0)
        for reason, dropped in self._dropped.items():
            new.set_dropped(reason, dropped)
        for line in self._carry_over():
            self._is_written(line)

    def _has_room(self) -> bool:
        with os.scandir(self.folder) as entries:
            segments = [entry for entry in entries if entry.name.endswith(SUFFIX)]
        if (len(segments) + 1) * self._segment_bytes <= self._limit_bytes:
            return True  # none is larger: as a rule nobody has to ask how large each is
        return sum(entry.stat().st_size for entry in segments) + self._segment_bytes <= self._limit_bytes


def _forget_segments() -> None:
    for writer in _writers:
        writer._reset()  # noqa: SLF001


_writers: "weakref.WeakSet[Writer]" = weakref.WeakSet()
os.register_at_fork(after_in_child=_forget_segments)
