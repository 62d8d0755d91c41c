"""Fills a file by one system call a line, where memory cannot be mapped or `_mapping.c` was not compiled.

It does what `_mapping.Mapping` does, and a line takes about 3 µs instead of 0.1.
"""

import errno
import os
import weakref
from contextlib import suppress
from pathlib import Path

from dashcam import forks
from dashcam.spool.limit import check_size
from dashcam.spool.lock import lock
from dashcam.spool.turn import Turn


class AppendedFile:
    """A locked file that grows with each line.

    The application may close our descriptor and open a file of its own under the same number, so each line is written
    only after a look at what file that is.
    """

    def __init__(self, path: Path, capacity: int, final_path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        self._path = final_path  # its name from the first line on
        self._identity = os.fstat(self._file)
        self._turn = Turn()
        self._capacity = capacity
        self.end = self.lines = self.limit = 0
        self.is_lost = False
        try:
            lock(self._file)
            os.ftruncate(self._file, 0)
        except OSError:
            os.close(self._file)
            raise
        _files.add(self)

    def append(self, line: bytes) -> None:
        """Write a line; raises `ValueError` if there is no room or the file is lost."""
        forks.begin_child()
        if not self._turn.begin():
            raise ValueError("another thread waits for the disk")
        try:
            self._write(line)
        except OSError as fault:
            self.limit = self.end  # full, as far as this file goes: another attempt may take milliseconds
            raise ValueError(f"the line cannot be written: {fault}") from None
        finally:
            self._turn.end()

    def _write(self, line: bytes) -> None:
        if self.is_lost or len(line) > self.limit - self.end:
            raise ValueError("no room for the line")
        check_size(self.end + len(line))
        status = os.fstat(self._file)
        is_ours = os.path.samestat(status, self._identity) and status.st_nlink > 0
        if not is_ours or status.st_size != self.end:
            self.is_lost = True
            raise ValueError("another program changed the file")
        if os.write(self._file, line) < len(line):  # the disk is full
            self.limit = self.end
            os.ftruncate(self._file, self.end)
            raise ValueError("no room for the line on the disk")
        self.end += len(line)
        self.lines += 1

    def put(self, offset: int, data: bytes) -> None:
        """Replace bytes before the end; raises `OSError`."""
        check_size(offset + len(data))
        # Linux appends what is written to a file that is open for appending, wherever it should go.
        file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if os.path.samestat(os.fstat(file), self._identity):
                os.pwrite(file, data, offset)
        finally:
            os.close(file)

    def allow(self, limit: int) -> None:
        """Set how many bytes may be written; raises `OSError` while another thread waits for the disk."""
        if not self._turn.begin():
            raise BlockingIOError(errno.EAGAIN, "another thread waits for the disk", str(self._path))
        self.limit = min(limit, self._capacity)
        self._turn.end()

    def close(self) -> None:
        """Close the file, which drops the lock."""
        if not self._turn.begin():
            return  # the thread that writes would write to a file that gets the number next
        file, self._file = self._file, -1
        self.limit = 0
        self.is_lost = True
        self._turn.end()
        if file >= 0:
            with suppress(OSError):  # the application closed it
                if os.path.samestat(os.fstat(file), self._identity):
                    os.close(file)


def _close_in_child() -> None:
    # A child that kept the descriptor would hold the lock of a parent that was killed.
    for file in list(_files):
        file._turn = Turn()  # noqa: SLF001 — another thread of the parent may have held it
        file.close()


_files: "weakref.WeakSet[AppendedFile]" = weakref.WeakSet()
forks.in_child(_close_in_child)
