"""One route's way through the spool: reads the next events, and hands held lines to the clips."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from dashcam import machine
from dashcam.ship.batch import Limits
from dashcam.ship.clips.collector import ClipCollector, KeptEvent
from dashcam.ship.clips.verdicts import TELLING
from dashcam.ship.reading.batch_queue import BatchQueue, PendingBatch, Run
from dashcam.ship.reading.malformed import MalformedFiles
from dashcam.ship.reading.segments import Segment, Segments
from dashcam.ship.reading.statements import Statements
from dashcam.ship.selection import synthesized_events
from dashcam.ship.state.checkpoint import SegmentOffset
from dashcam.spool.block import EventBlock, read_block
from dashcam.spool.line import LineExpander
from dashcam.spool.reader import Position, ReadResult, SegmentReader

MAX_OPEN = 256  # segments; others are opened for each look at them
FINAL_CHECK_S = 0.5  # between two questions whether the writer of a quiet segment is gone
MAX_FINAL_CHECK_S = 5.0  # likewise, when it has been quiet for long


class SpoolCursor:
    """Reads the spool from the given offsets on, oldest segment first. Not for use by several threads.

    `statements` makes the statement of each segment, if any. `obstacles` has the folders and segments that cannot be
    read now, each with the reason.
    """

    def __init__(  # noqa: PLR0913 — its parts
        self,
        spool: Path,
        marks: Mapping[str, SegmentOffset],
        *,
        max_open: int = MAX_OPEN,
        final_check_s: float = 0.0,
        clips: ClipCollector | None = None,
        statements: Statements | None = None,
    ) -> None:
        self._segments = Segments(spool, marks, max_open, statements.begin if statements else lambda *_: None)
        self._malformed = MalformedFiles(spool)
        self._queue = BatchQueue()
        self._statements = statements
        self._final_check_s = final_check_s
        self._clips = clips
        self._damaged = 0
        self.obstacles: dict[Path, str] = {}

    def close(self) -> None:
        """Close the segments that are open."""
        self._segments.close()

    def next_batch(self, limits: Limits) -> PendingBatch | None:
        """Return the next events, as many as the limits allow and the spool has now; `None` when nothing is new."""
        if self._queue.has_room(limits):
            self._read(limits)
        if self._clips:
            self._add_kept(self._clips.take(self._segments.listing.paths, limits.events - self._queue.weight))
            self._clips.save()
        if not self._queue and not self._damaged:
            return None
        damaged, self._damaged = self._damaged, 0
        return self._queue.take(limits, damaged)

    def _read(self, limits: Limits) -> None:
        if self._malformed.begin_listing() and self._segments.refresh(self._malformed.keys) and self._clips:
            self._clips.forget_removed(self._segments.listing.paths)
        self._segments.resume_grown()
        self.obstacles = dict(self._segments.listing.unreadable)
        now_s = machine.monotonic()
        for segment in self._segments:
            if not self._queue.has_room(limits):
                break
            # Most segments have nothing new, and cost one look.
            opened = segment.opened
            if opened and now_s < segment.check_at_s and not opened[0].has_more(segment.mark.offset):
                continue
            while self._queue.has_room(limits) and self._read_on(segment):
                pass
        for segment in self._malformed.set_some_aside():
            self._damaged += 1
            self._end(segment)

    def _read_on(self, segment: Segment) -> bool:
        """Read a part of a segment; return whether it may have more."""
        try:
            reader, expander = self._segments.opened(segment)
            if not segment.is_final and not reader.has_more(segment.mark.offset):
                return self._has_ended(segment, reader)
            position = Position(segment.mark.offset, segment.mark.sequence)
            asked = {"held": self._clips.held_heads, "telling": TELLING} if self._clips else {}
            events, result = read_block(reader, expander, position, is_final=segment.is_final, **asked)
            if result.after.offset <= max(position.offset, reader.header_end):
                return self._has_ended(segment, reader)
        except FileNotFoundError:
            return False  # gone since it was listed
        except OSError as fault:
            self.obstacles[segment.path] = fault.strerror or str(fault)
            self._segments.release(segment)
            return False
        except ValueError as fault:
            self._malformed.add(segment, str(fault))
            self._segments.drop(segment)
            return False
        if self._clips:
            self._clips.begin(segment.key, reader.header, segment.mark)
        self._add(segment, expander, events, result)
        return True

    def _has_ended(self, segment: Segment, reader: SegmentReader) -> bool:
        """End a segment that is read to its end; return whether it may have more."""
        if not segment.is_final:
            # Ask ever less often whether the writer is gone. A final segment is then read to its end.
            if (now_s := machine.monotonic()) >= segment.check_at_s:
                segment.is_final = reader.is_final()
                pause_s = segment.pause_s or self._final_check_s
                segment.check_at_s = 0.0 if segment.is_final else now_s + pause_s
                segment.pause_s = min(2 * pause_s, max(self._final_check_s, MAX_FINAL_CHECK_S))
            return segment.is_final
        derived = synthesized_events(reader)
        if derived.events:
            with suppress(OSError):  # the housekeeping reports it
                reader.sync()  # after a power cut, the segment gives the same events again
        made = self._statements.make(segment.key, reader, segment.tally, derived.events) if self._statements else ()
        statements = list(made)
        self._damaged += derived.damaged
        if self._clips:
            self._clips.judge_end(segment.key, derived.events)
        for number, event in enumerate(derived.events, 1):
            if number > segment.mark.synthesized:
                segment.mark = segment.mark._replace(synthesized=number, events=segment.mark.events + 1)
                self._queue.put_event(segment.key, event, -number, segment.mark)
        for event in statements:
            self._queue.put_event(segment.key, event, 0, segment.mark)
        self._end(segment, is_sealed=reader.header.is_sealed)
        return False

    def _add(self, segment: Segment, expander: LineExpander, events: EventBlock, result: ReadResult) -> None:
        self._damaged += result.damaged
        if self._clips:
            self._clips.judge_lines(segment.key, result.lines)
        held = result.held
        lines = held.lines if held else 0
        segment.mark = segment.mark.moved(*result.after, len(events) + lines, lines)
        segment.pause_s = self._final_check_s
        if events or held:
            self._queue.put(Run(segment.key, events, segment.mark, held.ranges if held else ()))
        if segment.tally:
            for begin, end, _ in held.ranges if held else ():
                segment.tally.hold(begin, end)
            if events:
                segment.tally.add(events.sequences, events.text, events.ends)
        if held and self._clips:
            self._add_kept(self._clips.hold(segment.key, expander, held))

    def _add_kept(self, events: Iterable[KeptEvent]) -> None:
        for event, segment, number in events:
            self._queue.put_event(segment, event, number, None)

    def _end(self, segment: Segment, *, is_sealed: bool = True) -> None:
        mark = self._segments.end(segment, is_sealed=is_sealed)
        self._queue.put_event(segment.key, None, 0, mark)
