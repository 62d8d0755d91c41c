"""The look-ups of the viewer's pages, and how a page gets at them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import flask

from dashcam.event import Event
from dashcam.find.query import Expression, Store


@dataclass(frozen=True, slots=True)
class Finder:
    """The ways to look things up: stores, the search language, the events of an ID, masking.

    Pages may be asked for from several threads at once, so each opens a store of its own.
    """

    open_store: Callable[[], Store]
    parse: Callable[[str], Expression]
    find_related_events: Callable[[Store, str], Iterable[Event]]
    mask: Callable[[Event], Event]

    @contextmanager
    def open(self) -> Iterator[Store]:
        """A store, closed again at the end."""
        store = self.open_store()
        try:
            yield store
        finally:
            store.close()


def current_finder() -> Finder:
    """Return the finder of the viewer that serves the current request."""
    finder: Finder = flask.current_app.config["FINDER"]
    return finder


def now_ns() -> int:
    """Return the time by the viewer's clock."""
    moment_ns: int = flask.current_app.config["CLOCK"]()
    return moment_ns
