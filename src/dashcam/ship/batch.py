"""The protocol between the shipper and a backend."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import Any, Protocol, overload

from dashcam.event import EncodedEvent
from dashcam.spool.block import EventBlock

__all__ = ["Backend", "Batch", "EventBatch", "EventBlock", "Limits", "PartialResult", "blocks_of"]

Batch = Sequence[EncodedEvent]


class EventBatch(Sequence[EncodedEvent]):
    """A batch as blocks of events; an event becomes an object when it is accessed, a new one each time.

    A slice is a batch, too, and shares the blocks where its events are consecutive.
    """

    __slots__ = ("_ends", "blocks")

    def __init__(self, blocks: Sequence[EventBlock]) -> None:
        self.blocks = blocks
        self._ends = list(accumulate(map(len, blocks), initial=0))[1:]

    def __len__(self) -> int:
        """Return the number of events."""
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[EncodedEvent]:
        """Make the events, block by block."""
        return chain.from_iterable(self.blocks)

    @overload
    def __getitem__(self, index: int) -> EncodedEvent: ...
    @overload
    def __getitem__(self, index: slice) -> "EventBatch": ...
    def __getitem__(self, index: int | slice) -> Any:
        """Make an event, or cut a batch out."""
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return self._cut(start, stop) if step == 1 else EventBatch([EventBlock.of(list(self)[index])])
        index = range(len(self))[index]
        number = bisect_right(self._ends, index)
        return self.blocks[number][index - self._ends[number]]  # counted from the block's end

    def _cut(self, start: int, stop: int) -> "EventBatch":
        begins = [end - len(block) for end, block in zip(self._ends, self.blocks, strict=True)]
        parts = [
            block[max(start - begin, 0) : max(stop - begin, 0)]
            for begin, block in zip(begins, self.blocks, strict=True)
        ]
        return EventBatch([part for part in parts if part])

    def __repr__(self) -> str:
        return f"EventBatch({list(self)!r})"


def blocks_of(batch: Batch) -> Sequence[EventBlock]:
    """Return any batch as blocks, for a backend that works on many events at once."""
    return batch.blocks if isinstance(batch, EventBatch) else [EventBlock.of(batch)]


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a batch: events, bytes of all lines (each with a newline), and batches in flight at once.

    >>> Limits(events=1000, bytes=4_000_000, in_flight=4)
    Limits(events=1000, bytes=4000000, in_flight=4)
    """

    events: int
    bytes: int
    in_flight: int = 1


@dataclass(frozen=True, slots=True)
class PartialResult:
    """The events of a batch that were not delivered, by their index in it, from 0; all others are delivered.

    The shipper sends `retry` again after a pause. `rejected` maps an index to the reason: these go to the dead letters.

        >>> result = PartialResult(retry=[0], rejected={2: "not a date"})
    """

    retry: Sequence[int] = ()
    rejected: Mapping[int, str] = field(default_factory=dict)


class Backend(Protocol):
    """One destination. `ship` is called from up to `limits.in_flight` threads at once.

    >>> class Printer:
    ...     limits = Limits(events=1000, bytes=1_000_000)
    ...
    ...     def ship(self, batch):
    ...         for event in batch:
    ...             print(event.data.decode())
    ...
    ...     def close(self):
    ...         print("that is all")
    """

    limits: Limits

    def ship(self, batch: Batch) -> PartialResult | None:
        """Send a batch; `None` means that the destination acknowledged every event.

        Raises `BackendUnavailable` to get the whole batch again, `BatchRejected` if the destination never accepts it as
        it is. A batch that is sent again has the same events with the same IDs.
        """

    def close(self) -> None:
        """Close connections and files; called once, after the last `ship`."""
