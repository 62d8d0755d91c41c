"""One route's way through the spool: what comes next, and how far it has come."""

import logging
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dashcam.event import EncodedEvent
from dashcam.ship.batch import Limits
from dashcam.ship.selection import is_shipped, synthesized_events
from dashcam.spool.line import LineExpander
from dashcam.spool.reader import Position, SegmentReader, segment_files
from dashcam.spool.segment import SUFFIX

_log = logging.getLogger("dashcam.ship")


class SegmentOffset(NamedTuple):
    """How far a route has come in a segment: in its lines, then in what its end tells; `is_done` when it has it all."""

    offset: int = 0
    sequence: int = 0
    is_done: bool = False
    synthesized: int = 0


class PendingBatch(NamedTuple):
    """Events to be shipped together, and the marks of their segments once they are. It can hold marks alone."""

    lines: list[EncodedEvent]
    marks: dict[str, SegmentOffset]
    damaged: int = 0


class SpoolCursor:
    """Reads the spool from the given marks on, oldest segment first. Not for use by several threads."""

    def __init__(self, spool: Path, marks: Mapping[str, SegmentOffset]) -> None:
        self._spool = spool
        self._at = dict(marks)
        self._open: dict[str, tuple[SegmentReader, LineExpander]] = {}
        self._waiting: deque[tuple[EncodedEvent | None, str, Position | SegmentOffset]] = deque()
        self._damaged = 0

    def close(self) -> None:
        """Close the segments that are open."""
        for reader, _ in self._open.values():
            reader.close()
        self._open.clear()

    def next_batch(self, limits: Limits) -> PendingBatch | None:
        """The next events, as many as the limits allow and the spool has now; `None` when there is nothing new."""
        if len(self._waiting) < limits.events:
            self._read(limits.events)
        if not self._waiting:
            return None
        lines: list[EncodedEvent] = []
        marks: dict[str, Position | SegmentOffset] = {}
        room = limits.bytes
        while self._waiting and len(lines) < limits.events:
            line, segment, mark = self._waiting[0]
            room -= len(line.data) + 1 if line else 0
            if room < 0 and lines:
                break
            self._waiting.popleft()
            marks[segment] = mark
            if line:
                lines.append(line)
        damaged, self._damaged = self._damaged, 0
        return PendingBatch(lines, {segment: SegmentOffset(*mark) for segment, mark in marks.items()}, damaged)

    def _read(self, events: int) -> None:
        present = segment_files(self._spool)
        for path in present:
            if len(self._waiting) >= events:
                return
            segment = path.name.removesuffix(SUFFIX)
            if not self._at.get(segment, SegmentOffset()).is_done:
                self._read_segment(segment, path)

    def _read_segment(self, segment: str, path: Path) -> None:
        mark = self._at.get(segment, SegmentOffset())
        try:
            reader, expander = self._open.get(segment) or self._open_segment(segment, path)
        except FileNotFoundError:
            return  # gone since it was listed
        except OSError as fault:
            _log.warning("%s cannot be read: %s", path, fault.strerror)
            return
        except ValueError:
            # No segment, or one of another version: nothing of it can be shipped, and it stays where it is.
            self._damaged += 1
            self._end(segment, mark)
            return
        is_final = reader.is_final()  # asked before reading: what is final then is read to its end
        passage = reader.read(Position(mark.offset, mark.sequence), is_final=is_final)
        self._damaged += passage.damaged
        expand = expander.expand
        self._waiting.extend(
            (expand(line, after.sequence), segment, after) for line, after in passage.lines if is_shipped(line)
        )
        self._at[segment] = mark = SegmentOffset(*passage.after, synthesized=mark.synthesized)
        if is_final and not passage.lines and not passage.damaged:
            for number, event in enumerate(synthesized_events(reader), 1):
                if number > mark.synthesized:
                    self._waiting.append((event, segment, mark._replace(synthesized=number)))
            self._end(segment, mark)
            self._open.pop(segment)[0].close()

    def _open_segment(self, segment: str, path: Path) -> tuple[SegmentReader, LineExpander]:
        reader = SegmentReader(path)
        self._open[segment] = opened = (reader, LineExpander(reader.header))
        return opened

    def _end(self, segment: str, mark: SegmentOffset) -> None:
        self._at[segment] = done = mark._replace(is_done=True)
        self._waiting.append((None, segment, done))
