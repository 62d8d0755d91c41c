"""The spool of this machine as a store: everything that stands in it, as if it had been shipped."""

from collections.abc import Iterator
from pathlib import Path

from dashcam.event import Event
from dashcam.find.query import And, Expression, Or, Query, Term
from dashcam.ship.listing import open_segment
from dashcam.ship.selection import shipped_events
from dashcam.spool.reader import segment_files

_IN_LINES = {"http.request.id", "trace.id", "span.id", "transaction.id"}  # written as they are searched


class SpoolStore:
    """Events of the segments below a `DASHCAM_DIR`, held ones too. A file that cannot be read is left out."""

    def __init__(self, folder: Path) -> None:
        self._spool = folder / "spool"

    def find(self, query: Query) -> Iterator[Event]:
        """The events of a query, oldest first, none twice; with a limit the newest."""
        needles = _needles(query.expression)
        hits = [event for path in segment_files(self._spool) for event in _read(path, needles) if query.matches(event)]
        hits.sort(key=lambda event: (event.time_ns, event.id))
        return iter(hits[-query.limit :] if query.limit else hits)

    def close(self) -> None:
        """Nothing to give back."""


def _needles(expression: Expression) -> tuple[str, ...]:
    """Return texts of which a line has at least one if it matches; none if nothing is known of it."""
    match expression:
        case Term(field, value) if field in _IN_LINES and value.isascii() and value.isprintable() and '"' not in value:
            return (f'"{value}"',)
        case Term("event.id", value):
            return (value[:24],)  # of a segment, which no line has: `_read` asks for it
        case Or(parts):
            found = [_needles(part) for part in parts]
            return tuple(needle for each in found for needle in each) if all(found) else ()
        case And(parts):
            return next(filter(None, map(_needles, parts)), ())
    return ()


def _read(path: Path, needles: tuple[str, ...]) -> Iterator[Event]:
    wanted = () if path.stem in needles else tuple(needle.encode() for needle in needles)
    try:
        with open_segment(path) as reader:
            yield from shipped_events(
                reader, is_wanted=lambda line: not wanted or any(needle in line for needle in wanted)
            )
    except (OSError, ValueError):
        return
