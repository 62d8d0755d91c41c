"""The account of a spool: recorded = delivered + waiting + dead-lettered, and beside them what was dropped."""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from dashcam.ship import checkpoint
from dashcam.ship.checkpoint import Checkpoint, Trouble
from dashcam.ship.cursor import SegmentOffset
from dashcam.ship.dead_letters import replayed
from dashcam.ship.selection import is_shipped, synthesized_events
from dashcam.spool.reader import SegmentReader, segment_files
from dashcam.spool.segment import SUFFIX


@dataclass(frozen=True, slots=True)
class RouteAccount:
    """One route's share: events delivered, waiting, dead-lettered, and what is in the way, if anything."""

    delivered: int
    waiting: int
    dead: int
    damaged: int
    trouble: Trouble | None


@dataclass(frozen=True, slots=True)
class SpoolStats:
    """What a spool holds and held: events recorded, dropped by reason, its size on disk, and each route's share."""

    recorded: int
    dropped: Mapping[str, int]
    bytes: int
    services: Mapping[str, int]
    routes: Mapping[str, RouteAccount] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Pruned:
    """What the segments that are gone had held; the `last` of them may still be there."""

    recorded: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    last: str = ""


@dataclass(slots=True)
class _Tally:
    """What was counted of the segments."""

    recorded: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    services: Counter[str] = field(default_factory=Counter)
    bytes: int = 0


def collect_stats(folder: Path) -> SpoolStats:
    """Count everything below a `DASHCAM_DIR`; reads the whole spool."""
    while True:
        pruned = _load_pruned(folder)
        account = _take_account(folder, pruned)
        if _load_pruned(folder) == pruned:  # else a segment went from one side of the account to the other meanwhile
            return account


def count_before(folder: Path, marks: Mapping[str, SegmentOffset]) -> int:
    """How many of the events below a `DASHCAM_DIR` lie before the marks of a route; those that are gone do."""
    pruned = _load_pruned(folder)
    tally, waiting = _Tally(pruned.recorded), 0
    for path in segment_files(folder / "spool"):
        segment = path.name.removesuffix(SUFFIX)
        if segment != pruned.last:
            waiting += sum(_count(path, {"": marks.get(segment, SegmentOffset())}, tally).values())
    return tally.recorded - waiting


def _take_account(folder: Path, pruned: _Pruned) -> SpoolStats:
    progress = checkpoint.load(folder / "positions")
    tally = _Tally(pruned.recorded, Counter(pruned.dropped))
    waiting: Counter[str] = Counter()
    for path in segment_files(folder / "spool"):
        segment = path.name.removesuffix(SUFFIX)
        if segment != pruned.last:
            marks = {name: route.marks.get(segment, SegmentOffset()) for name, route in progress.items()}
            waiting.update(_count(path, marks, tally))
    routes = {name: _of_route(name, route, waiting[name], folder, progress) for name, route in progress.items()}
    return SpoolStats(tally.recorded, dict(tally.dropped), tally.bytes, dict(tally.services), routes)


def _of_route(
    name: str, route: Checkpoint, behind: int, folder: Path, progress: Mapping[str, Checkpoint]
) -> RouteAccount:
    counts = replayed(folder / "dead-letters")
    # A route that handed over to another one handed over its letters' number too.
    revived = min(route.dead, sum(counts[other] for other in counts if other == name or other not in progress))
    waiting = behind - len(route.ahead)
    return RouteAccount(route.delivered + revived, waiting, route.dead - revived, route.damaged, route.trouble)


def prune(folder: Path, done: AbstractSet[str], limit_bytes: int) -> None:
    """Remove the oldest of the segments that are done, until the rest takes no more than the limit."""
    paths = segment_files(folder / "spool")
    size = sum(path.stat().st_size for path in paths)
    for path in paths:
        if size <= limit_bytes:
            return
        if path.name.removesuffix(SUFFIX) in done and _is_segment(path):
            size -= path.stat().st_size
            _enter(folder, path)
            path.unlink()


def _is_segment(path: Path) -> bool:
    """Whether this version can read it; a file that another hand or another version put there is not ours to remove."""
    try:
        SegmentReader(path).close()
    except (OSError, ValueError):
        return False
    return True


def _enter(folder: Path, path: Path) -> None:
    """Keep what a segment holds in the account, before it goes; whoever is killed between the two counts it once."""
    pruned, segment = _load_pruned(folder), path.name.removesuffix(SUFFIX)
    if segment != pruned.last:
        tally = _Tally(pruned.recorded, Counter(pruned.dropped))
        _count(path, {}, tally)
        new = folder / ".pruned.new"
        new.write_bytes(orjson.dumps(_Pruned(tally.recorded, dict(tally.dropped), segment)))
        new.replace(folder / "pruned.json")


def _count(path: Path, marks: Mapping[str, SegmentOffset], tally: _Tally) -> dict[str, int]:
    """Add a segment to the tally; how many of its events wait, by route."""
    try:
        with SegmentReader(path) as reader:
            is_final = reader.is_final()
            lines = (each for passage in reader.passages(is_final=is_final) for each in passage.lines)
            ends = [after.offset for line, after in lines if is_shipped(line)]
            derived = len(synthesized_events(reader)) if is_final else 0
            dropped, service = reader.header.dropped, reader.header.service
    except (OSError, ValueError):
        return {}
    tally.recorded += len(ends) + derived
    tally.dropped.update(dropped)
    tally.services[service] += len(ends)
    tally.bytes += path.stat().st_size
    return {
        name: 0 if mark.is_done else sum(end > mark.offset for end in ends) + derived - mark.synthesized
        for name, mark in marks.items()
    }


def _load_pruned(folder: Path) -> _Pruned:
    try:
        return _Pruned(**orjson.loads((folder / "pruned.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return _Pruned()
