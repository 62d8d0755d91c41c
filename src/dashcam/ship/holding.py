"""Finds the held lines of a request again: an index of which request has lines in which part of which segment.

A part is a quarter of a megabyte, and for each request in it the index has ten bytes: the held lines themselves stay in
their segments. What is read is checked line by line, so the index may name a part too many, and never one too few.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dashcam.ship.checkpoint import CheckpointFile
from dashcam.ship.gone import Gone, hash_of, lines_in, record_of
from dashcam.ship.listing import open_segment
from dashcam.spool.held import as_one_run, count_requests, is_below, level_of, request_of
from dashcam.spool.line import time_of
from dashcam.spool.reader import HeldRun, Position, SegmentReader

PART_BYTES = 256 << 10


class HeldLine(NamedTuple):
    """A held line that is claimed: its offset in its segment, the one after it, and its text without a newline."""

    offset: int
    number: int
    text: bytes


@dataclass(slots=True)
class _Part:
    """A part of a segment: where it begins and ends, since when, and the requests with the number of their lines.

    When nothing more comes, only ten bytes of each request are kept.
    """

    begin: int
    end: int
    since_ns: int
    requests: Counter[bytes] = field(default_factory=Counter)
    records: bytes = b""

    def freeze(self) -> None:
        """Keep the records alone."""
        if self.requests:
            self.records = b"".join(record_of(request, lines) for request, lines in self.requests.items())
            self.requests.clear()

    def count(self, request: bytes) -> int:
        """Return how many lines of a request it may hold."""
        return self.requests[request] if self.requests else lines_in(self.records, hash_of(request))


class Place(NamedTuple):
    """A part of a segment where held lines may be."""

    segment: str
    begin: int
    end: int


class Holding:
    """The held lines of one route, and the processes that wrote them, by segment. Not for use by several threads."""

    def __init__(self, file: CheckpointFile, gone: Path) -> None:
        self._file = file
        self._gone = Gone(gone)
        self._parts: dict[str, list[_Part]] = {}
        self.pids: dict[str, int] = {}
        # What a shipper before this one had read: it is indexed little by little.
        self._unread = {key: mark.offset for key, mark in file.checkpoint.marks.items() if mark.held}

    def add(self, segment: str, run: HeldRun) -> Counter[bytes]:
        """Take a run into the index; returns the requests that may have lines in it."""
        requests = count_requests(run.text)
        parts = self._parts.setdefault(segment, [])
        if not parts or not parts[-1].requests or run.after.offset - parts[-1].begin > PART_BYTES:
            if parts:
                parts[-1].freeze()
            parts.append(_Part(run.offset, run.after.offset, time_of(run.text)))
        parts[-1].end = run.after.offset
        parts[-1].requests.update(requests)
        return requests

    def index_former(self, paths: Mapping[str, Path]) -> Iterator[tuple[Place, Counter[bytes]]]:
        """Index what a shipper before this one had read, newest segment first; yield each part with its requests."""
        for segment in sorted(self._unread, key=lambda key: key.rpartition("/")[2], reverse=True):
            end = self._unread.pop(segment)
            parts: list[_Part] = []
            with suppress(OSError, ValueError, KeyError), open_segment(paths[segment]) as reader:  # else it is gone
                self.pids[segment] = reader.header.pid
                for run in runs_between(reader, 0, end):
                    requests = count_requests(run.text)
                    part = _Part(run.offset, run.after.offset, time_of(run.text), requests.copy())
                    part.freeze()
                    parts.append(part)
                    self._parts[segment] = parts + [each for each in self._parts.get(segment, []) if each.begin >= end]
                    yield Place(segment, part.begin, part.end), requests

    def places_of(self, request: bytes) -> Iterator[Place]:
        """Yield the parts that may hold lines of a request."""
        for segment, parts in list(self._parts.items()):
            for part in parts:
                if part.count(request):
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
        """Claim and yield the lines of a request in a part; for an empty one, those outside of any since some time."""
        for run in runs_between(reader, place.begin, place.end):
            text = run.text[: place.end - run.offset]
            yield from self.claim_in(place.segment, run._replace(text=text), request, since_ns)

    def claim_in(self, segment: str, run: HeldRun, request: bytes, since_ns: int = 0) -> Iterator[HeldLine]:
        """Claim and yield the lines of a request in a text of a segment."""
        needle, offset = b'"id":"%b"' % request, run.offset
        for line in run.text.split(b"\n")[:-1]:
            number = offset + len(line) + 1
            if needle in line if request else time_of(line) >= since_ns:
                level = level_of(line)
                is_held = level and is_below(level, self._file.level_at(segment, number))
                if is_held and request_of(line) == request and self._file.claim(segment, number):
                    yield HeldLine(offset, number, line)
            offset = number

    def expired(self, request: bytes) -> int:
        """Return how many lines of a request are known to have gone with their segments."""
        return self._gone.lines_of(request)

    def since_ns(self) -> int:
        """Return when the oldest line was recorded that is held; 0 without any."""
        return min((part.since_ns for parts in self._parts.values() for part in parts[:1]), default=0)

    def forget(self, paths: Mapping[str, Path]) -> None:
        """Forget the segments that are gone, but for a while not how many lines each request had in them."""
        for segment in [each for each in self._parts if each not in paths]:
            self.pids.pop(segment, None)
            parts = self._parts.pop(segment)
            for part in parts:
                part.freeze()
            self._gone.add(part.records for part in parts)


def runs_between(reader: SegmentReader, begin: int, end: int) -> Iterator[HeldRun]:
    """Yield the text between two offsets of a segment, piece by piece, whatever its lines are."""
    position = Position(begin)
    while position.offset < end:
        result = reader.read(position, is_final=True, parse=as_one_run)
        yield from (run for run in result.held if run.text)
        if result.after == position:
            return
        position = result.after
