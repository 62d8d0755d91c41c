"""The events of a part of a segment, as one text: most are never looked at one by one."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, overload

from dashcam.event import EncodedEvent
from dashcam.spool.line import LineExpander, complete, is_span, is_start
from dashcam.spool.reader import Held, Lines, Position, ReadResult, SegmentReader, _parse_in_python, headed


class EventBlock(Sequence[EncodedEvent]):
    """Events that follow each other. Each becomes an object of its own when it is asked for, every time anew.

    `text` has the JSON of each with a newline behind it, the first one from `begin` on, and `ends` has where each one
    ends, behind the newline. `spans` has a byte for each, 1 for a span. `offsets` are those behind their lines in the
    segment, or what else the cursor numbers an event by. The ID of an event is that of the `segment`, a hyphen and its
    number in `sequences`, unless `ids` has it.
    """

    __slots__ = ("begin", "ends", "ids", "offsets", "segment", "sequences", "spans", "text")

    def __init__(  # noqa: PLR0913, PLR0917 — its columns
        self,
        text: bytes,
        begin: int,
        ends: memoryview,
        spans: bytes,
        offsets: memoryview,
        segment: str,
        sequences: memoryview,
        ids: Sequence[str] | None = None,
    ) -> None:
        self.text = text
        self.begin = begin
        self.ends = ends
        self.spans = spans
        self.offsets = offsets
        self.segment = segment
        self.sequences = sequences
        self.ids = ids

    @classmethod
    def of(cls, events: Sequence[EncodedEvent], numbers: Sequence[int] = ()) -> "EventBlock":
        """Return a block of events that are objects already; `numbers` are what the cursor numbers them by."""
        text = b"".join([event.data + b"\n" for event in events])
        ends = memoryview(array("I", accumulate(len(event.data) + 1 for event in events)))
        spans = bytes(event.is_span for event in events)
        ids = [event.id for event in events]
        return cls(text, 0, ends, spans, memoryview(array("i", numbers)), "", memoryview(array("I")), ids)

    @property
    def size_bytes(self) -> int:
        """The bytes of the events, each with a newline."""
        return self.ends[-1] - self.begin if self.spans else 0

    def lines(self) -> list[bytes]:
        """Return the JSON of each event."""
        return _cut(self.text, self.begin, self.ends)

    def fitting(self, most: int, room_bytes: int) -> int:
        """Return how many of the events keep to the limits, from the first one on."""
        return min(most, bisect_right(self.ends, self.begin + room_bytes))

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.spans)

    def __iter__(self) -> Iterator[EncodedEvent]:
        """Make the events."""
        if self.ids is not None:
            return map(EncodedEvent, self.ids, map(bool, self.spans), self.lines())
        columns = self.text, self.begin, self.ends, self.spans, self.sequences
        return iter(_make(EncodedEvent, self.segment, *columns))

    @overload
    def __getitem__(self, index: int) -> EncodedEvent: ...
    @overload
    def __getitem__(self, index: slice) -> "EventBlock": ...
    def __getitem__(self, index: int | slice) -> Any:
        """Make an event; a slice of events that follow each other is a block of the same text."""
        if isinstance(index, int):
            index = range(len(self))[index]
            return next(iter(self[index : index + 1]))
        start, stop, step = index.indices(len(self))
        if step != 1:
            return EventBlock.of(list(self)[index], list(self.offsets)[index])
        return EventBlock(
            self.text,
            self.ends[start - 1] if start else self.begin,
            self.ends[start:stop],
            self.spans[start:stop],
            self.offsets[start:stop],
            self.segment,
            self.sequences[start:stop],
            self.ids and self.ids[start:stop],
        )

    def __repr__(self) -> str:
        return f"EventBlock({list(self)!r})"


_Heads = tuple[bytes, ...]
_Columns = tuple[bytes, bytes, bytes, bytes, bytes]
_Read = tuple[_Columns, int, list[tuple[bytes, Position]], int, int, int, list[tuple[int, int, int]], dict[bytes, int]]


def read_block(  # noqa: PLR0913 — what is asked for
    reader: SegmentReader,
    expander: LineExpander,
    position: Position,
    *,
    is_final: bool,
    held: _Heads = (),
    telling: _Heads = (),
) -> tuple[EventBlock, ReadResult]:
    """Return the events that follow a position, and the lines among them that begin with one of `telling`.

    Log calls that begin with one of `held` behind the time are left where they are, as `parse_lines` leaves them.
    """
    start, text = reader.whole_lines(position, is_final=is_final)
    if is_final and not text:
        return EventBlock.of([]), reader.skip(start, position.sequence)
    given = text, start, position.sequence, Position, held, telling
    columns, _, told, end, sequence, damaged, ranges, requests = _read(*given, expander.head, expander.tail)
    left = Held(text, start, ranges, requests) if ranges else None
    events, ends, spans, offsets, sequences = columns
    numbers = memoryview(ends).cast("I"), spans, memoryview(offsets).cast("i")
    block = EventBlock(events, 0, *numbers, expander.segment, memoryview(sequences).cast("I"))
    return block, ReadResult(told, Position(end, sequence), damaged, left)


def _columns_of(lines: Lines, head: bytes, tail: bytes) -> _Columns:
    shipped = [(line, *place) for line, place in lines if not is_start(line)]
    events = [complete(line, sequence, head, tail) + b"\n" for line, _, sequence in shipped]
    ends = array("I", accumulate(map(len, events)))
    offsets, sequences = array("i", [each[1] for each in shipped]), array("I", [each[2] for each in shipped])
    spans = bytes(is_span(line) for line, *_ in shipped)
    return b"".join(events), ends.tobytes(), spans, offsets.tobytes(), sequences.tobytes()


def _read_in_python(  # noqa: PLR0913, PLR0917 — as the compiled one has it
    text: bytes,
    offset: int,
    sequence: int,
    position: type[Position],
    held: _Heads,
    telling: _Heads,
    head: bytes,
    tail: bytes,
    /,
) -> _Read:
    lines, end, last, damaged, ranges, requests = _parse_in_python(text, offset, sequence, position, held)
    columns, told = _columns_of(lines, head, tail), headed(lines, telling)
    return columns, len(lines), told, end, last, damaged, ranges, requests


def _make_in_python(  # noqa: PLR0913, PLR0917 — as the compiled one has it
    kind: type[EncodedEvent],
    segment: str,
    text: bytes,
    begin: int,
    ends: memoryview,
    spans: bytes,
    sequences: memoryview,
    /,
) -> list[EncodedEvent]:
    ids = [f"{segment}-{sequence:08d}" for sequence in sequences]
    return list(map(kind, ids, map(bool, spans), _cut(text, begin, ends)))


def _cut(text: bytes, begin: int, ends: memoryview) -> list[bytes]:
    return [text[start : end - 1] for start, end in pairwise([begin, *ends])]


try:
    from dashcam.spool._lines import make_events as _make
    from dashcam.spool._lines import read_events as _read
except ImportError:  # there was no compiler
    _make, _read = _make_in_python, _read_in_python
