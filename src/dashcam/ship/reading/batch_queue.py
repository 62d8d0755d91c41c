"""A bounded queue of events that were read, cut into batches that a backend takes."""

from collections import deque
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dashcam.event import EncodedEvent
from dashcam.ship.batch import EventBatch, Limits
from dashcam.ship.state.checkpoint import SegmentOffset
from dashcam.spool.block import EventBlock
from dashcam.spool.reader import Position

# The number of an event in its segment is the offset after its line, or minus its place among the events at the
# segment's end; a statement of the segment has 0.
EventKey = tuple[str, int]
Ranges = Sequence[tuple[int, int, int]]  # as in `Held`


class Run(NamedTuple):
    """Consecutive events of a segment, and the offset of the segment behind them.

    A run without events only moves the offset. A run without a `mark` has held events that a clip sends: the offset is
    behind them already. `held` are the ranges of held lines among and behind the events, which the offset passes.
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
        """Whether it is the statement of a segment."""
        return len(self.events) == 1 and self.events.offsets[0] == 0

    def until(self, count: int) -> "Run":
        """Return the first events alone."""
        events, left, mark = self.events, len(self.events) - count, self.mark
        after = Position(events.offsets[count - 1], events.sequences[count - 1])
        left_held = sum(lines for _, end, lines in self.held if end > after.offset)
        if mark:
            mark = mark.moved(*after, -left - left_held, -left_held)
        return Run(self.segment, events[:count], mark)


@dataclass(slots=True, eq=False)
class PendingBatch:
    """Runs that are shipped together: `left` counts their events that are neither delivered nor dead-lettered.

    `damaged` counts the damaged places between them. Some of the events may be `statements`, which are not counted as
    delivered.
    """

    runs: Sequence[Run]
    damaged: int = 0
    left: int = 0
    delivery: Future[Any] = field(default_factory=Future)
    events: EventBatch = field(init=False)
    statements: int = field(init=False)

    def __post_init__(self) -> None:
        """Join the events."""
        self.events = EventBatch([run.events for run in self.runs if run.events])
        self.statements = sum(run.is_statement for run in self.runs)

    @property
    def marks(self) -> dict[str, SegmentOffset]:
        """The offsets of the segments behind the batch."""
        return {run.segment: run.mark for run in self.runs if run.mark}

    @property
    def kept(self) -> set[EventKey]:
        """The keys of the events that were held, and lie before the offsets of their segments."""
        return {(run.segment, number) for run in self.runs if not run.mark for number in run.events.offsets}

    def keys(self) -> list[EventKey]:
        """Return the keys of the events."""
        return [(run.segment, number) for run in self.runs for number in run.events.offsets]

    def numbers_of(self, events: Collection[EncodedEvent]) -> dict[str, list[int]]:
        """Return the numbers of some of the events by segment, except statements, which may be sent twice."""
        found: dict[str, list[int]] = {}
        if len(events) == len(self.events):
            for run in self.runs:
                found.setdefault(run.segment, []).extend(run.events.offsets.tolist())
        else:
            ids = {event.id for event in events}
            for event, (segment, number) in zip(self.events, self.keys(), strict=True):
                if event.id in ids:
                    found.setdefault(segment, []).append(number)
        if self.statements:
            found = {segment: list(filter(None, numbers)) for segment, numbers in found.items()}
        return {segment: numbers for segment, numbers in found.items() if numbers}


class BatchQueue:
    """The runs that were read and are in no batch yet. Not for use by several threads."""

    def __init__(self) -> None:
        self._runs: deque[Run] = deque()
        self.weight = self._bytes = 0

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self._runs)

    def has_room(self, limits: Limits) -> bool:
        """Return whether the queue has less than a batch, in events and in bytes."""
        return self.weight < limits.events and self._bytes < limits.bytes

    def put(self, run: Run, *, is_first: bool = False) -> None:
        """Add a run."""
        (self._runs.appendleft if is_first else self._runs.append)(run)
        self.weight += run.weight
        self._bytes += run.events.size_bytes

    def put_event(self, segment: str, event: EncodedEvent | None, number: int, mark: SegmentOffset | None) -> None:
        """Add one event that is not a line of the segment or was held, or an offset alone."""
        self.put(Run(segment, EventBlock.of([event], [number]) if event else EventBlock.of([]), mark))

    def take(self, limits: Limits, damaged: int) -> PendingBatch:
        """Return a batch of as much as the limits allow; an event that is too long is sent alone."""
        runs, count, room_bytes = list[Run](), 0, limits.bytes
        while self._runs and count < limits.events:
            run = self._runs.popleft()
            fitting = run.events.fitting(limits.events - count, room_bytes)
            if run.events and not count:
                fitting = max(fitting, 1)
            self.weight -= run.weight
            self._bytes -= run.events.size_bytes
            if fitting < len(run.events):
                self.put(run._replace(events=run.events[fitting:]), is_first=True)
                if not fitting:
                    break
                run = run.until(fitting)
            room_bytes -= run.events.size_bytes
            count += len(run.events)
            runs.append(run)
        return PendingBatch(runs, damaged)
