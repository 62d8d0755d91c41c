"""Counts of events that were dropped without a segment whose header could count them.

They are in a small file in the folder of the service, `drops`, which is created early, so that it can be changed in
place on a full disk. If it cannot be written, they are in the folder for temporary files. The next segment of the
service moves them into its header, which names their batch: after a kill or a power cut between the two writes, counts
that both the file and the header have are counted once.
"""

import errno
import os
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from dashcam import machine
from dashcam.codec import orjson
from dashcam.spool.limit import check_size
from dashcam.spool.lock import lock
from dashcam.spool.reader import SegmentReader
from dashcam.spool.segment import DROP_REASONS, SUFFIX, encode_count

NAME = "drops"
MODE = 0o640
BATCH_BYTES = 8  # of the random name of a batch
MAX_QUICK_S = 0.001  # to write the counts; where it takes longer, time after time, it is done less often:
MAX_SLOWDOWN = 50  # the process spends at most a fiftieth of its time on it
ATTEMPTS, ATTEMPT_S = 20, 0.0005  # to lock the file: others hold it for some microseconds
_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_MAX_BYTES = 64 << 10


class _Counts(NamedTuple):
    """The content of a file: counts by reason, and the name of the batch; an empty name is replaced by a new one."""

    dropped: Mapping[str, int]
    batch: str = ""
    folder: str = ""


_Change = Callable[[_Counts], _Counts]


