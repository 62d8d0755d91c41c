"""How far each route has come, kept in a file a route, so that a shipper that was killed goes on where it was."""

import os
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from dashcam.ship.cursor import SegmentOffset


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a route does not get on, and since when (`@timestamp` form)."""

    since: str
    reason: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One route's account: its marks by segment id, and the events delivered and dead-lettered up to them.

    `ahead` are the ids of events behind the marks that are dealt with all the same: a stop fell between batches that
    were under way together.
    """

    marks: Mapping[str, SegmentOffset] = field(default_factory=dict)
    delivered: int = 0
    dead: int = 0
    damaged: int = 0
    trouble: Trouble | None = None
    ahead: AbstractSet[str] = frozenset()

    def advanced(self, marks: Mapping[str, SegmentOffset], delivered: int, dead: int, damaged: int) -> "Checkpoint":
        """The account after a batch was dealt with."""
        return replace(
            self,
            marks={**self.marks, **marks},
            delivered=self.delivered + delivered,
            dead=self.dead + dead,
            damaged=self.damaged + damaged,
        )

    def within(self, segments: AbstractSet[str]) -> "Checkpoint":
        """The account with the marks of these segments only: others are gone, or never were."""
        return replace(self, marks={name: mark for name, mark in self.marks.items() if name in segments})


def load(folder: Path) -> dict[str, Checkpoint]:
    """The account of every route that has one."""
    return {path.stem: _read(path) for path in sorted(folder.glob("*.json"))}


def save(folder: Path, route: str, progress: Checkpoint, *, is_synced: bool = False) -> None:
    """Replace a route's account in one step; `is_synced` also brings it to the disk before."""
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f".{route}.new"
    with new.open("wb") as file:
        file.write(orjson.dumps(progress, default=tuple))  # orjson knows no named tuples and no sets
        if is_synced:
            file.flush()
            os.fsync(file.fileno())
    new.replace(folder / f"{route}.json")


def hand_over(
    folder: Path, routes: Iterable[str], count_before: Callable[[Mapping[str, SegmentOffset]], int]
) -> dict[str, Checkpoint]:
    """The accounts that a shipper for these routes begins with.

    A route that was at work goes on from its own. One that was not goes on where those left that are at work no more
    (the furthest of them, segment by segment), so that an event is in one of them; or beside those that stay. Where
    none of them was ahead everywhere, no account of theirs is that of all marks: `count_before` says how many events
    lie before these.
    """
    routes = list(routes)
    known = load(folder)
    former = [progress for name, progress in known.items() if name not in routes]
    start = Checkpoint() if known.keys() >= set(routes) else _furthest(former or list(known.values()), count_before)
    progress = {route: known.get(route, start) for route in routes}
    for route in routes:
        save(folder, route, progress[route], is_synced=True)
    for route in known.keys() - set(routes):
        (folder / f"{route}.json").unlink()
    return progress


def _furthest(accounts: list[Checkpoint], count_before: Callable[[Mapping[str, SegmentOffset]], int]) -> Checkpoint:
    marks: dict[str, SegmentOffset] = {}
    for account in accounts:
        for segment, mark in account.marks.items():
            marks[segment] = max(
                mark, marks.get(segment, mark), key=lambda each: (each.is_done, each.offset, each.synthesized)
            )
    ahead = frozenset(id_ for account in accounts for id_ in account.ahead if not _is_before(id_, marks))
    best = max(accounts, key=lambda account: account.delivered + account.dead, default=Checkpoint())
    furthest = replace(best, marks=marks, trouble=None, ahead=ahead)
    if any(account.marks == marks and account.ahead == ahead for account in accounts):
        return furthest
    return replace(furthest, delivered=count_before(marks) + len(ahead) - best.dead) if marks else furthest


def _is_before(event_id: str, marks: Mapping[str, SegmentOffset]) -> bool:
    """Whether marks have passed an event, by its place in its segment; one told at a segment's end has none."""
    segment, _, number = event_id.rpartition("-")
    return number.isdecimal() and int(number) <= marks.get(segment, SegmentOffset()).sequence


def _read(path: Path) -> Checkpoint:
    try:
        fields: dict[str, Any] = orjson.loads(path.read_bytes())
        marks = {segment: SegmentOffset(*mark) for segment, mark in fields.pop("marks").items()}
        trouble = fields.pop("trouble")
        ahead = frozenset(fields.pop("ahead", ()))
        return Checkpoint(marks=marks, trouble=Trouble(**trouble) if trouble else None, ahead=ahead, **fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        # A file that a power cut left empty: begin anew; what was delivered comes again under its old ids.
        return Checkpoint()
