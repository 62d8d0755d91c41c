"""The segments of a spool that a route reads: which are left to read, how far, and which are open."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dashcam.ship.listing import SpoolListing, open_segment
from dashcam.ship.reading.unsealed import UnsealedSegments
from dashcam.ship.state.checkpoint import START, SegmentOffset
from dashcam.spool.line import LineExpander
from dashcam.spool.reader import SegmentReader
from dashcam.statement import Tally

_log = logging.getLogger("dashcam.ship")


@dataclass(slots=True)
class Segment:
    """A segment that is not done: how far it is read, its tally, and when to ask again whether it is final.

    `opened` are its reader and its expander while it is open.
    """

    key: str
    path: Path
    mark: SegmentOffset
    tally: Tally | None
    opened: tuple[SegmentReader, LineExpander] | None = None
    is_final: bool = False
    check_at_s: float = 0.0
    pause_s: float = 0.0


class Segments:
    """The segments of a spool that are not done, by key, oldest first. Not for use by several threads.

    `begin` gives the tally of a segment that is read from an offset on, if any. `most_open` files are open at once.
    """

    def __init__(
        self,
        spool: Path,
        marks: Mapping[str, SegmentOffset],
        most_open: int,
        begin: Callable[[str, SegmentOffset], Tally | None],
    ) -> None:
        self.listing = SpoolListing(spool)
        self._marks = dict(marks)
        self._most_open = most_open
        self._begin = begin
        self._segments: dict[str, Segment] = {}
        self._open: OrderedDict[str, Segment] = OrderedDict()
        self._done: set[str] = set()
        self._unsealed = UnsealedSegments()

    def __iter__(self) -> Iterator[Segment]:
        """Go through the segments; some may be dropped meanwhile."""
        return iter(list(self._segments.values()))

    def close(self) -> None:
        """Close the files that are open."""
        for key in list(self._open):
            self._close(key)

    def opened(self, segment: Segment) -> tuple[SegmentReader, LineExpander]:
        """Return the reader and the expander of a segment. Raises as `SegmentReader` does.

        When too many are open, the one that was used last makes room: they are looked at in turn, so to close the one
        that was used longest ago would close each before its next turn.
        """
        if segment.opened:
            self._open.move_to_end(segment.key)
            return segment.opened
        while len(self._open) >= self._most_open:
            self._close(next(reversed(self._open)))
        reader = open_segment(segment.path)
        segment.opened = reader, LineExpander(reader.header)
        self._open[segment.key] = segment
        return segment.opened

    def refresh(self, malformed: Collection[str]) -> bool:
        """List the spool again; return whether it has changed. Files that are `malformed` are left out."""
        if not self.listing.refresh():
            return False
        known, paths = self._segments, self.listing.paths
        self._segments = {}
        for key, path in paths.items():
            mark = self._marks.get(key, START)
            if key in malformed:
                continue
            if not mark.is_done:
                self._segments[key] = known.get(key) or self._begun(key, path)
            elif key not in self._done:
                self._done.add(key)
                self._unsealed.watch(key, path, mark.offset)
        self._done &= paths.keys()
        for key in known.keys() - self._segments.keys():
            # It is gone, or its folder cannot be listed now: then reading goes on from here when it is back.
            self._marks[key] = known[key].mark
            self._close(key)
        if len(self._marks) > 2 * len(paths) + 100:
            # Forget the offsets of segments that are gone, but not of whole folders: these may come back.
            folders = {key.rpartition("/")[0] for key in paths}
            self._marks = {
                key: mark for key, mark in self._marks.items() if key in paths or key.rpartition("/")[0] not in folders
            }
        return True

    def resume_grown(self) -> None:
        """Go on with segments that were done without a seal, and have grown since."""
        for key, path in self._unsealed.grown():
            _log.warning("%s: its process seemed to have ended, but more lines came; they are read", path)
            self._marks[key] = self._marks[key]._replace(is_done=False)
            self._segments[key] = self._begun(key, path)

    def drop(self, segment: Segment) -> None:
        """Close a segment, and read no more of it."""
        self._segments.pop(segment.key, None)
        self._close(segment.key)

    def end(self, segment: Segment, *, is_sealed: bool = True) -> SegmentOffset:
        """Mark a segment as done, and return the mark; one that is not sealed is watched."""
        done = self._marks[segment.key] = segment.mark._replace(is_done=True)
        self._done.add(segment.key)
        self.drop(segment)
        if not is_sealed:
            self._unsealed.watch(segment.key, segment.path, done.offset)
        return done

    def release(self, segment: Segment) -> None:
        """Close the file of a segment that cannot be read now."""
        self._close(segment.key)

    def _begun(self, key: str, path: Path) -> Segment:
        self._done.discard(key)
        mark = self._marks.get(key, START)
        return Segment(key, path, mark, self._begin(key, mark))

    def _close(self, key: str) -> None:
        if (segment := self._open.pop(key, None)) and segment.opened:
            segment.opened[0].close()
            segment.opened = None
