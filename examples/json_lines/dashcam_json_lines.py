"""A destination of your own: events in a file of JSON Lines. A search reads the file from the beginning."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dashcam.destinations.destination import Destination
from dashcam.errors import BackendUnavailable, StoreUnreachable
from dashcam.event import Event
from dashcam.find.query import Query
from dashcam.settings import setting
from dashcam.ship.batch import Batch, Limits


@dataclass(frozen=True, slots=True)
class Options:
    """Settings from the environment; `dashcam settings` shows them too."""

    path: Path = setting("JSON_LINES_FILE", "events.jsonl", Path, "The file that events are added to.")


class Appender:
    """The backend. It gets one batch at a time, so that two batches do not mix in one line."""

    limits = Limits(events=1_000, bytes=4_000_000)

    def __init__(self, path: Path) -> None:
        self._path = path

    def ship(self, batch: Batch) -> None:
        """Append a batch; the events are on the disk when this returns."""
        try:
            with self._path.open("ab") as file:
                # A newline first, so that an incomplete line from a full disk does not damage the next one.
                file.write(b"\n" + b"".join(event.data + b"\n" for event in batch))
                file.flush()
                os.fsync(file.fileno())
        except OSError as fault:
            raise BackendUnavailable(f"{self._path} cannot be written: {fault.strerror}") from fault

    def close(self) -> None:
        """The file is closed after each batch."""


class Reader:
    """The store. The file can have a batch twice, or incomplete: it yields each event once, and skips broken lines."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, query: Query) -> Iterator[Event]:
        """Yield the events of a query, oldest first."""
        hits = sorted(filter(query.matches, self._events()), key=lambda event: (event.time_ns, event.id))
        return iter(hits[-query.limit :] if query.limit else hits)

    def close(self) -> None:
        """The file is closed after each search."""

    def _events(self) -> Iterator[Event]:
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError as fault:
            raise StoreUnreachable(f"{self._path} cannot be read: {fault.strerror}") from fault
        yield from {event.id: event for event in filter(None, map(_event, lines))}.values()


def _event(line: bytes) -> Event | None:
    try:
        return Event.from_json(line)
    except ValueError:
        return None


DESTINATION = Destination(
    "json_lines",
    Options,
    backend=lambda options: Appender(options.path),
    store=lambda options: Reader(options.path),
)
