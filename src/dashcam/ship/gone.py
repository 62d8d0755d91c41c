"""The held lines of segments that are gone: of the last requests that had some there, how many. One for each route.

`clips/ROUTE.gone` has ten bytes for each request in a part of a segment: a hash of its ID, and the number of lines. A
kill may cut off the end. It only serves to say how much a clip lacks: how many expired in all is in the account.
"""

import logging
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from struct import Struct

from dashcam.ship.journal import replace_file, write_all

MAX_GONE = 200_000  # requests in parts
HASH_BYTES = 8
MAX_LINES = 0xFFFF

_LINES = Struct("<H")
RECORD_BYTES = HASH_BYTES + _LINES.size

_log = logging.getLogger("dashcam.ship")


def record_of(request: bytes, lines: int) -> bytes:
    """Return the ten bytes of a request, the same in every process."""
    return hash_of(request) + _LINES.pack(min(lines, MAX_LINES))


def hash_of(request: bytes) -> bytes:
    """Return the hash of a request's ID."""
    return blake2b(request, digest_size=HASH_BYTES).digest()


def lines_in(records: bytes, wanted: bytes) -> int:
    """Return how many lines the records have for a hash."""
    lines, at = 0, -1
    while (at := records.find(wanted, at + 1)) >= 0:
        if at % RECORD_BYTES == 0:
            lines += _LINES.unpack_from(records, at + HASH_BYTES)[0]
    return lines


class Gone:
    """The records of a route, in memory and in their file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts: deque[bytes] = deque()
        self._bytes = self._file_bytes = 0
        with suppress(OSError):
            records = path.read_bytes()
            self._file_bytes = len(records)
            self._take(records[: len(records) // RECORD_BYTES * RECORD_BYTES][-MAX_GONE * RECORD_BYTES :])

    def add(self, parts: Iterable[bytes]) -> None:
        """Take the records of parts that are gone; without room for the file, they are remembered until a restart."""
        new = b"".join(parts)
        self._take(new)
        torn_bytes = self._file_bytes % RECORD_BYTES
        try:
            if torn_bytes or self._file_bytes > 2 * MAX_GONE * RECORD_BYTES:
                replace_file(self._path, b"".join(self._parts))
                self._file_bytes = self._bytes
            elif new:
                with self._path.open("ab") as file:
                    write_all(file.fileno(), new)
                self._file_bytes += len(new)
        except OSError as fault:
            _log.warning("%s: %s", fault.filename, fault.strerror)

    def _take(self, records: bytes) -> None:
        self._parts.append(records)
        self._bytes += len(records)
        while self._bytes > MAX_GONE * RECORD_BYTES and len(self._parts) > 1:
            self._bytes -= len(self._parts.popleft())

    def lines_of(self, request: bytes) -> int:
        """Return how many lines of a request are known to be gone."""
        wanted = hash_of(request)
        return sum(lines_in(records, wanted) for records in self._parts)
