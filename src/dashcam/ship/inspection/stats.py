"""The statistics of a spool, and the account of each route.

recorded = earlier + delivered + held + expired + waiting + dead-lettered. Dropped events were not recorded.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dashcam import machine
from dashcam.event import format_time
from dashcam.ship.listing import SpoolListing, open_segment, read_header
from dashcam.ship.selection import is_shipped, synthesized_events
from dashcam.ship.state import checkpoint
from dashcam.ship.state.checkpoint import START, Checkpoint, SegmentOffset, Trouble
from dashcam.ship.state.dead_letters import DeadLetters, count_replayed, names_in
from dashcam.ship.state.heartbeat import Heartbeat, read_heartbeat
from dashcam.ship.state.quarantine import quarantined
from dashcam.ship.state.removal_account import RemovalAccount, load_account
from dashcam.spool.drops import read_drops
from dashcam.spool.reader import Position
from dashcam.spool.segment import began_ns

MAX_S = 0.8  # to count; a command that answers within a second has to start, too


@dataclass(frozen=True, slots=True)
class RouteAccount:
    """One route's share of the events.

    `earlier` were dealt with before the route began; `dead` are in the dead letters; `missing` were recorded, but a
    power cut took them from the spool before this route had read them. `held` stay in the spool because of their level,
    `expired` did until their segment had to go. `held_since` is when the oldest segment with held events began.
    """

    delivered: int
    waiting: int
    dead: int
    damaged: int
    trouble: Trouble | None
    earlier: int = 0
    missing: int = 0
    held: int = 0
    expired: int = 0
    held_since: str | None = None

    @property
    def known(self) -> int:
        """All events of the route but the missing ones."""
        return self.earlier + self.delivered + self.waiting + self.dead + self.held + self.expired


@dataclass(frozen=True, slots=True)
class SpoolStats:
    """The events that a spool holds and held: recorded, dropped by reason, size on disk, and each route's share.

    `is_complete` is false when counting took too long: `recorded` and `waiting` are then lower bounds. `letters` has
    the dead letters of routes that are no longer configured.
    """

    recorded: int
    dropped: Mapping[str, int]
    bytes: int
    services: Mapping[str, int]
    routes: Mapping[str, RouteAccount] = field(default_factory=dict)
    is_complete: bool = True
    letters: Mapping[str, int] = field(default_factory=dict)
    quarantined: int = 0
    unreadable: Mapping[str, str] = field(default_factory=dict)
    shipper: Heartbeat = field(default_factory=Heartbeat)

    @property
    def is_waiting(self) -> bool:
        """True while events wait: for a route, or for the first shipper."""
        if not self.routes:
            return self.recorded > 0
        return any(route.waiting for route in self.routes.values())


@dataclass(frozen=True, slots=True)
class SegmentCount:
    """The events of one segment, before and behind the furthest offset, and the dropped ones."""

    recorded: int
    logged: int
    dropped: Mapping[str, int]
    service: str
    bytes: int
    is_final: bool


def collect_stats(
    folder: Path, *, max_s: float = math.inf, clock_s: Callable[[], float] = machine.monotonic
) -> SpoolStats:
    """Count everything below a `DASHCAM_DIR`, for at most about `max_s` seconds.

    Reads only the lines that lie behind the offsets of all routes. Raises `OSError` when the folder cannot be read.
    """
    until_s = clock_s() + max_s
    known: dict[str, SegmentCount] = {}
    while True:
        removed = load_account(folder)
        counts = _Counter(folder, known, until_s, clock_s)
        stats = counts.collect(removed)
        # Else a segment went from one side of the account to the other meanwhile.
        if load_account(folder) == removed or clock_s() > until_s:
            return stats


class _Counter:
    """One attempt to count; `known` has the counts of segments that no longer change."""

    def __init__(
        self, folder: Path, known: dict[str, SegmentCount], until_s: float, clock_s: Callable[[], float]
    ) -> None:
        self._folder = folder
        self._known = known
        self._until_s = until_s
        self._clock_s = clock_s

    def collect(self, removed: RemovalAccount) -> SpoolStats:
        checkpoints = checkpoint.load(self._folder / "positions")
        counts, unreadable = self._count_segments(checkpoints, removed)
        dropped, services = Counter(removed.dropped), Counter[str]()
        for count in counts.values():
            dropped.update(count.dropped)
            services[count.service] += count.logged
        dropped.update(read_drops(self._folder / "spool"))
        letters = self._folder / "dead-letters"
        shares = {
            name: _share(each, counts, count_replayed(letters, name), removed.expired.get(name, 0))
            for name, each in checkpoints.items()
        }
        # A route may know more than the spool: a power cut can take segments that it has delivered.
        known = [share.known + share.missing for share in shares.values()]
        recorded = max([removed.recorded + sum(count.recorded for count in counts.values()), *known])
        if is_complete := self._clock_s() <= self._until_s:
            # Events that only another route has had, including ones in removed segments.
            shares = {name: replace(share, missing=recorded - share.known) for name, share in shares.items()}
        return SpoolStats(
            recorded,
            dict(dropped),
            sum(count.bytes for count in counts.values()),
            dict(services),
            shares,
            is_complete=is_complete,
            letters={
                name: sum(1 for _ in DeadLetters(letters, name).read())
                for name in names_in(letters)
                if name not in checkpoints
            },
            quarantined=quarantined(self._folder),
            unreadable=unreadable,
            shipper=read_heartbeat(self._folder),
        )

    def _count_segments(
        self, checkpoints: dict[str, checkpoint.Checkpoint], removed: RemovalAccount
    ) -> tuple[dict[str, SegmentCount], dict[str, str]]:
        """Return the counts of all segments that can be read in time, and why others cannot, by path."""
        listing = SpoolListing(self._folder / "spool")
        listing.refresh()
        counts: dict[str, SegmentCount] = {}
        unreadable = {str(path): reason for path, reason in listing.unreadable.items()}
        for key, path in listing.paths.items():
            if key not in removed.last and self._clock_s() <= self._until_s:
                try:
                    counts[key] = self._count(key, path, [each.marks.get(key, START) for each in checkpoints.values()])
                except (FileNotFoundError, ValueError):
                    continue  # gone since it was listed, or not a segment
                except OSError as fault:
                    unreadable[str(path)] = fault.strerror or str(fault)
        return counts, unreadable

    def _count(self, key: str, path: Path, marks: Sequence[SegmentOffset]) -> SegmentCount:
        furthest = max(marks, key=checkpoint.order, default=START)
        if furthest.is_done:
            header, size = read_header(path)
            logged = furthest.events - furthest.synthesized
            return SegmentCount(furthest.events, logged, header.dropped, header.service, size, is_final=True)
        found = self._known.get(key)
        if not found:
            found = count_segment(path, furthest)
            if found.is_final:
                self._known[key] = found
        return found


def count_segment(path: Path, mark: SegmentOffset = START) -> SegmentCount:
    """Count the events of a segment: those before an offset, as it says, and those behind it.

    Raises `ValueError` when the file is not a segment, `OSError` when it cannot be read.
    """
    with open_segment(path) as reader:
        is_final = reader.is_final()
        result = reader.read(Position(mark.offset, mark.sequence), is_final=is_final)
        logged = mark.events - mark.synthesized
        while result.lines or result.damaged:
            logged += sum(is_shipped(line) for line, _ in result.lines)
            result = reader.read(result.after, is_final=is_final)
        # A request that was open may have gone on after it was reported as aborted.
        synthesized = max(mark.synthesized, len(synthesized_events(reader).events) if is_final else 0)
        header = reader.header
    size = path.stat().st_size
    return SegmentCount(logged + synthesized, logged, header.dropped, header.service, size, is_final)


def count_before(folder: Path, marks: Mapping[str, SegmentOffset]) -> int:
    """Return how many events below a `DASHCAM_DIR` lie before the offsets of a route, removed ones included."""
    removed = load_account(folder)
    listing = SpoolListing(folder / "spool")
    listing.refresh()
    present = listing.paths.keys() - set(removed.last)
    return removed.recorded + sum(
        mark.events for key, mark in marks.items() if key in present or listing.is_hidden(key)
    )


def _share(route: Checkpoint, counts: Mapping[str, SegmentCount], replayed: int, expired: int) -> RouteAccount:
    waiting = missing = held = 0
    holding: list[str] = []
    for key, count in counts.items():
        mark = route.marks.get(key, START)
        behind = count.recorded - mark.events
        if left := route.left_held(key):
            held += left
            holding.append(key.rpartition("/")[2])
        if mark.is_done:
            missing += behind
        else:
            waiting += behind - len(route.ahead.get(key, ())) - route.kept_ahead(key)
    again = min(route.dead, replayed)
    return RouteAccount(
        route.delivered + again,
        waiting,
        route.dead - again,
        route.damaged,
        route.trouble,
        earlier=route.earlier,
        missing=missing,
        held=held,
        expired=expired,
        held_since=format_time(began_ns(min(holding))) if holding else None,
    )