class DropCounts:
    """The counts of one service; never raises. Counts that cannot be written stay in memory until they can."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / NAME
        self._pending: Counter[str] = Counter()
        self._batch = ""
        self._flush_at_s = 0.0
        self._took_s = (0.0, 0.0, 0.0)

    def add(self, reason: str) -> None:
        """Count an event; it is written at once, unless writing is slow, as it is on a full disk of some kinds."""
        self._pending[reason] += 1
        if (started_s := machine.monotonic()) < self._flush_at_s and not sys.is_finalizing():
            return
        self.flush()
        self._took_s = (*self._took_s[1:], machine.monotonic() - started_s)
        if (took_s := min(self._took_s)) > MAX_QUICK_S:
            self._flush_at_s = machine.monotonic() + MAX_SLOWDOWN * took_s

    def keep(self, reason: str, count: int) -> None:
        """Remember a count that a header did not take, to write it later."""
        self._pending[reason] += count

    def flush(self) -> None:
        """Write the pending counts."""
        if not self._pending:
            return
        pending: Counter[str] = Counter()

        def added(found: _Counts) -> _Counts:
            nonlocal pending
            pending, self._pending = pending + self._pending, Counter()
            if found.batch != self._batch and _is_taken(self._folder, found):
                found = _Counts({})  # a header has them: a kill or a power cut left them in the file
            self._batch = found.batch or machine.token_hex(BATCH_BYTES)
            return found._replace(dropped=Counter(found.dropped) + pending, batch=self._batch)

        for path in (self._path, _path_elsewhere(self._folder)):
            try:
                _change(path, self._folder, added)
            except OSError:
                continue
            return
        self._pending += pending

    def batch(self) -> str:
        """Return the batch for the header of the next segment to take over, of one file; empty if there is none.

        Makes the file, too, while there is room.
        """
        found: list[_Counts | None] = []
        with suppress(OSError):  # without room, drops are counted elsewhere
            found.append(_change(self._path, self._folder, lambda known: known))
        found.append(_read(_path_elsewhere(self._folder)))
        return next((each.batch for each in found if each and any(each.dropped.values())), "")

    def take(self, batch: str, give: Callable[[Mapping[str, int]], None]) -> bool:
        """Move the counts of a batch, and the pending ones, into the header that names the batch; reset them.

        Return false if the file could not be written. Then that header must not count anything, because its counts
        would say that the batch was moved.
        """
        is_taken = not batch
        for path in (self._path, _path_elsewhere(self._folder)) if batch else ():
            with suppress(OSError):  # it is not there, or stays as it is, and goes on counting
                found = _read(path)
                if not found or found.batch != batch:
                    continue
                has_header = _is_taken(self._folder, found)
                taken = _change(path, self._folder, lambda known: _Counts({}) if known.batch == batch else known)
                if taken.batch == batch:
                    is_taken = True
                    if not has_header:
                        give(taken.dropped)
                    if path is not self._path:
                        path.unlink()
        if is_taken:
            pending, self._pending = self._pending, Counter()
            give(pending)
        return is_taken


def _is_taken(folder: Path, counts: _Counts) -> bool:
    """Return whether a header has taken a batch over, and has its counts.

    Raises `OSError` when the disk fails, so that this is unknown. A file without read permission is another service's.
    """
    paths: list[Path] = []
    with suppress(FileNotFoundError, PermissionError):
        paths = [path for path in folder.iterdir() if path.suffix == SUFFIX] if any(counts.dropped.values()) else []
    for path in paths:
        # Gone, or not a segment.
        with suppress(FileNotFoundError, PermissionError, ValueError), SegmentReader(path) as reader:
            header = reader.header
            has_all = all(header.dropped.get(reason, 0) >= count for reason, count in counts.dropped.items())
            if counts.batch in header.took and has_all:
                return True
    return False


def read_drops(spool: Path) -> Mapping[str, int]:
    """Return the events dropped by the services below a spool that no header counts, by reason."""
    total: Counter[str] = Counter()
    paths = list(_paths_elsewhere(spool))
    with suppress(OSError):  # it cannot be read now: some counts are elsewhere
        paths += spool.glob(f"*/*/{NAME}")
    for path in paths:
        if not (found := _read(path)):
            continue
        # A shared disk may be mounted elsewhere in the container of the service.
        folder = path.parent if path.name == NAME else Path(os.fsdecode(found.folder.encode("latin-1")))
        is_taken = False
        with suppress(OSError):  # without a readable header, rather count twice than not at all
            is_taken = _is_taken(folder, found)
        if not is_taken:
            total.update(found.dropped)
    return total


def sync_counts(folder: Path, took: Collection[str]) -> None:
    """Sync the removal of counts before the header that names their batches is removed.

    A power cut could bring them back, and count them twice. Raises `OSError` when the disk fails.
    """
    for path in (folder / NAME, _path_elsewhere(folder)):
        with suppress(FileNotFoundError, PermissionError):
            if (found := _read(path)) and found.batch in took and _is_taken(folder, found):
                _change(path, folder, lambda known: _Counts({}) if known.batch in took else known)
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                os.fsync(file)
            finally:
                os.close(file)


def _read(path: Path) -> _Counts | None:
    """Return the content of a file; `None` where there is none, or it is not such a file."""
    with suppress(OSError, ValueError):
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            return _decode(os.pread(file, _MAX_BYTES, 0))
        finally:
            os.close(file)
    return None


def is_readable(path: Path) -> bool:
    """Return whether a file has counts. Raises `OSError` when it cannot be read."""
    data = path.read_bytes()[:_MAX_BYTES]
    try:
        return not data or bool(_decode(data))
    except ValueError:
        return False


def _change(path: Path, folder: Path, change: _Change) -> _Counts:
    """Change the counts in a file atomically for all processes of the service; return the previous ones."""
    file = os.open(path, _FLAGS | os.O_CREAT, MODE)
    try:
        _lock(file)
        if not os.path.samestat(os.fstat(file), path.stat()):
            raise FileNotFoundError(errno.ENOENT, "the counts were taken over meanwhile", str(path))
        data = os.pread(file, _MAX_BYTES, 0)
        if not data:
            os.fchmod(file, MODE)
        try:
            before = _decode(data)
        except ValueError:
            before = _Counts({})
        after = change(before)
        if after is not before or not before.batch:
            text = _encode(folder, after.dropped, after.batch or machine.token_hex(BATCH_BYTES))
            check_size(len(text))
            if os.pwrite(file, text, 0) < len(text):
                os.ftruncate(file, 0)
                raise OSError("the disk is full")
            if len(data) > len(text):  # the rest of a damaged file
                os.ftruncate(file, len(text))
        return before
    finally:
        os.close(file)


def _lock(file: int) -> None:
    for _ in range(1 if sys.is_finalizing() else ATTEMPTS):  # then a stopped thread may hold it
        with suppress(BlockingIOError, PermissionError):  # POSIX allows either for a lock that is held
            return lock(file)
        machine.sleep(ATTEMPT_S)
    raise BlockingIOError("the counts are locked by another process")


def _encode(folder: Path, counts: Mapping[str, int], batch: str) -> bytes:
    # Numbers of fixed width: a later count never needs another block of a full disk.
    numbers = ",".join(f'"{reason}":{encode_count(counts.get(reason, 0)).decode()}' for reason in DROP_REASONS)
    return b'{"dropped":{%b},"batch":"%b","folder":%b}\n' % (
        numbers.encode(),
        batch.encode(),
        orjson.dumps(_absolute(folder)),
    )


def _decode(data: bytes) -> _Counts:
    fields = orjson.loads(data)
    if not isinstance(fields, dict) or not isinstance(fields.get("dropped"), dict):
        raise ValueError("these are not counts of dropped events")
    counts = {reason: fields["dropped"].get(reason, 0) for reason in DROP_REASONS}
    if not all(isinstance(count, int) and count >= 0 for count in counts.values()):
        raise ValueError("these are not counts of dropped events")
    return _Counts(counts, str(fields.get("batch", "")), str(fields.get("folder", "")))


def _path_elsewhere(folder: Path) -> Path:
    return _named_elsewhere(folder, os.getuid(), _temporary_folder())


@cache  # asked with each new segment
def _named_elsewhere(folder: Path, user: int, temporary: str) -> Path:
    return Path(temporary, f"dashcam-drops-{user}-{zlib.crc32(_absolute(folder).encode()):08x}")


def _absolute(folder: Path) -> str:
    return os.fsencode(folder.absolute()).decode("latin-1")


def _temporary_folder() -> str:
    return os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 — only counts stand there, and no link is followed


def _paths_elsewhere(spool: Path) -> Iterator[Path]:
    prefix = _absolute(spool) + "/"
    for path in Path(_temporary_folder()).glob("dashcam-drops-*"):
        with suppress(OSError, ValueError):  # another's, or not such a file
            if not path.is_symlink() and path.is_file() and _decode(path.read_bytes()).folder.startswith(prefix):
                yield path
