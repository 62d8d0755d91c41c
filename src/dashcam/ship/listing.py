"""The segments below a spool folder, listed again only where something has changed."""

import errno
import os
import re
import stat
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from dashcam import machine
from dashcam.spool.reader import NO_DATA, SegmentReader
from dashcam.spool.segment import FORMAT, SUFFIX, Header, decode_header

COARSE_NS = 100_000_000  # a folder's time stamp may be that much older than its last change
HEADER_BYTES = 16 << 10  # far more than a header takes


def key_of(spool: Path, path: Path) -> str:
    """Return the name that a segment goes by in checkpoints: `HOST/SERVICE/ID`."""
    return str(path.relative_to(spool)).removesuffix(SUFFIX)


_BEGIN = re.compile(rb'{"spool":([0-9]{1,9}),')


@dataclass(slots=True)
class _Folder:
    """The content of a folder, and its time stamp when it was listed; 0 when that was too soon after a change."""

    names: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()
    changed_ns: int = 0


_NOTHING = _Folder()


class SpoolListing:
    """The segments of a spool, by key, oldest first. Not for use by several threads.

    `refresh` asks each folder for its time stamp alone, while nothing comes and goes. `unreadable` has the folders that
    cannot be listed, with the reason.
    """

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._folders: dict[Path, _Folder] = {}
        self._is_whole = False  # whether each folder could be listed
        self.paths: dict[str, Path] = {}
        self.unreadable: dict[Path, str] = {}

    def refresh(self) -> bool:
        """Look again; return whether `paths` has changed."""
        if self._is_whole and self._is_as_it_was():
            return False
        self.unreadable, self._is_whole = {}, True
        former, self._folders = self._folders, {}
        services = [
            self._list(service, former)
            for host in self._list(self._spool, former).paths
            for service in self._list(host, former).paths
        ]
        if len(former) == len(self._folders) and all(former.get(path) is it for path, it in self._folders.items()):
            return False
        found = [
            (name, path)
            for service in services
            for name, path in zip(service.names, service.paths, strict=True)
            if name.endswith(SUFFIX)
        ]
        begin = len(str(self._spool)) + 1  # as `key_of`, for very many
        self.paths = {str(path)[begin : -len(SUFFIX)]: path for _, path in sorted(found, key=itemgetter(0))}
        return True

    def _is_as_it_was(self) -> bool:
        """Return whether each folder has the time stamp that it was listed with."""
        try:
            return all(each.changed_ns == os.stat(path).st_mtime_ns for path, each in self._folders.items())  # noqa: PTH116 — a third of the time
        except OSError:
            return False

    def is_hidden(self, key: str) -> bool:
        """Return whether a folder above a segment cannot be listed now."""
        return bool(self.unreadable) and not self.unreadable.keys().isdisjoint((self._spool / key).parents)

    def _list(self, path: Path, former: dict[Path, _Folder]) -> _Folder:
        """Return the content of a folder, without hidden names; the same object while it is unchanged."""
        known = former.get(path, _NOTHING)
        try:
            changed_ns = path.stat().st_mtime_ns
            if known is _NOTHING or known.changed_ns != changed_ns:
                names = tuple(sorted(name for name in os.listdir(path) if not name.startswith(".")))  # noqa: PTH208 — makes no paths
                if known is _NOTHING or known.names != names:
                    is_sure = abs(machine.time_ns() - changed_ns) > COARSE_NS
                    made = dict(zip(known.names, known.paths, strict=True))  # to make one takes a while
                    paths = tuple(made.get(name) or path / name for name in names)
                    known = _Folder(names, paths, changed_ns if is_sure else 0)
                elif abs(machine.time_ns() - changed_ns) > COARSE_NS:
                    known.changed_ns = changed_ns
        except OSError as fault:
            self._is_whole = False
            if not isinstance(fault, FileNotFoundError | NotADirectoryError):
                self.unreadable[path] = fault.strerror or str(fault)
            return _NOTHING
        self._folders[path] = known
        return known


def open_segment(path: Path) -> SegmentReader:
    """Open a segment. Raises `ValueError` when the file is not one, `OSError` when it cannot be read."""
    status = path.lstat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):  # a link, too
        raise ValueError("it is not a regular file")
    reader = SegmentReader(path)
    try:
        reader.check_place()
    except BaseException:
        reader.close()
        raise
    return reader


class HeaderFields(NamedTuple):
    """The header of a segment, and the size of the file."""

    header: Header
    bytes: int


def read_header(path: Path) -> HeaderFields:
    """Read the first line of a segment, and nothing else. Raises as `open_segment` does."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        start = os.pread(file, HEADER_BYTES, 0)
        return HeaderFields(decode_header(start[: start.find(b"\n") + 1]), os.fstat(file).st_size)
    finally:
        os.close(file)


def has_grown(path: Path, offset: int) -> bool:
    """Return whether something was written behind an offset. Raises `OSError`."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return os.pread(file, 1, offset) not in NO_DATA
    finally:
        os.close(file)


def is_of_another_version(path: Path) -> bool:
    """Return whether a file begins like a segment of a format that this version does not read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        number = _BEGIN.match(os.pread(file, 64, 0)) if stat.S_ISREG(os.fstat(file).st_mode) else None
    finally:
        os.close(file)
    return number is not None and int(number[1]) != FORMAT
