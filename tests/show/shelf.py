"""A store in memory, and a viewer over it."""

from collections.abc import Iterator

from dashcam.errors import Unreachable
from dashcam.event import Event
from dashcam.find.language import parse
from dashcam.find.query import Query
from dashcam.find.story_events import events_of
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


def finder(shelf: Shelf, mask=lambda event: event) -> Finder:
    """What a viewer over a shelf looks things up with."""
    return Finder(open_store=lambda: shelf, parse=parse, events_of=events_of, mask=mask)
