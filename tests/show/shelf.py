"""A store in memory, and a viewer over it."""

from collections.abc import Iterator

from dashcam.errors import Unreachable
from dashcam.event import Event
from dashcam.find.language import parse
from dashcam.find.query import Any, Equals, Query
from dashcam.show.web.app import Finder


class Shelf:
    """Events in memory, found by what a query means; `broken` is what it says when it cannot be reached."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self.broken = ""

    def find(self, query: Query) -> Iterator[Event]:
        if self.broken:
            raise Unreachable(self.broken)
        unique = {event.id: event for event in self.events if query.matches(event)}
        found = sorted(unique.values(), key=lambda event: (event.time_ns, event.id))
        yield from found[-query.limit :] if query.limit else found

    def close(self) -> None:
        pass


def events_of(store: Shelf, one: str) -> Iterator[Event]:
    """Every event of the requests and traces that an id leads to."""
    names = ("http.request.id", "trace.id", "span.id", "event.id")
    hits = list(store.find(Query(Any(tuple(Equals(name, one) for name in names)))))
    traces = {hit.get("trace.id") for hit in hits} - {None, ""}
    requests = {hit.get("http.request.id") for hit in hits} - {None, ""}
    together = [Equals("trace.id", trace) for trace in traces] + [Equals("http.request.id", one) for one in requests]
    return store.find(Query(Any(tuple(together))))


def finder(shelf: Shelf, mask=lambda event: event) -> Finder:
    """What a viewer over a shelf looks things up with."""
    return Finder(open_store=lambda: shelf, parse=parse, events_of=events_of, mask=mask)
