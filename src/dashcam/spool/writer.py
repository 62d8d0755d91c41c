"""Puts lines into segments: a copy into mapped memory, which the kernel keeps when the process is killed."""

import atexit
import errno
import os
import stat
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dashcam import forks, machine
from dashcam.spool.drops import DropCounts
from dashcam.spool.file import FIRST_BYTES, SegmentFile, SegmentOptions
from dashcam.spool.line import is_start
from dashcam.spool.segment import DROP_REASONS, LINE_BYTES, MAX_SEGMENT_BYTES, SUFFIX
from dashcam.spool.turn import Turn, print_error

RETRY_S = 0.25  # between two attempts to get room where there was none: each lists a folder
QUIET_S = 20.0  # between two reports of trouble that comes and goes
MAX_UNSEALED = 16  # segments that wait for a disk to take their seals: each keeps a file open
LEFT_SHARE = 0.04  # of the disk, for the state of the shipper, which makes room at 0.05
MAX_LEFT_BYTES = 32 << 20  # twice the write-ahead log of a local store on the same disk

_SHARED = stat.S_ISGID | stat.S_IWGRP
_REASONS = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ELOOP), "access"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN), "system"),
}


def _report(text: str) -> None:
    try:
        print_error(f"dashcam: {text}")
    except Exception:  # noqa: BLE001 — closed, or in the middle of a write; there is nowhere else to report it
        return


def _no_segment(_: bytes) -> None:
    raise ValueError("no segment is open")


