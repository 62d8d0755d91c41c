"""One route's way through the spool: what comes next, and how far it has come."""

import logging
from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from dashcam import machine
from dashcam.event import EncodedEvent
from dashcam.ship.batch import EventBatch, Limits
from dashcam.ship.clips.collector import Clips, KeptEvent
from dashcam.ship.clips.verdicts import TELLING
from dashcam.ship.listing import SpoolListing, is_of_another_version, open_segment
from dashcam.ship.reading.statements import Statements
from dashcam.ship.reading.unsealed import UnsealedSegments
from dashcam.ship.selection import synthesized_events
from dashcam.ship.state.checkpoint import START, SegmentOffset
from dashcam.ship.state.quarantine import quarantine
from dashcam.spool.block import BlockResult, EventBlock, read_block
from dashcam.spool.line import LineExpander
from dashcam.spool.reader import Held, Position, SegmentReader
from dashcam.statement import Tally

MAX_OPEN = 256  # segments; others are opened for each look at them
FINAL_CHECK_S = 0.5  # between two questions whether the writer of a quiet segment is gone
MAX_FINAL_CHECK_S = 5.0  # likewise, when it has been quiet for long
MAX_SET_ASIDE = 100  # files at once: the next events do not wait for them
LISTED_SHARE = 8  # a listing is due when one in so many has been set aside

_log = logging.getLogger("dashcam.ship")


# In a segment an event goes by the offset after its line, or by minus its number among those at the segment's end; a
# statement of the segment by 0.
EventKey = tuple[str, int]
Ranges = Sequence[tuple[int, int, int]]  # as `Held` has them


class PendingBatch(NamedTuple):
    """Events to be shipped together, their places, and the offsets of their segments once they are shipped.

    It can hold offsets alone. `places` are what the events go by, segment by segment as they follow each other. `kept`
    are the keys of events that were held, and lie before their segments' offsets. Some of the events may be
    `statements`, which the account leaves out.
    """

    events: EventBatch
    places: list[tuple[str, memoryview]]
    marks: dict[str, SegmentOffset]
    damaged: int = 0
    kept: Collection[EventKey] = ()
    statements: int = 0

    def keys(self) -> list[EventKey]:
        """Return the keys of the events; few batches are asked for them."""
        return [(segment, number) for segment, numbers in self.places for number in numbers]

    def numbers_of(self, events: Collection[EncodedEvent]) -> dict[str, list[int]]:
        """Return what some of the events go by, by segment; a statement, which is sent again as it was, has none."""
        found: dict[str, list[int]] = {}
        if len(events) == len(self.events):
            for segment, numbers in self.places:
                found.setdefault(segment, []).extend(numbers.tolist())
        else:
            ids = {event.id for event in events}
            for event, (segment, number) in zip(self.events, self.keys(), strict=True):
                if event.id in ids:
                    found.setdefault(segment, []).append(number)
        if self.statements:
            found = {segment: list(filter(None, numbers)) for segment, numbers in found.items()}
        return {segment: numbers for segment, numbers in found.items() if numbers}


@dataclass(slots=True)
class _Segment:
    """A segment that is not done: how far it is read, its tally, and when to ask again whether it is final.

    `opened` are its reader and its expander while it is open.
    """

    key: str
    path: Path
    mark: SegmentOffset
    tally: Tally | None
    opened: tuple[SegmentReader, LineExpander] | None = None
    is_final: bool = False
    check_at_s: float = 0.0
    pause_s: float = 0.0


class _Run(NamedTuple):
    """Events that follow each other in a segment, and the segment's offset behind all of them.

    There may be none, where only the offset moves. `mark` is `None` for held events that were kept: the offset of their
    segment is behind them already. `held` are the ranges of the lines that are left where they are among the events and
    behind the last one, which the offset passes.
    """

    segment: str
    events: EventBlock
    mark: SegmentOffset | None
    held: Ranges = ()

    @property
    def weight(self) -> int:
        """The part that it takes of a bounded queue."""
        return max(1, len(self.events))

    @property
    def is_statement(self) -> bool:
        """Whether it is the statement of a segment, which goes by no place in it."""
        return len(self.events) == 1 and self.events.offsets[0] == 0

    def until(self, count: int) -> "_Run":
        """Return the first events alone."""
        events, left, mark = self.events, len(self.events) - count, self.mark
        after = Position(events.offsets[count - 1], events.sequences[count - 1])
        left_held = sum(lines for _, end, lines in self.held if end > after.offset)
        if mark:
            mark = mark.moved(*after, -left - left_held, -left_held)
        return _Run(self.segment, events[:count], mark)

    def behind(self, count: int) -> "_Run":
        """Return the events behind the first ones."""
        return self._replace(events=self.events[count:])


