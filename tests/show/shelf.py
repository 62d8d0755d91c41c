"""A store in memory, and a viewer over it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dashcam.errors import StoreEmpty, StoreUnreachable
from dashcam.event import Event
from dashcam.find.language import parse
from dashcam.find.query import Query
from dashcam.find.related import find_related_events
from dashcam.show.web.app import create_app, serve
from dashcam.show.web.finder import Finder


class Shelf:
    """Events in memory, found by what a query means; `broken` is what it says when it cannot be reached."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self.broken = ""
        self.is_empty = False

    def find(self, query: Query) -> Iterator[Event]:
        if self.broken:
            raise StoreUnreachable(self.broken)
        if self.is_empty:
            raise StoreEmpty("nothing was shipped yet")
        unique = {event.id: event for event in self.events if query.matches(event)}
        found = sorted(unique.values(), key=lambda event: (event.time_ns, event.id))
        yield from found[-query.limit :] if query.limit else found

    def close(self) -> None:
        pass


def finder(shelf: Shelf, mask=lambda event: event) -> Finder:
    """What a viewer over a shelf looks things up with."""
    return Finder(open_store=lambda: shelf, parse=parse, find_related_events=find_related_events, mask=mask)


@contextmanager
def viewing(finder: Finder, **options) -> Iterator[str]:
    """The address of a viewer that runs meanwhile."""
    server = serve(create_app(finder, **options), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()
