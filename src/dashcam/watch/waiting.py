"""The events that wait in the spool of this machine, read without a trace, and a store that has them, too."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from dashcam.errors import StoreUnreachable
from dashcam.event import Event
from dashcam.find.query import Query, Store
from dashcam.ship.listing import SpoolListing, open_segment
from dashcam.ship.selection import shipped_events
from dashcam.ship.state import checkpoint
from dashcam.ship.state.checkpoint import START, Checkpoint
from dashcam.spool.line import time_of
from dashcam.spool.reader import Position

_log = logging.getLogger("dashcam.ship")


def read_waiting(folder: Path, route: str, since_ns: int) -> Iterator[Event]:
    """Yield the events below a `DASHCAM_DIR` that a route has not delivered, of a time on, in no order.

    A segment that cannot be read, or is gone meanwhile, is left out.
    """
    progress = checkpoint.load(folder / "positions").get(route, Checkpoint())
    listing = SpoolListing(folder / "spool")
    listing.refresh()
    for key, path in listing.paths.items():
        mark = progress.marks.get(key, START)
        if mark.is_done:
            continue
        try:
            with closing(open_segment(path)) as reader:
                start = Position(mark.offset, mark.sequence)
                events = shipped_events(reader, start, mark.synthesized, lambda line: time_of(line) >= since_ns)
                yield from (event for event in events if event.time_ns >= since_ns)
        except (OSError, ValueError) as fault:
            _log.debug("%s is not read: %s", path, fault)


class WatchedStore:
    """A store together with what waits for it in the spool; while it cannot be reached, the spool alone.

    `trouble` says why the store could not be read the last time; it is empty when it could be.
    """

    def __init__(self, open_store: Callable[[], Store], waiting: Callable[[int], Iterable[Event]]) -> None:
        self._open_store = open_store
        self._waiting = waiting
        self.trouble = ""

    def find(self, query: Query) -> Iterator[Event]:
        """The events of a query, oldest first, none twice."""
        found: list[Event] = []
        self.trouble = ""
        try:
            with closing(self._open_store()) as store:
                found = list(store.find(query))
        except StoreUnreachable as fault:
            self.trouble = str(fault)
        known = {event.id for event in found}
        waiting = {event.id: event for event in self._waiting(query.since_ns or 0) if event.id not in known}
        matching = [event for event in waiting.values() if query.matches(event)]
        every = sorted([*found, *matching], key=lambda event: (event.time_ns, event.id))
        yield from every[-query.limit :] if query.limit else every

    def close(self) -> None:
        """Nothing is open between two searches."""