class Writer:
    """The spool of one service on one host, as seen by one process that writes to it.

    `append` may be called from any thread, from signal handlers and finalizers, in the middle of another `append`, and
    in a forked child, which goes on in a segment of its own. It takes no lock: a line is copied and the end moved on in
    one step under the interpreter lock. It never raises: lines that cannot be kept are reported on standard error, and
    counted by reason in the header of the segment or, without a segment, beside it. `carry_over` returns the lines that
    each new segment starts with.
    """

    def __init__(
        self,
        folder: Path,
        shared: Callable[[], Mapping[str, Any]],
        limit_bytes: int,
        carry_over: Callable[[], Iterable[bytes]] = tuple,
        options: SegmentOptions = SegmentOptions(),  # noqa: B008 — it is frozen
    ) -> None:
        self.folder = folder
        self._shared = shared
        self._limit_bytes = limit_bytes
        self._carry_over = carry_over
        self._options = options
        self._reset()
        _writers.add(self)

    def __repr__(self) -> str:
        return f"<Writer {self.folder} {'open' if self._segment else 'no segment'}>"

    def _reset(self) -> None:
        """Begin with no segment; in a forked child, without touching the parent's."""
        self._segment: SegmentFile | None = None
        self._unsealed: list[SegmentFile] = []
        self._write: Callable[[bytes], None] = _no_segment
        self._turn = Turn()
        self._drop_reason = self._trouble = ""
        self._retry_at_s = 0.0
        self._reported_at_s = -QUIET_S
        self._is_reported = self._is_error_reported = False
        self._dropped = dict.fromkeys(DROP_REASONS, 0)
        self._dropped_since_report = 0
        self._uncounted: deque[str] = deque()  # reasons of drops; the thread with the turn counts them
        self._is_counting = True  # in the header
        self._drops = DropCounts(self.folder)

    def append(self, line: bytes) -> None:
        """Keep one line, newline included; when this returns, a killed process no longer takes the line with it."""
        try:
            self._write(line)
        except ValueError:
            self._append_slowly(line)

    def close(self) -> None:
        """Seal the segment; a later `append` opens a new one."""
        forks.begin_child()
        if self._turn.begin():
            try:
                segment, self._segment, self._write = self._segment, None, _no_segment
                self._seal(segment)
                self._drops.flush()
            finally:
                self._turn.end()
        self._count()

    def drop(self, reason: str) -> None:
        """Count an event that cannot be kept; the first that could not be made a line is reported."""
        if reason == "error" and not self._is_error_reported:
            self._is_error_reported = True
            _report("an event could not be recorded, which is a fault of Dashcam; dashcam status counts such events")
        forks.begin_child()
        self._uncounted.append(reason)
        self._count()

    def _count(self) -> None:
        """Count the events that were dropped, unless another thread keeps the turn, which then counts them."""
        while self._uncounted and self._turn.begin():
            try:
                while self._uncounted:
                    self._count_drop(self._uncounted.popleft())
            finally:
                self._turn.end()

    def _count_drop(self, reason: str) -> None:
        self._dropped_since_report += 1
        segment = self._segment
        # Without a mapping, each change of a header is a system call, and takes 5 ms on a full btrfs.
        is_quick = segment and (segment.is_mapped or reason != "disk")
        if segment and is_quick and self._is_counting and segment.set_dropped(reason, self._dropped[reason] + 1):
            self._dropped[reason] += 1
        else:
            self._drops.add(reason)

    def _append_slowly(self, line: bytes) -> None:
        """Grow the segment or rotate to a new one until the line is kept, or count it as dropped."""
        forks.begin_child()
        if len(line) > min(LINE_BYTES, self._options.capacity_bytes // 2):
            self.drop("error")
            return
        is_event = not is_start(line)  # the mark of a request is not an event
        if not self._turn.begin():
            if is_event:
                self.drop("system")
            return
        try:
            reason = ""
            while not reason and not self._is_written(line):
                reason = self._make_room()
            if reason and is_event:
                self.drop(reason)
            report = self._due_report(reason)
        finally:
            self._turn.end()
        self._count()
        if report:
            _report(report)

    def _is_written(self, line: bytes) -> bool:
        try:
            self._write(line)
        except ValueError:
            return False
        return True

    def _make_room(self) -> str:
        """Get room for a line; return why there is none, or an empty string."""
        if machine.monotonic() < self._retry_at_s:
            return self._drop_reason
        try:
            if self._unsealed:
                self._seal()
            if self._has_grown():
                return ""
            self._drop_reason = self._rotate()
            self._trouble = "its spool has reached DASHCAM_SPOOL_LIMIT" if self._drop_reason else self._trouble
        except OSError as fault:
            self._drop_reason = _REASONS.get(fault.errno or 0, "disk")
            self._trouble = str(fault)
        if self._drop_reason:
            self._retry_at_s = machine.monotonic() + RETRY_S
        return self._drop_reason

    def _has_grown(self) -> bool:
        segment = self._segment
        if not segment or not segment.growth_bytes or not self._has_room(segment.growth_bytes):
            return False
        try:
            _check_disk(self.folder, segment.growth_bytes)
            segment.grow()
        except OSError:  # a new segment needs less room, and reports its own fault
            return False
        return True

    def _rotate(self) -> str:
        """Rotate to a new segment; return why not, or an empty string. Raises `OSError`."""
        _make_folder(self.folder)
        carried = list(self._carry_over())
        # Marks of open requests fill a third of a segment at most, however many there are.
        capacity = min(max(self._options.capacity_bytes, 3 * sum(map(len, carried))), MAX_SEGMENT_BYTES)
        options, batch = replace(self._options, capacity_bytes=capacity), self._drops.batch()
        took = [batch] if batch else []
        new = self._half_grown(options, took) or self._small(options, took)
        if new is None:
            return "limit"
        self._switch_to(new, carried)
        self._is_counting = self._drops.take(batch, self._count_taken)
        return ""

    def _half_grown(self, options: SegmentOptions, took: list[str]) -> SegmentFile | None:
        """Return a segment of half its size for a process that has filled one, where there is room: it grows once."""
        first_bytes = options.capacity_bytes // 2
        if not self._segment or first_bytes <= FIRST_BYTES or not self._has_room(first_bytes):
            return None
        try:
            _check_disk(self.folder, first_bytes)
            return SegmentFile(self.folder, self._shared(), replace(options, first_bytes=first_bytes), took)
        except OSError:  # a small segment needs less room, and reports its own fault
            return None

    def _small(self, options: SegmentOptions, took: list[str]) -> SegmentFile | None:
        """Return a new segment; None at the limit. Raises `OSError`."""
        first_bytes = min(FIRST_BYTES, options.capacity_bytes)
        if not self._has_room(first_bytes):
            return None
        _check_disk(self.folder, first_bytes)
        return SegmentFile(self.folder, self._shared(), options, took)

    def _count_taken(self, counts: Mapping[str, int]) -> None:
        for reason, count in counts.items():
            total = self._dropped[reason] + count
            if count and self._segment and self._segment.set_dropped(reason, total):
                self._dropped[reason] = total
            else:
                self._drops.keep(reason, count)

    def _switch_to(self, new: SegmentFile, carried: Iterable[bytes]) -> None:
        # A signal handler may have logged since the full segment refused a line, and rotated too: its segment is the
        # current one now, and is sealed like any other.
        current, self._segment, self._write = self._segment, new, new.append
        self._seal(current)
        room = new.capacity // 3
        for line in carried:
            room -= len(line)
            if room < 0:
                return
            while not self._is_written(line):
                if not self._has_grown():
                    return

    def _seal(self, current: SegmentFile | None = None) -> None:
        """Seal the current segment, and those before it whose seals the disk did not take.

        A request that goes on in a later segment looks aborted in one without a seal.
        """
        if current:
            self._dropped, self._trouble = dict.fromkeys(DROP_REASONS, 0), ""
        segments, self._unsealed = [*self._unsealed, *([current] if current else ())], []
        for segment in segments:
            try:
                self._trouble = segment.seal() or self._trouble
            except OSError as fault:
                self._trouble = f"{fault.strerror}: {segment.path}"
                self._unsealed.append(segment)
        while len(self._unsealed) > MAX_UNSEALED:
            self._unsealed.pop(0).close()

    def _has_room(self, more_bytes: int) -> bool:
        try:
            with os.scandir(self.folder) as entries:
                segments = [entry for entry in entries if entry.name.endswith(SUFFIX)]
        except FileNotFoundError:  # the folder was removed, and will be created again
            return True
        if (len(segments) + 1) * self._options.capacity_bytes <= self._limit_bytes:
            return True  # usually no segment is larger, so their sizes need not be read
        return sum(map(_disk_bytes, segments)) + more_bytes <= self._limit_bytes

    def _due_report(self, reason: str) -> str:
        """Return the report that is due: that events are dropped, or no longer dropped; empty for none."""
        service, now_s = self.folder.name, machine.monotonic()
        if not reason and self._is_reported:
            self._is_reported, dropped, self._dropped_since_report = False, self._dropped_since_report, 0
            return f"events of {service} are recorded again; {dropped} were dropped"
        trouble, self._trouble = self._trouble, ""
        if not trouble or self._is_reported or now_s - self._reported_at_s < QUIET_S:
            return ""
        self._reported_at_s, self._is_reported = now_s, bool(reason)
        return f"events of {service} are dropped and counted: {trouble}" if reason else trouble


def _disk_bytes(entry: "os.DirEntry[str]") -> int:
    try:
        # Blocks, because a file with a hole takes less of the disk than its length.
        return entry.stat(follow_symlinks=False).st_blocks * 512
    except FileNotFoundError:  # the shipper removed it meanwhile
        return 0


def _check_disk(folder: Path, more_bytes: int) -> None:
    """Raise `OSError` when the disk has no room for more bytes beside the reserve of the shipper.

    Not on a disk without a count of inodes, such as btrfs: freed blocks count as free only after its next commit.
    """
    disk = os.statvfs(folder)
    left_bytes = min(int(disk.f_blocks * disk.f_frsize * LEFT_SHARE), MAX_LEFT_BYTES)
    if disk.f_files and disk.f_bavail * disk.f_frsize < more_bytes + left_bytes:
        raise OSError(
            errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}, except for the room that the shipper needs", str(folder)
        )


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, with modes that do not depend on the umask.

    The group may read. It may also write where the folder above is the group's (set-group-ID and writable for it), as
    an administrator sets it up for services and a shipper of different users.
    """
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    try:
        folder.mkdir(0o750)
    except FileExistsError:
        if folder.is_dir():
            return
        raise
    is_shared = folder.parent.stat().st_mode & _SHARED == _SHARED
    folder.chmod(folder.stat().st_mode & stat.S_ISGID | (0o770 if is_shared else 0o750))


def _forget_segments() -> None:
    for writer in _writers:
        writer._reset()  # noqa: SLF001


@atexit.register
def _seal_segments() -> None:
    """At the end of a process, cut each segment to its lines; finalizers that log later open a new one."""
    for writer in list(_writers):
        # A request that is still open is aborted, and only a segment without a seal says so.
        if not any(True for _ in writer._carry_over()):  # noqa: SLF001
            writer.close()
        writer._seal()  # noqa: SLF001
        writer._drops.flush()  # noqa: SLF001


_writers: "weakref.WeakSet[Writer]" = weakref.WeakSet()
forks.in_child(_forget_segments)
