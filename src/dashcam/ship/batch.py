"""The protocol between the shipper and a backend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dashcam.event import EncodedEvent

Batch = Sequence[EncodedEvent]


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
