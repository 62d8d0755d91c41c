"""The newest events of a query, for what has to be there soon: all of a shorter period where there are too many."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dashcam.event import Event
from dashcam.find.query import Query, Store


@dataclass(frozen=True, slots=True)
class Newest:
    """Events, oldest first: all that a query has from `since_ns` on; `is_cut` where there are older ones, too."""

    events: Iterable[Event]
    since_ns: int
    is_cut: bool = False


def find_newest(store: Store, query: Query, most: int) -> Newest:
    """Return the newest events of a query, at most so many; with 0, all of them as they are read.

    >>> class Three:
    ...     def find(self, query):
    ...         return iter([Event({"@timestamp": f"2026-11-23T09:00:0{second}Z"}) for second in (1, 2, 3)])
    >>> found = find_newest(Three(), Query(), 2)
    >>> len(found.events), found.is_cut
    (2, True)
    """
    if not most:
        return Newest(store.find(replace(query, limit=0)), query.since_ns or 0)
    events = list(store.find(replace(query, limit=most + 1)))
    if len(events) <= most:
        return Newest(events, query.since_ns or 0)
    # Of the moment that the oldest of them has, others may have been left out.
    since_ns = events[0].time_ns + 1
    return Newest([event for event in events if event.time_ns >= since_ns], since_ns, is_cut=True)
