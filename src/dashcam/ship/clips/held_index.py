"""An index of the parts of segments where a request has held lines.

A part is a quarter of a megabyte, and the index has ten bytes for each request in it; the held lines stay in their
segments. Each line is checked when it is read, so the index may name a part without a line of the request, but never
misses one. The records of a removed segment stay for a while, so that a clip can report how many lines it lacks.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from dashcam.ship.listing import open_segment
from dashcam.ship.state.checkpoint import CheckpointFile
from dashcam.spool.held import is_below, leave_all, level_of, parse_above, request_of
from dashcam.spool.line import is_line, time_of
from dashcam.spool.reader import Held, Parse, Position, ReadResult, SegmentReader

PART_BYTES = 256 << 10
MAX_EXPIRED_BYTES = 2_000_000  # of records of removed parts: 200,000 requests
HASH_BYTES = 8
MAX_LINES = 0xFFFF

_LINES = Struct("<H")
RECORD_BYTES = HASH_BYTES + _LINES.size


def record_of(request: bytes, lines: int) -> bytes:
    """Return the ten bytes that the index has for a request: the hash of its ID, and the number of its lines."""
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


class HeldLine(NamedTuple):
    """A held line that is claimed: its offset in its segment, the one after it, and its text without a newline."""

    offset: int
    number: int
    text: bytes


@dataclass(slots=True)
class _Part:
    """A part of a segment: where it begins and ends, since when, and the requests with the number of their lines.

    When nothing more comes, only ten bytes of each request are kept, in `records`.
    """

    begin: int
    end: int
    since_ns: int
    requests: Counter[bytes] = field(default_factory=Counter)
    records: bytes | None = None

    def add(self, held: Held) -> None:
        """Take lines that follow."""
        self.end = held.end
        for request, lines in held.requests.items():
            self.requests[request] += lines

    def freeze(self) -> bytes:
        """Keep the records alone, and return them."""
        if self.records is None:
            self.records = b"".join(record_of(request, lines) for request, lines in self.requests.items())
            self.requests.clear()
        return self.records

    def may_hold(self, request: bytes, hashed: bytes) -> bool:
        """Return whether it may hold lines of a request, which is given with its hash, too."""
        return request in self.requests if self.records is None else lines_in(self.records, hashed) > 0


class Place(NamedTuple):
    """A part of a segment where held lines may be."""

    segment: str
    begin: int
    end: int


class HeldIndex:
    """The held lines of one route, and the processes that wrote them, by segment. Not for use by several threads."""

    def __init__(self, file: CheckpointFile) -> None:
        self._file = file
        self._expired: deque[bytes] = deque()
        self._expired_bytes = 0
        self._parts: dict[str, list[_Part]] = {}
        self.pids: dict[str, int] = {}
        # Read by an earlier shipper, and indexed little by little.
        self._unread = {key: mark.offset for key, mark in file.checkpoint.marks.items() if mark.held}

    def add(self, segment: str, held: Held) -> None:
        """Add held lines of a segment, which follow the ones that the index has."""
        _index(self._parts.setdefault(segment, []), held)

    def index_earlier(self, paths: Mapping[str, Path]) -> Iterator[tuple[Place, Held]]:
        """Index the lines that an earlier shipper had read, newest segment first; yield the held ones text by text."""
        for segment in sorted(self._unread, key=lambda key: key.rpartition("/")[2], reverse=True):
            end = self._unread.pop(segment)
            parts: list[_Part] = []
            with suppress(OSError, ValueError, KeyError), open_segment(paths[segment]) as reader:  # else it is gone
                self.pids[segment] = reader.header.pid
                levels = [*self._file.levels_of(segment), (end, "")]
                for (begin, level), (until, _) in pairwise(levels):
                    for held in held_between(reader, begin, min(until, end), parse_above(level)):
                        _index(parts, held)
                        self._parts[segment] = parts + [
                            part for part in self._parts.get(segment, []) if part.begin >= end
                        ]
                        yield Place(segment, held.begin, held.end), held

    def places_of(self, request: bytes) -> Iterator[Place]:
        """Yield the parts that may hold lines of a request."""
        hashed = hash_of(request)
        for segment, parts in list(self._parts.items()):
            for part in parts:
                if part.may_hold(request, hashed):
                    yield Place(segment, part.begin, part.end)

    def places_before(self, segment: str, offset: int, since_ns: int) -> Iterator[Place]:
        """Yield the parts that a process filled before an offset of a segment, backwards until some time."""
        process = segment.rpartition("/")[0], self.pids.get(segment)
        own = [key for key in self._parts if (key.rpartition("/")[0], self.pids.get(key)) == process and key <= segment]
        for key in sorted(own, reverse=True):
            for part in reversed(self._parts[key]):
                end = part.end if key < segment else min(part.end, offset)
                if part.begin < end:
                    yield Place(key, part.begin, end)
                    if part.since_ns < since_ns:
                        return

    def claim(self, reader: SegmentReader, place: Place, request: bytes, since_ns: int = 0) -> Iterator[HeldLine]:
        """Claim and yield the lines of a request in a part; for an empty request, lines outside of requests."""
        for text in held_between(reader, place.begin, place.end, leave_all):
            yield from self.claim_in(place.segment, text, request, since_ns)

    def claim_in(self, segment: str, text: Held, request: bytes, since_ns: int = 0) -> Iterator[HeldLine]:
        """Claim and yield the lines of a request in a text of a segment."""
        for at, line in _lines_with(b'"id":"%b"' % request if request else b'{"time_ns":', text.text):
            offset, number = text.offset + at, text.offset + at + len(line) + 1
            level = level_of(line) if is_line(line) else ""
            is_held = level and is_below(level, self._file.level_at(segment, number)) and request_of(line) == request
            if is_held and time_of(line) >= since_ns and self._file.claim(segment, number):
                yield HeldLine(offset, number, line)

    def expired(self, request: bytes) -> int:
        """Return how many held lines of a request were removed with their segments since this shipper started."""
        wanted = hash_of(request)
        return sum(lines_in(records, wanted) for records in self._expired)

    def since_ns(self) -> int:
        """Return when the oldest line was recorded that is held; 0 without any."""
        return min((part.since_ns for parts in self._parts.values() for part in parts[:1]), default=0)

    def forget_removed(self, paths: Mapping[str, Path]) -> None:
        """Forget removed segments, but keep the number of lines of each request for a while."""
        for segment in [each for each in self._parts if each not in paths]:
            self.pids.pop(segment, None)
            records = b"".join(part.freeze() for part in self._parts.pop(segment))
            self._expired.append(records)
            self._expired_bytes += len(records)
        while self._expired_bytes > MAX_EXPIRED_BYTES and len(self._expired) > 1:
            self._expired_bytes -= len(self._expired.popleft())


def _lines_with(needle: bytes, text: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a text that contain something, each with where it begins."""
    at = text.find(needle)
    while at >= 0:
        begin, end = text.rfind(b"\n", 0, at) + 1, text.find(b"\n", at)
        yield begin, text[begin:end]
        at = text.find(needle, end)


def _index(parts: list[_Part], held: Held) -> None:
    """Take held lines into the last part, or into a new one where that is full."""
    if not parts or parts[-1].records is not None or held.end - parts[-1].begin > PART_BYTES:
        if parts:
            parts[-1].freeze()
        parts.append(_Part(held.begin, held.end, held.since_ns))
    parts[-1].add(held)


def held_between(reader: SegmentReader, begin: int, end: int, parse: Parse) -> Iterator[Held]:
    """Yield the held lines between two offsets of a segment, text by text."""

    def parse_until_end(text: bytes, offset: int, sequence: int) -> ReadResult:
        return parse(text[: max(0, end - offset)], offset, sequence)

    position = Position(begin)
    while position.offset < end:
        result = reader.read(position, is_final=True, parse=parse_until_end)
        if result.held:
            yield result.held
        if result.after.offset <= position.offset:
            return
        position = result.after
