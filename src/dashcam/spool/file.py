"""One segment as its writer has it: from the creation of the file to its seal."""

import errno
import os
from collections.abc import Mapping as Fields
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dashcam import machine
from dashcam.spool.appended import AppendedFile
from dashcam.spool.limit import check_size
from dashcam.spool.segment import (
    GIVEN_UP,
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

try:
    from dashcam.spool._mapping import Mapping
except ImportError:  # there was no compiler to make it
    Mapping = None  # type: ignore[assignment, misc]

FIRST_BYTES = 64 << 10  # of a new file: a short process leaves a small one
FILE_MODE = 0o640  # the group's members may ship; the mode does not depend on the process's umask
# At once; of 2 MB the kernel makes one huge page, and may look 5 ms for it. Nobody writes them: they take no memory.
_ZEROS = memoryview(bytes(256 << 10))
_FLAGS = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}
_NOT_MAPPABLE = {errno.ENODEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """The sizes of a segment, new and grown, and whether it is filled through mapped memory where that is possible."""

    capacity_bytes: int = SEGMENT_BYTES
    is_mapped: bool = True
    first_bytes: int = FIRST_BYTES


class _Lines(Protocol):
    @property
    def end(self) -> int: ...
    @property
    def lines(self) -> int: ...
    @property
    def is_lost(self) -> bool: ...
    def append(self, line: bytes) -> None: ...
    def put(self, offset: int, data: bytes) -> None: ...
    def allow(self, limit: int) -> None: ...
    def close(self) -> None: ...


class SegmentFile:
    """A new segment below `folder`, locked by this process. `append` fills it, and raises `ValueError` when it is full.

    The file begins small and `grow`s up to its capacity. A file that somebody changed meanwhile `is_lost`: it is given
    up, and nothing that was done to it harms the process. Raises `OSError` if it cannot be created.
    """

    def __init__(
        self, folder: Path, shared: Fields[str, Any], options: SegmentOptions, took: Sequence[str] = ()
    ) -> None:
        now_ns = max(0, machine.time_ns())
        segment = new_segment_id(now_ns)
        hidden = folder / f".{segment}"
        self.path = folder / f"{segment}{SUFFIX}"
        self.capacity = options.capacity_bytes
        self.size = min(options.first_bytes, self.capacity)
        self._is_fixed = self._is_sealed = self._is_closed = False
        self._end = 0
        self.is_mapped = options.is_mapped and Mapping is not None
        try:
            self._create(hidden)
            self._lines = self._open(hidden)
            try:
                self._lines.allow(self.size)
                self._lines.append(encode_header(segment, os.getpid(), shared, now_ns, boot_id(), took=took))
                # The name comes last: a reader that sees the file finds it locked and with its header.
                hidden.rename(self.path)
            except ValueError as fault:
                raise OSError(errno.EIO, str(fault), str(hidden)) from None
            except BaseException:
                self._lines.close()
                raise
        except BaseException:
            hidden.unlink(missing_ok=True)
            raise
        self.append = self._lines.append

    def _create(self, path: Path) -> None:
        file = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, FILE_MODE)
        try:
            os.fchmod(file, FILE_MODE)
            self._identity = os.fstat(file)
            if self.is_mapped:
                _write_zeros(file, 0, self.size)
        finally:
            os.close(file)

    def _open(self, path: Path) -> _Lines:
        if self.is_mapped:
            try:
                return Mapping(path, self.capacity)
            except OSError as fault:
                if fault.errno not in _NOT_MAPPABLE:
                    raise
            self.is_mapped = False
        return AppendedFile(path, self.capacity, self.path)

    @property
    def is_lost(self) -> bool:
        """True if somebody changed the file, or the disk did not accept a page of it."""
        return self._lines.is_lost

    @property
    def growth_bytes(self) -> int:
        """The bytes that `grow` would add; 0 when the segment has its capacity, or is lost."""
        return 0 if self.is_lost or self._is_fixed else min(self.size, self.capacity - self.size)

    def grow(self) -> None:
        """Double the file; raises `OSError` if the disk has no room, or the file is not ours any more."""
        size = self.size + self.growth_bytes
        # A signal handler that logs meanwhile must not grow the file, too: its lines would be overwritten by our zeros.
        self._is_fixed = True
        try:
            if self.is_mapped:
                file = self._reopen()
                try:
                    _write_zeros(file, self.size, size)
                    if self._is_sealed:  # by a signal handler
                        os.ftruncate(file, self._end)
                finally:
                    os.close(file)
        finally:
            self._is_fixed = self._is_sealed
        self.size = size
        if not self._is_sealed:
            self._lines.allow(size)

    def _reopen(self) -> int:
        file = os.open(self.path, _FLAGS)
        status = os.fstat(file)
        if os.path.samestat(status, self._identity) and status.st_size >= self._lines.end:
            return file
        os.close(file)
        raise OSError(errno.ESTALE, "another program changed the segment", str(self.path))

    def set_dropped(self, reason: str, dropped: int) -> bool:
        """Set the count of a reason in the header; return whether it stands there now."""
        try:
            self._lines.put(count_at(reason), encode_count(dropped))
        except (OSError, ValueError):
            return False
        return not self.is_lost

    def seal(self) -> str:
        """Finish the segment and cut it to its lines; return why it had to be given up instead, or an empty string.

        Raises `OSError` while the disk does not take that: the segment stays locked, and is to be sealed later.
        """
        self._is_sealed = self._is_fixed = True
        self._lines.allow(0)  # from here each append finds no room: only now the end of the last line is known
        self._end, trouble, file, is_gone = self._lines.end, "", -1, False
        try:
            file = self._reopen()
        except OSError as fault:
            is_gone = fault.errno in _GONE
            trouble = "" if fault.errno in {errno.EMFILE, errno.ENFILE} else f"{fault.strerror}: {self.path}"
        if self.is_lost:
            trouble = f"the segment could not be written to its end: {self.path}"
        try:
            self._finish(SEALED if not trouble else GIVEN_UP, is_gone=is_gone or self.is_lost)
            if file >= 0 and not trouble:
                os.ftruncate(file, self._end)
        except OSError as fault:
            if not self._is_closed:
                raise
            trouble = trouble or f"{fault.strerror}: {self.path}"
        finally:
            if file >= 0:
                os.close(file)
        return trouble

    def _finish(self, seal: bytes, *, is_gone: bool) -> None:
        """Write the seal, and let go of the file: of one that is gone also without a seal."""
        try:
            self._lines.put(LINES_AT, encode_count(self._lines.lines - 1))
            self._lines.put(SEALED_AT, seal)
        except OSError:
            if is_gone:
                self.close()
            raise
        self.close()

    def close(self) -> None:
        """Let go of the file, which drops the lock: without a seal it is that of a process that died."""
        self._is_closed = True
        self._lines.close()


def _write_zeros(file: int, start: int, end: int) -> None:
    # Written zeros, not `posix_fallocate`: pages that are in memory already cost a third of those a line must wait for.
    # A full disk shows here as an error, not in the middle of a line.
    check_size(end)
    while start < end:
        start += os.pwrite(file, _ZEROS[: end - start], start)
