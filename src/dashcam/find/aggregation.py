"""Events counted by the values of their fields, with the times that they took.

A store that counts by itself has `aggregate`; the events of any other, and what such a store cannot count exactly, are
read. Both give the same: counts are exact, and times come in the same buckets, each at most 2 % wide.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple, Protocol, runtime_checkable

from dashcam.event import Event
from dashcam.find.query import Query, Store
from dashcam.find.values import number_of, text_of, values_of

DURATION = "event.duration"


def _edges() -> list[int]:
    edges = [0]
    while edges[-1] < 2**63:
        edges.append(max(edges[-1] + 1, edges[-1] * 51 // 50))
    return edges


EDGES_NS = _edges()
"""The lower ends of the buckets of times, in nanoseconds: each a fiftieth above the one before."""


def bucket_of(duration_ns: int) -> int:
    """Return the number of the bucket that a time lies in."""
    return bisect_right(EDGES_NS, min(max(duration_ns, 0), EDGES_NS[-1] - 1)) - 1


@dataclass(slots=True)
class Durations:
    """The number of times in each bucket, and the least and the greatest of all, in nanoseconds.

    A percentile is within 1 % of the one of the times themselves; two of these add up without a loss.

    >>> times = Durations()
    >>> for milliseconds in (10, 20, 90):
    ...     times.add(milliseconds * 1_000_000)
    >>> times.count, times.percentile_ns(99)
    (3, 90000000)
    """

    buckets: dict[int, int] = field(default_factory=dict)
    least_ns: int = 2**63
    most_ns: int = 0

    def add(self, duration_ns: int) -> None:
        """Count one time."""
        bucket = bucket_of(duration_ns)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.least_ns = min(self.least_ns, duration_ns)
        self.most_ns = max(self.most_ns, duration_ns)

    def merge(self, other: "Durations") -> None:
        """Count what another has counted."""
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count
        self.least_ns = min(self.least_ns, other.least_ns)
        self.most_ns = max(self.most_ns, other.most_ns)

    @property
    def count(self) -> int:
        """The number of times."""
        return sum(self.buckets.values())

    def percentile_ns(self, percent: int) -> int | None:
        """Return the time within which so many per cent lie, by the nearest rank; `None` when there is no time."""
        count = self.count
        rank = max(1, -(-count * percent // 100))
        if rank >= count:
            return self.most_ns if count else None
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank <= 0:
                break
        middle_ns = (EDGES_NS[bucket] + EDGES_NS[bucket + 1] - 1) // 2
        return min(max(middle_ns, self.least_ns), self.most_ns)


class Key(NamedTuple):
    """The values that the events of a group have, empty where they have none, and the time their step begins."""

    values: tuple[str, ...]
    start_ns: int = 0


@dataclass(slots=True)
class Group:
    """The events that have one key."""

    count: int = 0
    durations: Durations = field(default_factory=Durations)

    def merge(self, other: "Group") -> None:
        """Add the events of another group."""
        self.count += other.count
        self.durations.merge(other.durations)


Groups = dict[Key, Group]


@dataclass(frozen=True, slots=True)
class Grouping:
    """The fields whose values make a key; an event with several values of a field is in several groups.

    With a `step_ns`, whole milliseconds, above 0 the key has the time as well, cut down to a multiple of it. The times
    that events took are counted where `is_timed`.
    """

    fields: tuple[str, ...] = ()
    step_ns: int = 0
    is_timed: bool = False


@runtime_checkable
class Aggregating(Protocol):
    """A store that counts by itself."""

    def aggregate(self, query: Query, groupings: Sequence[Grouping]) -> list[Groups | None]:
        """Return the groups of all events of a query, its limit aside, for each grouping.

        `None` where reading is the only exact way.

        Raises `StoreUnreachable` as `find` does.
        """


def aggregate(store: Store, query: Query, groupings: Sequence[Grouping]) -> list[Groups]:
    """Return the groups of the events of a query, for each grouping; they are read once at most."""
    counted = counted_by(store, query, groupings)
    missing = [grouping for grouping, groups in zip(groupings, counted, strict=True) if groups is None]
    read = iter(group_events(store.find(query), missing) if missing else ())
    return [next(read) if groups is None else groups for groups in counted]


def counted_by(store: Store, query: Query, groupings: Sequence[Grouping]) -> list[Groups | None]:
    """Return the groups that a store counts by itself, and `None` for those that have to be read."""
    return store.aggregate(query, groupings) if isinstance(store, Aggregating) else [None] * len(groupings)


def group_events(events: Iterable[Event], groupings: Sequence[Grouping]) -> list[Groups]:
    """Return the groups of some events, for each grouping."""
    found: list[Groups] = [{} for _ in groupings]
    for event in events:
        for groups, grouping in zip(found, groupings, strict=True):
            numbers = (number_of(value) for value in values_of(event, DURATION)) if grouping.is_timed else ()
            duration_ns = next((int(number) for number in numbers if number is not None), None)
            for key in keys_of(event, grouping):
                group = groups.setdefault(key, Group())
                group.count += 1
                if duration_ns is not None:
                    group.durations.add(duration_ns)
    return found


def keys_of(event: Event, grouping: Grouping) -> list[Key]:
    """Return the keys of the groups that an event is in."""
    start_ns = event.time_ns // grouping.step_ns * grouping.step_ns if grouping.step_ns else 0
    values = (dict.fromkeys(map(text_of, values_of(event, name))) or ("",) for name in grouping.fields)
    return [Key(one, start_ns) for one in product(*values)]
