"""The protocol between the shipper and a backend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dashcam.event import EncodedEvent

Batch = Sequence[EncodedEvent]


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a batch: events, bytes of all lines with a newline each, and batches under way at once.

    >>> Limits(events=1000, bytes=4_000_000, in_flight=4)
    Limits(events=1000, bytes=4000000, in_flight=4)
    """

    events: int
    bytes: int
    in_flight: int = 1


@dataclass(frozen=True, slots=True)
class PartialResult:
    """The events of a batch, by their place in it from 0, that an answer named; all others are delivered.

    `retry` are sent once more after a pause; `rejected` maps a place to the reason, and goes to the dead letters.

        >>> result = PartialResult(retry=[0], rejected={2: "a date that is none"})
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
        """Send a batch; `None` means the destination answers for every event.

        Raises `BackendUnavailable` when the whole batch is to be sent again, `BatchRejected` when it can never be
        accepted as it is.
        A batch sent again holds the same events with the same ids.
        """

    def close(self) -> None:
        """Give back connections and files; called once, after the last `ship`."""