class _Readers:
    """Open segments; when there are too many, the one that was used last makes room.

    They are looked at in turn: to close the one that was used longest ago would close each before its next turn.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: OrderedDict[str, _Segment] = OrderedDict()

    def get(self, segment: _Segment) -> tuple[SegmentReader, LineExpander]:
        """Return a segment's reader and expander. Raises as `SegmentReader` does."""
        if segment.opened:
            self._open.move_to_end(segment.key)
            return segment.opened
        while len(self._open) >= self._most:
            self.close(next(reversed(self._open)))
        reader = open_segment(segment.path)
        segment.opened = reader, LineExpander(reader.header)
        self._open[segment.key] = segment
        return segment.opened

    def close(self, key: str) -> None:
        """Close one, if it is open."""
        if (segment := self._open.pop(key, None)) and segment.opened:
            segment.opened[0].close()
            segment.opened = None

    def close_all(self) -> None:
        """Close all."""
        for key in list(self._open):
            self.close(key)


class SpoolCursor:
    """Reads the spool from the given offsets on, oldest segment first. Not for use by several threads.

    `statements` makes the statement of each segment, if any. `obstacles` has what cannot be read now, with the reason:
    folders, and segments.
    """

    def __init__(  # noqa: PLR0913 — what it works with
        self,
        spool: Path,
        marks: Mapping[str, SegmentOffset],
        *,
        max_open: int = MAX_OPEN,
        final_check_s: float = 0.0,
        clips: Clips | None = None,
        statements: Statements | None = None,
    ) -> None:
        self._spool = spool
        self._listing = SpoolListing(spool)
        self._marks = dict(marks)
        self._segments: dict[str, _Segment] = {}
        self._readers = _Readers(max_open)
        self._unsealed = UnsealedSegments()
        self._statements = statements
        self._final_check_s = final_check_s
        self._clips = clips
        self._asked = {"held": clips.held, "telling": TELLING} if clips else {}
        self._waiting: deque[_Run] = deque()
        self._weight = self._bytes = 0
        self._damaged = 0
        self._done: set[str] = set()
        self._malformed: dict[str, tuple[_Segment, str]] = {}  # with the reason, to be set aside
        self._set_aside = 0  # since the last listing
        self.obstacles: dict[Path, str] = {}

    def close(self) -> None:
        """Close the segments that are open."""
        self._readers.close_all()

    def next_batch(self, limits: Limits) -> PendingBatch | None:
        """Return the next events, as many as the limits allow and the spool has now; `None` when nothing is new."""
        if self._has_room(limits):
            self._read(limits)
        if self._clips:
            self._add_kept(self._clips.take(self._listing.paths, limits.events - self._weight))
            self._clips.save()
        if not self._waiting and not self._damaged:
            return None
        damaged, self._damaged = self._damaged, 0
        return self._fill(damaged, limits)

    def _fill(self, damaged: int, limits: Limits) -> PendingBatch:
        """Return a batch of what waits, as much as the limits allow; an event that is too long goes alone."""
        runs, count, room_bytes, waiting = list[_Run](), 0, limits.bytes, self._waiting
        while waiting and count < limits.events:
            run = waiting.popleft()
            fitting = run.events.fitting(limits.events - count, room_bytes)
            if run.events and not count:
                fitting = max(fitting, 1)
            self._weight -= run.weight
            self._bytes -= run.events.size_bytes
            if fitting < len(run.events):
                self._wait_first(run.behind(fitting))
                if not fitting:
                    break
                run = run.until(fitting)
            room_bytes -= run.events.size_bytes
            count += len(run.events)
            runs.append(run)
        return PendingBatch(
            EventBatch([run.events for run in runs if run.events]),
            [(run.segment, run.events.offsets) for run in runs],
            {run.segment: run.mark for run in runs if run.mark},
            damaged,
            [(run.segment, number) for run in runs if not run.mark for number in run.events.offsets],
            sum(run.is_statement for run in runs),
        )

    def _has_room(self, limits: Limits) -> bool:
        """Return whether what waits is less than a batch, in events and in bytes."""
        return self._weight < limits.events and self._bytes < limits.bytes

    def _wait(self, run: _Run) -> None:
        self._waiting.append(run)
        self._weight += run.weight
        self._bytes += run.events.size_bytes

    def _wait_first(self, run: _Run) -> None:
        self._waiting.appendleft(run)
        self._weight += run.weight
        self._bytes += run.events.size_bytes

    def _wait_one(self, segment: str, event: EncodedEvent | None, number: int, mark: SegmentOffset | None) -> None:
        """Queue an event that is no line, or was held; or an offset alone."""
        events = EventBlock.of([event], [number]) if event else EventBlock.of([])
        self._wait(_Run(segment, events, mark))

    def _read(self, limits: Limits) -> None:
        # Each file that is set aside changes its folder: of very many, most of the time would go into listing it.
        if LISTED_SHARE * self._set_aside >= len(self._malformed):
            self._set_aside = 0
            if self._listing.refresh():
                self._take_listing()
        for key, path in self._unsealed.grown():
            _log.warning("%s: its process seemed to have ended, but more lines came; they are read", path)
            self._marks[key] = self._marks[key]._replace(is_done=False)
            self._segments[key] = self._begun(key, path)
        self.obstacles = dict(self._listing.unreadable)
        now_s = machine.monotonic()
        for segment in list(self._segments.values()):
            if not self._has_room(limits):
                break
            # What has nothing new is most of what there is, and costs one look.
            opened = segment.opened
            if opened and now_s < segment.check_at_s and not opened[0].has_more(segment.mark.offset):
                continue
            while self._has_room(limits) and self._read_on(segment):
                pass
        self._set_some_aside()

    def _take_listing(self) -> None:
        known = self._segments
        self._segments = {}
        for key, path in self._listing.paths.items():
            mark = self._marks.get(key, START)
            if key in self._malformed:
                continue
            if not mark.is_done:
                self._segments[key] = known.get(key) or self._begun(key, path)
            elif key not in self._done:
                self._done.add(key)
                self._unsealed.watch(key, path, mark.offset)
        self._done &= self._listing.paths.keys()
        if self._clips:
            self._clips.forget(self._listing.paths)
        for key in known.keys() - self._segments.keys():
            # It is gone, or its folder cannot be listed now: then it is read on from here when it is back.
            self._marks[key] = known[key].mark
            self._readers.close(key)
        if len(self._marks) > 2 * len(self._listing.paths) + 100:
            # Offsets of segments that are gone are forgotten, but not where a whole folder is: that may come back.
            paths = self._listing.paths
            folders = {key.rpartition("/")[0] for key in paths}
            self._marks = {
                key: mark for key, mark in self._marks.items() if key in paths or key.rpartition("/")[0] not in folders
            }

    def _begun(self, key: str, path: Path) -> _Segment:
        self._done.discard(key)
        mark = self._marks.get(key, START)
        tally = self._statements.begin(key, mark) if self._statements else None
        return _Segment(key, path, mark, tally, pause_s=self._final_check_s)

    def _read_on(self, segment: _Segment) -> bool:
        """Read what one look at a segment gives; return whether another look may give more."""
        try:
            reader, expander = self._readers.get(segment)
            if not segment.is_final and not reader.has_more(segment.mark.offset):
                return self._has_ended(segment, reader)
            position = Position(segment.mark.offset, segment.mark.sequence)
            result = read_block(reader, expander, position, is_final=segment.is_final, **self._asked)
            if not (result.lines or result.damaged or result.held):
                return self._has_ended(segment, reader)
        except FileNotFoundError:
            return False  # gone since it was listed
        except OSError as fault:
            self.obstacles[segment.path] = fault.strerror or str(fault)
            self._readers.close(segment.key)
            return False
        except ValueError as fault:
            self._give_up(segment, str(fault))
            return False
        if self._clips:
            self._clips.begin(segment.key, reader.header, segment.mark)
        self._add(segment, expander, result)
        return True

    def _has_ended(self, segment: _Segment, reader: SegmentReader) -> bool:
        """End a segment of which everything is read; return whether another look may give more."""
        if not segment.is_final:
            # Whether the writer is gone is asked ever less often. What is final is then read to its end.
            if (now_s := machine.monotonic()) >= segment.check_at_s:
                segment.is_final = reader.is_final()
                segment.check_at_s = 0.0 if segment.is_final else now_s + segment.pause_s
                segment.pause_s = min(2 * segment.pause_s, max(self._final_check_s, MAX_FINAL_CHECK_S))
            return segment.is_final
        derived = synthesized_events(reader)
        if derived.events:
            with suppress(OSError):  # the care of the spool reports it
                reader.sync()  # after a power cut, the segment gives the same events again
        statements: list[EncodedEvent] = []
        if self._statements:
            statements += self._statements.make(segment.key, reader, segment.tally, derived.events)
        self._damaged += derived.damaged
        if self._clips:
            self._clips.look_at_end(segment.key, derived.events)
        for number, event in enumerate(derived.events, 1):
            if number > segment.mark.synthesized:
                segment.mark = segment.mark._replace(synthesized=number, events=segment.mark.events + 1)
                self._wait_one(segment.key, event, -number, segment.mark)
        for event in statements:
            self._wait_one(segment.key, event, 0, segment.mark)
        self._end(segment)
        if not reader.header.is_sealed:
            self._unsealed.watch(segment.key, segment.path, segment.mark.offset)
        return False

    def _add(self, segment: _Segment, expander: LineExpander, result: BlockResult) -> None:
        self._damaged += result.damaged
        if self._clips:
            self._clips.look(segment.key, result.told)
        events, held = result.events, result.held
        lines = held.lines if held else 0
        segment.mark = segment.mark.moved(*result.after, len(events) + lines, lines)
        segment.pause_s = self._final_check_s
        if events or held:
            self._wait(_Run(segment.key, events, segment.mark, held.ranges if held else ()))
        if held:
            self._hold(segment, expander, held)
        if events and segment.tally:
            segment.tally.add(events.sequences, events.text, events.ends)

    def _hold(self, segment: _Segment, expander: LineExpander, held: Held) -> None:
        """Go past lines that are held, and take those of requests that are kept already."""
        if segment.tally:
            for begin, end, _ in held.ranges:
                segment.tally.hold(begin, end)
        if self._clips:
            self._add_kept(self._clips.hold(segment.key, expander, held))

    def _add_kept(self, events: Iterable[KeptEvent]) -> None:
        for event, segment, number in events:
            self._wait_one(segment, event, number, None)

    def _give_up(self, segment: _Segment, reason: str) -> None:
        """Leave out a file that is not a segment: nothing of it can be shipped."""
        self._malformed[segment.key] = segment, reason
        self._segments.pop(segment.key, None)
        self._readers.close(segment.key)

    def _set_some_aside(self) -> None:
        """Set some of the files aside that are not segments, and report the first. One of another version stays."""
        said: list[str] = []
        for key in list(islice(self._malformed, MAX_SET_ASIDE)):
            segment, reason = self._malformed.pop(key)
            self._set_aside += 1
            try:
                is_foreign = is_of_another_version(segment.path)
                done = "it stays, and is ignored" if is_foreign else quarantine(self._spool, segment.path, reason)
            except FileNotFoundError:  # another route was first
                continue
            self._damaged += 1
            said.append(f"{segment.path}: {reason}; {done}")
            self._end(segment)
        if said:
            others = f" (and {len(said) - 1} more files)" if said[1:] else ""
            _log.error("%s%s", said[0], others)

    def _end(self, segment: _Segment) -> None:
        done = segment.mark._replace(is_done=True)
        self._wait_one(segment.key, None, 0, done)
        self._marks[segment.key] = done
        self._done.add(segment.key)
        self._segments.pop(segment.key, None)
        self._readers.close(segment.key)
