"""Files of a spool that are not segments: they are moved to the quarantine, some at a time."""

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from dashcam.ship.listing import is_of_another_version
from dashcam.ship.reading.segments import Segment
from dashcam.ship.state.quarantine import quarantine

MAX_SET_ASIDE = 100  # files at once: the next events do not wait for them
LISTED_SHARE = 8  # a listing is due when one in so many has been set aside

_log = logging.getLogger("dashcam.ship")


class MalformedFiles:
    """The files that wait to be set aside, with the reason of each; `keys` has theirs."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._files: dict[str, tuple[Segment, str]] = {}
        self._set_aside = 0  # since the last listing

    @property
    def keys(self) -> set[str]:
        """The keys of the files."""
        return set(self._files)

    def add(self, segment: Segment, reason: str) -> None:
        """Take a file that cannot be read as a segment."""
        self._files[segment.key] = segment, reason

    def begin_listing(self) -> bool:
        """Return whether to list the spool now; the files that are set aside are then counted from here.

        Each file that is set aside changes its folder: with very many, listing would take most of the time.
        """
        if LISTED_SHARE * self._set_aside < len(self._files):
            return False
        self._set_aside = 0
        return True

    def set_some_aside(self) -> Iterator[Segment]:
        """Set some of the files aside, report the first, and yield each. One of another version stays in place."""
        reports: list[str] = []
        for key in list(islice(self._files, MAX_SET_ASIDE)):
            segment, reason = self._files.pop(key)
            self._set_aside += 1
            try:
                is_foreign = is_of_another_version(segment.path)
                done = "it stays, and is ignored" if is_foreign else quarantine(self._spool, segment.path, reason)
            except FileNotFoundError:  # another route was first
                continue
            reports.append(f"{segment.path}: {reason}; {done}")
            yield segment
        if reports:
            others = f" (and {len(reports) - 1} more files)" if reports[1:] else ""
            _log.error("%s%s", reports[0], others)
