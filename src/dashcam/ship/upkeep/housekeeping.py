"""The care of the spool, beside the routes: everything is brought to the disk, and room is made before it is needed."""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from dashcam import machine
from dashcam.event import NS_PER_S
from dashcam.ship.listing import SpoolListing, has_grown, read_header
from dashcam.ship.state.checkpoint import CheckpointFile
from dashcam.ship.state.removal_account import Victim, load_account, remove, settle
from dashcam.ship.upkeep.syncing import MAX_OPEN, SegmentSync
from dashcam.spool.drops import sync_counts
from dashcam.spool.reader import orphaned_files
from dashcam.spool.segment import SEGMENT_BYTES

MIN_FREE_SHARE = 0.05  # of the disk
MAX_HELD_SHARE = 1.5  # of the limit for delivered segments: the held lines of a service fill at most 3/4 of its spool
MAX_FREE_WANTED_BYTES = 256 << 20
MIN_FREE_WANTED_BYTES = 4 * SEGMENT_BYTES  # a few processes that open a segment in the same second
ORPHANS_S = 60.0  # between two looks for files that never became segments

_log = logging.getLogger("dashcam.ship")


def _free_and_total_bytes(folder: Path) -> tuple[int, int]:
    usage = shutil.disk_usage(folder)
    return usage.free, usage.total


class Housekeeping:
    """Looks after a spool, round by round. `troubles` has the steps that failed, with the reason.

    Segments whose lines were held for less than `hold_s` seconds stay as long as there is room. `max_open` segments are
    kept open.
    """

    def __init__(  # noqa: PLR0913 — its parts
        self,
        folder: Path,
        limit_bytes: int,
        files: Sequence[CheckpointFile],
        *,
        disk_bytes: Callable[[Path], tuple[int, int]] = _free_and_total_bytes,
        hold_s: float = 0.0,
        max_open: int = MAX_OPEN,
    ) -> None:
        self.troubles: dict[str, str] = {}
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._files = files
        self._disk_bytes = disk_bytes
        self._listing = SpoolListing(folder / "spool")
        self._segments = SegmentSync(max_open)
        self._orphans_at_s = 0.0
        self._hold_s = hold_s
        self._done: AbstractSet[str] = frozenset()
        self._done_since_s: dict[str, float] = {}
        self._has_finished = False

    def close(self) -> None:
        """Close the segments that are open."""
        self._segments.close()

    def round(self) -> None:
        """Do every step once. A step that fails is reported in `troubles`, and repeated in the next round."""
        self._refresh()
        self.troubles = {str(path): reason for path, reason in self._listing.unreadable.items()}
        steps = {"sync": self._sync, "checkpoints": self._sync_files, "room": self.make_room}
        if machine.monotonic() >= self._orphans_at_s:
            self._orphans_at_s = machine.monotonic() + ORPHANS_S
            steps["orphans"] = self._remove_orphans
        for name, step in steps.items():
            try:
                step()
            except OSError as fault:
                self.troubles[fault.filename or name] = fault.strerror or str(fault)
        for name, reason in self.troubles.items():
            _log.warning("%s: %s; nothing is lost, it tries again", name, reason)

    def _refresh(self) -> None:
        if self._listing.refresh():
            self._segments.take(self._listing.paths)

    def _sync(self) -> None:
        self.troubles |= self._segments.round()

    def _sync_files(self) -> None:
        # Keep the offsets in folders that cannot be listed now: they may return, and must not be shipped twice.
        is_known = bool(self._listing.paths) and not self._listing.unreadable
        for file in self._files:
            file.sync(self._listing.paths.keys() if is_known else None)

    def make_room(self) -> None:
        """Remove the oldest of the segments that all routes are done with, while they or the disk are too full."""
        self._refresh()
        self._finish_removal()
        free, total = self._disk_bytes(self._folder)
        wanted = max(MIN_FREE_WANTED_BYTES, min(int(total * MIN_FREE_SHARE), MAX_FREE_WANTED_BYTES))
        sizes = self._segments.sizes()
        done = set.intersection(*(file.done_segments() for file in self._files)) if self._files else set[str]()
        young = self._young(done) if self._hold_s else set[str]()
        used = sum(sizes.values())
        excess = max(used - self._limit_bytes, wanted - free)
        victims = self._choose(sizes, done - young, excess)
        services: dict[str, set[str]] = {key.rpartition("/")[0]: set() for key in young}
        for key in sizes if services else ():
            services.get(key.rpartition("/")[0], set()).add(key)
        for segments in services.values():
            gone = {victim.key for victim in victims}
            own = segments - gone
            excess = sum(sizes[key] for key in own) - int(MAX_HELD_SHARE * self._limit_bytes)
            lacking = wanted - free - sum(sizes[key] for key in gone)
            victims += self._choose(sizes, own & young, max(excess, lacking))
        if victims:
            remove(self._folder, victims)

    def _choose(self, sizes: Mapping[str, int], removable: AbstractSet[str], excess: int) -> list[Victim]:
        """Return the oldest segments that can go, as many as have the excess, in bytes."""
        victims = []
        for key, path in self._listing.paths.items():
            if excess <= 0:
                break
            if key in removable and (victim := self._victim(key, path)):
                victims.append(victim)
                excess -= sizes[key]
        return victims

    def _young(self, done: AbstractSet[str]) -> set[str]:
        """Return delivered segments whose held lines are younger than `hold_s`.

        Age counts by the monotonic clock, from the start of this shipper on.
        """
        now_s = machine.monotonic()
        holding = {key for key in done - self._done if any(file.left_held(key) for file in self._files)}
        self._done = done
        kept = {key: since_s for key, since_s in self._done_since_s.items() if key in done}
        self._done_since_s = dict.fromkeys(holding, now_s) | kept
        return {key for key, since_s in self._done_since_s.items() if now_s - since_s < self._hold_s}

    def _finish_removal(self) -> None:
        """Remove segments that a killed shipper had added to the account, but not removed."""
        if not self._has_finished:
            left = [key for key in load_account(self._folder).last if key in self._listing.paths]
            if left:
                settle(self._folder)  # else a power cut could bring back the account before
            for key in left:
                self._listing.paths[key].unlink(missing_ok=True)
            self._refresh()
            self._has_finished = True

    def _victim(self, key: str, path: Path) -> Victim | None:
        """Return a segment with its counts; `None` if it must stay: it is unreadable, has grown, or a clip needs it."""
        marks = [file.offset_in(key) for file in self._files]
        try:
            header = read_header(path).header
            if not header.is_sealed and has_grown(path, max(mark.offset for mark in marks)):
                return None
            if header.took:
                sync_counts(path.parent, header.took)
        except (OSError, ValueError):
            return None
        held = {file.route: file.retire(key) for file in self._files}
        if None in held.values():  # a clip of it is under way
            for file in self._files:
                file.reinstate(key)
            return None
        recorded = max(mark.events for mark in marks)
        return Victim(key, path, recorded, header.dropped, {route: count for route, count in held.items() if count})

    def _remove_orphans(self) -> None:
        for path in orphaned_files(self._folder / "spool", machine.time_ns() / NS_PER_S):
            path.unlink(missing_ok=True)
