"""Small state on disk: a file replaced in one step, and a journal of records that each carry a checksum."""

import errno
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

FULL = {errno.ENOSPC, errno.EDQUOT}
CHECKSUM_DIGITS = 8  # CRC-32 as hexadecimal digits, before each record

_LOST = bytes(16)  # begins a part of a page that was never written
_BETWEEN = re.compile(rb"(?<=})[^,\n](?=[0-9a-f]{8} {)")  # two records, with a damaged newline between them


def replace_file(path: Path, data: bytes) -> None:
    """Give a file new content in one step; the old or the new content is on the disk, whenever the power fails.

    Raises `OSError` when the content cannot be written; the file then has its old content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    try:
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            write_all(file, data)
            os.fsync(file)
        finally:
            os.close(file)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_all(file: int, data: bytes) -> None:
    """Write to an open file until nothing is left. Raises `OSError`."""
    while data:
        data = data[os.write(file, data) :]


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def encode_record(record: Mapping[str, Any], length: int = 0) -> bytes:
    """Return a record as one line: its checksum, a space, its JSON object, a newline; spaces make it up to a length."""
    text = orjson.dumps(record, default=tuple)  # orjson knows no named tuples
    text = text.ljust(length - CHECKSUM_DIGITS - len(b" \n"))
    return b"%08x %b\n" % (zlib.crc32(text), text)


def decode_record(line: bytes) -> dict[str, Any]:
    """Return the record of a line. Raises `ValueError` when the checksum is wrong."""
    checksum, text = line[:CHECKSUM_DIGITS], line[CHECKSUM_DIGITS + 1 :].removesuffix(b"\n")
    if checksum != b"%08x" % zlib.crc32(text):
        raise ValueError("the checksum of the record is wrong")
    record = orjson.loads(text)
    if not isinstance(record, dict):
        raise ValueError("the record is not an object")
    return record


class JournalContent(NamedTuple):
    """The records of a journal, oldest first, and how many of its lines are damaged.

    An unfinished last line is not damage: a kill cut off a record that nothing relies on yet. A power cut can leave
    zeros in place of unsynced records, and later records behind them, which mean nothing without the lost ones.
    """

    records: list[dict[str, Any]]
    damaged: int = 0


def read_journal(path: Path) -> JournalContent:
    """Read a journal; one that does not exist has no records. Raises `OSError` when it cannot be read."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return JournalContent([])
    records, damaged = [], 0
    for line in data.partition(_LOST)[0].splitlines(keepends=True):
        for part in _BETWEEN.split(line):
            try:
                records.append(decode_record(part))
            except ValueError:
                damaged += part.endswith(b"\n") or not records
    return JournalContent(records, damaged or int(bool(data) and not records))


class Journal:
    """A file that records are appended to; `rewrite` replaces all of them. Not for use by several threads.

    A record that cannot be written leaves nothing behind, so that the next one stands alone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size_bytes = 0
        self._file: int | None = None
        self._is_synced = True
        self._is_torn = False

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def rewrite(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Replace the content by these records, synced. Raises `OSError`; the content is then the former one."""
        data = b"".join(map(encode_record, records))
        replace_file(self.path, data)
        self.close()
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self.size_bytes = len(data)
        self._is_synced, self._is_torn = True, False

    def resume(self) -> None:
        """Go on behind the records that are there, which takes no room. Raises `OSError`."""
        known = self.path.read_bytes().partition(_LOST)[0]
        whole = known.rpartition(b"\n")[:2]  # a kill may have cut off the last one
        self.close()
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self.size_bytes = sum(map(len, whole))
        self._is_synced, self._is_torn = False, True

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record; a killed process no longer takes it with it. Raises `OSError`; nothing is added then."""
        if self._file is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        data = encode_record(record)
        if self._is_torn:  # a full disk took a part of the record before
            os.ftruncate(self._file, self.size_bytes)
        self._is_torn = True
        if os.write(self._file, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._is_torn = False
        self.size_bytes += len(data)
        self._is_synced = False

    def sync(self) -> None:
        """Sync appended records to the disk. Raises `OSError`."""
        if self._file is not None and not self._is_synced:
            os.fsync(self._file)
            self._is_synced = True

    def is_in_place(self) -> bool:
        """Return whether the file that is open is still the one of that name."""
        try:
            return self._file is not None and os.path.samestat(os.fstat(self._file), self.path.stat())
        except FileNotFoundError:
            return False
