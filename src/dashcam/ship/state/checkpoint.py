"""The progress of each route, kept in one journal a route, so that a killed shipper goes on where it was.

The journal `positions/ROUTE.journal` begins with the whole checkpoint, twice, so that one damaged byte costs nothing.
Each further record has the changes: the current counts, the offsets of two changes, events that are done ahead of their
turn, and held events that were sent. Saving takes the same time however many segments there are.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from dashcam import machine
from dashcam.ship.state.journal import FULL, Journal, read_journal, replace_file
from dashcam.spool.held import LEVELS
from dashcam.statement import Link

SUFFIX = ".journal"
COUNTS = ("delivered", "dead", "damaged", "earlier")
MAX_JOURNAL_BYTES = 1 << 20  # more than that, and more than twice the checkpoint itself, is rewritten

_log = logging.getLogger("dashcam.ship")


class SegmentOffset(NamedTuple):
    """The progress of a route in a segment.

    `offset` is the one of the next byte, `sequence` belongs to the line before it. `synthesized` of the events at the
    end of the segment are done, and `is_done` says that nothing is left. `events` counts the events up to here, and
    `held` of them stay in the segment because of their level.
    """

    offset: int = 0
    sequence: int = 0
    is_done: bool = False
    synthesized: int = 0
    events: int = 0
    held: int = 0

    def moved(self, offset: int, sequence: int, events: int, held: int = 0) -> "SegmentOffset":
        """Return the progress behind more lines: so many events, some of them held."""
        # Not by `_replace`, which takes three times as long.
        return SegmentOffset(offset, sequence, self.is_done, self.synthesized, self.events + events, self.held + held)


START = SegmentOffset()


def order(mark: SegmentOffset) -> tuple[int, int, bool]:
    """Sort offsets in a segment by how far they are; one that is done may have been passed by another since."""
    return mark.offset, mark.synthesized, mark.is_done


Levels = Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Trouble:
    """The reason that keeps a route from going on, and the time since when (`@timestamp` form)."""

    since: str
    reason: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One route's offsets by segment, and the events that the route delivered and dead-lettered up to them.

    `earlier` counts the events that were dealt with before the route began. `ahead` are events behind the offsets that
    are dealt with all the same, by segment: batches under way together are answered in any order. Each is the offset
    after its line, or minus its number among the events at the segment's end. `start` and `skipped` are the offsets and
    the events ahead that the route began with: earlier events are in another destination. `kept` are held events that
    were sent with a clip, by segment, each the offset after its line. `levels` are those from which on events of a
    segment were shipped at once, each with the offset where that began. `head` is the statement that the route made
    last, and `before` its predecessor for each segment whose statement may not be delivered yet.
    """

    marks: Mapping[str, SegmentOffset] = field(default_factory=dict)
    delivered: int = 0
    dead: int = 0
    damaged: int = 0
    earlier: int = 0
    trouble: Trouble | None = None
    ahead: Mapping[str, AbstractSet[int]] = field(default_factory=dict)
    start: Mapping[str, SegmentOffset] = field(default_factory=dict)
    skipped: Mapping[str, AbstractSet[int]] = field(default_factory=dict)
    kept: Mapping[str, AbstractSet[int]] = field(default_factory=dict)
    levels: Mapping[str, Levels] = field(default_factory=dict)
    head: Link | None = None
    before: Mapping[str, Link | None] = field(default_factory=dict)

    def left_held(self, segment: str) -> int:
        """Return how many events of a segment are held now."""
        mark = self.marks.get(segment, START)
        return mark.held - sum(number <= mark.offset for number in self.kept.get(segment, ()))

    def kept_ahead(self, segment: str) -> int:
        """Return how many events behind the offset of a segment were sent with a clip."""
        mark = self.marks.get(segment, START)
        return sum(number > mark.offset for number in self.kept.get(segment, ()))


Ahead = Mapping[str, Iterable[int]]


def load(folder: Path) -> dict[str, Checkpoint]:
    """Return the checkpoint of every route that has one. Raises `OSError` when one cannot be read."""
    return {path.stem: read(path)[0] for path in sorted(folder.glob(f"*{SUFFIX}"))}


def save(folder: Path, route: str, checkpoint: Checkpoint) -> None:
    """Write a route's checkpoint whole, synced. Raises `OSError`; the former one is kept then."""
    with contextlib.closing(CheckpointFile(folder, route, checkpoint)) as file:
        file.rewrite()


class CheckpointFile:
    """The checkpoint of a route at work, in memory and on the disk. May be used by several threads.

    A change is in memory first. `is_saved` is false while the disk lacks it; `save` tries again.
    """

    def __init__(self, folder: Path, route: str, checkpoint: Checkpoint) -> None:
        self.route = route
        self._journal = Journal(folder / f"{route}{SUFFIX}")
        self._marks = dict(checkpoint.marks)
        self._ahead = {segment: set(events) for segment, events in checkpoint.ahead.items()}
        self._kept = {segment: set(events) for segment, events in checkpoint.kept.items()}
        self._levels = {segment: tuple(levels) for segment, levels in checkpoint.levels.items()}
        self._claimed: dict[str, set[int]] = {}
        self._retired: set[str] = set()
        self._counts = replace(checkpoint, marks={}, ahead={}, kept={}, levels={}, before={})
        self._before = dict(checkpoint.before)
        self._unsaved: dict[str, Any] | None = None
        self._previous_marks: dict[str, SegmentOffset] = {}
        self._done = {key for key, mark in self._marks.items() if mark.is_done}
        self._snapshot_bytes = 0
        self._changing = machine.RLock()

    @property
    def checkpoint(self) -> Checkpoint:
        """The current checkpoint."""
        with self._changing:
            kept, levels = _frozen(self._kept), dict(self._levels)
            counts = replace(self._counts, before=dict(self._before))
            return replace(counts, marks=dict(self._marks), ahead=_frozen(self._ahead), kept=kept, levels=levels)

    @property
    def trouble(self) -> Trouble | None:
        """The route's trouble, if any."""
        return self._counts.trouble

    @property
    def is_saved(self) -> bool:
        """False while the disk lacks a change."""
        return self._unsaved is None

    def done_segments(self) -> set[str]:
        """Return the segments that are done."""
        with self._changing:
            return set(self._done)

    def offset_in(self, segment: str) -> SegmentOffset:
        """Return the progress in a segment."""
        return self._marks.get(segment, START)

    def change(  # noqa: PLR0913 — by name, and most calls give two
        self,
        marks: Mapping[str, SegmentOffset] | None = None,
        *,
        delivered: int = 0,
        dead: int = 0,
        damaged: int = 0,
        ahead: Ahead | None = None,
        kept: Ahead | None = None,
    ) -> None:
        """Move offsets and add to the counts; `ahead` are done ahead of their turn, `kept` were held before."""
        with self._changing:
            counts = self._counts
            self._counts = replace(
                counts,
                delivered=counts.delivered + delivered,
                dead=counts.dead + dead,
                damaged=counts.damaged + damaged,
            )
            self._marks.update(marks or {})
            for key, mark in (marks or {}).items():  # one that was done may go on
                (self._done.add if mark.is_done else self._done.discard)(key)
                if mark.is_done:
                    self._before.pop(key, None)
            _merge(self._ahead, marks or {}, ahead or {})
            for segment, events in (kept or {}).items():
                self._kept.setdefault(segment, set()).update(events)
                self._claimed.get(segment, set()).difference_update(events)
            self._note(marks or {}, ahead or {}, kept or {})

    def set_level(self, segment: str, offset: int, level: str) -> None:
        """Note from which level on events of a segment are shipped at once, from an offset on."""
        with self._changing:
            known = self._levels.get(segment, ())
            if level != (known[-1][1] if known else LEVELS[0]):
                self._levels[segment] = (*known, (offset, level))
                self._note({}, {})
                (self._unsaved or {}).setdefault("levels", {})[segment] = self._levels[segment]

    def levels_of(self, segment: str) -> Levels:
        """Return the levels from which on events of a segment were shipped at once, each with the offset from which."""
        return self._levels.get(segment, ())

    def level_at(self, segment: str, event: int) -> str:
        """Return from which level on events of a segment were shipped at once, where an event is."""
        passed = [level for offset, level in self._levels.get(segment, ()) if offset < event]
        return passed[-1] if passed else LEVELS[0]

    def claim(self, segment: str, event: int) -> bool:
        """Take a held event to be sent; false where it was sent, is under way, or its segment is about to go."""
        with self._changing:
            claimed = self._claimed.setdefault(segment, set())
            if event in claimed or event in self._kept.get(segment, ()) or segment in self._retired:
                return False
            claimed.add(event)
            return True

    def left_held(self, segment: str) -> int:
        """Return how many events of a segment are held now."""
        with self._changing:
            held = self._marks.get(segment, START).held
            return held and Checkpoint(self._marks, kept=self._kept).left_held(segment)

    def retire(self, segment: str) -> int | None:
        """Let a segment go; return the number of events it still holds, `None` while some of them are under way."""
        with self._changing:
            if self._claimed.get(segment):
                return None
            self._retired.add(segment)
            return self.left_held(segment)

    def reinstate(self, segment: str) -> None:
        """Let a segment stay that was about to go."""
        with self._changing:
            self._retired.discard(segment)

    def statement_before(self, segment: str) -> Link | None:
        """Return the statement before the one of a segment; a restart does not change it."""
        return self._before.get(segment, self._counts.head)

    def set_head(self, segment: str, head: Link) -> None:
        """Remember the statement of a segment, which is sent next."""
        with self._changing:
            self._before.setdefault(segment, self._counts.head)
            self._counts = replace(self._counts, head=head)
            self._note({}, {})

    def set_trouble(self, trouble: Trouble | None) -> None:
        """Set the current trouble of the route."""
        with self._changing:
            self._counts = replace(self._counts, trouble=trouble)
            self._note({}, {})

    def save(self) -> None:
        """Bring the changes to the file. Raises `OSError`; they stay in memory then, for the next `save`."""
        with self._changing:
            if self._unsaved is None:
                return
            if self._journal.size_bytes > max(MAX_JOURNAL_BYTES, 2 * self._snapshot_bytes):
                self.rewrite()
                return
            marks = self._unsaved["marks"]
            self._journal.append(self._unsaved | self._count_fields() | {"marks": self._previous_marks | marks})
            self._previous_marks, self._unsaved = marks, None

    def begin(self) -> None:
        """Write the file whole; on a full disk, go on in the one that is there if it says the same.

        Raises `OSError`.
        """
        try:
            self.rewrite()
        except OSError as fault:
            if fault.errno not in FULL or read(self._journal.path) != (self.checkpoint, 0):
                raise
            self._journal.resume()

    def rewrite(self) -> None:
        """Write the file whole, synced. Raises `OSError`."""
        with self._changing:
            ahead = {segment: list(events) for segment, events in self._ahead.items()}
            record = self._count_fields() | {"whole": True, "marks": self._marks, "ahead": ahead}
            skipped = {segment: list(events) for segment, events in self._counts.skipped.items()}
            record |= {"start": self._counts.start, "skipped": skipped}
            if self._levels:
                kept = {segment: list(events) for segment, events in self._kept.items()}
                record |= {"kept": kept, "levels": self._levels}
            self._journal.rewrite([record, record])
            self._snapshot_bytes = self._journal.size_bytes
            self._previous_marks, self._unsaved = {}, None

    def sync(self, present: AbstractSet[str] | None = None) -> None:
        """Sync the file to the disk; write it again if it was removed. Raises `OSError`.

        With `present`, offsets of other segments are left out of the next whole writing.
        """
        with self._changing:
            if present is not None and len(self._marks) > 2 * len(present) + 100:
                self._marks = {key: mark for key, mark in self._marks.items() if key in present}
                self._done &= present
                start = {key: mark for key, mark in self._counts.start.items() if key in present}
                skipped = {key: events for key, events in self._counts.skipped.items() if key in present}
                self._counts = replace(self._counts, start=start, skipped=skipped)
                for events in (self._kept, self._levels, self._claimed):
                    for key in events.keys() - present:
                        del events[key]
                self._retired &= present
            if not self._journal.is_in_place():
                self.rewrite()
                _log.warning("%s was removed, and is written again; nothing is lost", self._journal.path)
            self._journal.sync()

    def close(self) -> None:
        """Close the file."""
        self._journal.close()

    def _note(self, marks: Mapping[str, SegmentOffset], ahead: Ahead, kept: Ahead | None = None) -> None:
        """Remember unsaved changes; several of them are saved as one record."""
        unsaved = self._unsaved = self._unsaved or {"marks": {}, "ahead": {}}
        unsaved["marks"].update(marks)
        for name, changed in (("ahead", ahead), ("kept", kept or {})):
            for segment, events in changed.items():
                unsaved.setdefault(name, {}).setdefault(segment, []).extend(events)

    def _count_fields(self) -> dict[str, Any]:
        counts = self._counts
        fields = {name: getattr(counts, name) for name in (*COUNTS, "trouble")}
        return fields | ({"head": counts.head, "before": self._before} if counts.head else {})


def hand_over(
    folder: Path, routes: Iterable[str], count_before: Callable[[Mapping[str, SegmentOffset]], int]
) -> dict[str, Checkpoint]:
    """Return the checkpoints that a shipper for these routes begins with, and make them the only ones.

    A known route continues from its own. A new one begins at the furthest offsets of the routes that are no longer
    configured, segment by segment, so that each event is in one of them; without such routes, at the furthest of the
    others. `count_before` counts the events before its offsets, which it does not ship.

    Raises `OSError` when they cannot be kept.
    """
    routes = list(routes)
    known = load_checked(folder)
    former = [checkpoint for name, checkpoint in known.items() if name not in routes]
    checkpoints = {
        route: known.get(route) or _furthest(former or list(known.values()), count_before) for route in routes
    }
    for route in checkpoints.keys() - known.keys():
        save(folder, route, checkpoints[route])
    for route in known.keys() - set(routes):
        (folder / f"{route}{SUFFIX}").unlink(missing_ok=True)
    return checkpoints


def load_checked(folder: Path) -> dict[str, Checkpoint]:
    """Return every checkpoint as `load` does; a journal with damage is kept beside, and reported."""
    checkpoints = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        checkpoint, damaged = read(path)
        if damaged:
            aside = path.with_suffix(f"{SUFFIX}.damaged")
            replace_file(aside, path.read_bytes())
            _log.error("%s: %d damaged records are left out; a copy is %s (dashcam repair)", path, damaged, aside)
        checkpoints[path.stem] = replace(checkpoint, damaged=checkpoint.damaged + damaged)
    return checkpoints


def _furthest(checkpoints: list[Checkpoint], count_before: Callable[[Mapping[str, SegmentOffset]], int]) -> Checkpoint:
    marks: dict[str, SegmentOffset] = {}
    kept: dict[str, AbstractSet[int]] = {}
    levels: dict[str, Levels] = {}
    for checkpoint in checkpoints:
        for segment, mark in checkpoint.marks.items():
            if order(mark) >= order(marks.get(segment, START)):
                marks[segment] = mark
                kept[segment] = checkpoint.kept.get(segment, frozenset())
                levels[segment] = checkpoint.levels.get(segment, ())
    ahead: dict[str, set[int]] = {}
    for checkpoint in checkpoints:
        _merge(ahead, marks, checkpoint.ahead)
    kept = {segment: events for segment, events in kept.items() if events}
    found = Checkpoint(
        marks,
        ahead=_frozen(ahead),
        start=marks,
        skipped={segment: frozenset((*ahead.get(segment, ()), *kept.get(segment, ()))) for segment in {*ahead, *kept}},
        kept=_frozen(kept),
        levels={segment: each for segment, each in levels.items() if each},
    )
    settled = sum(map(len, ahead.values())) + sum(map(found.kept_ahead, kept))
    held = sum(found.left_held(segment) for segment, mark in marks.items() if mark.held)
    return replace(found, earlier=count_before(marks) + settled - held if checkpoints else 0)


def _merge(into: dict[str, set[int]], marks: Mapping[str, SegmentOffset], ahead: Ahead) -> None:
    """Add events that are ahead to others, and remove the ones that offsets have passed."""
    for segment, events in ahead.items():
        into.setdefault(segment, set()).update(events)
    for segment in into.keys() & marks.keys():
        mark, known = marks[segment], into[segment]
        is_passed = not known or (max(known) <= mark.offset and -min(known) <= mark.synthesized)
        left = set() if is_passed else {event for event in known if event > mark.offset or -event > mark.synthesized}
        if left and not mark.is_done:
            into[segment] = left
        else:
            del into[segment]


def _frozen(ahead: Ahead) -> dict[str, frozenset[int]]:
    return {segment: frozenset(events) for segment, events in ahead.items()}


def read(path: Path) -> tuple[Checkpoint, int]:
    """Return a journal's checkpoint, and how many of its records are damaged."""
    records, damaged = read_journal(path)
    checkpoint = Checkpoint()
    marks: dict[str, SegmentOffset] = {}
    ahead: dict[str, set[int]] = {}
    start: Mapping[str, SegmentOffset] = {}
    skipped: Mapping[str, AbstractSet[int]] = {}
    kept: dict[str, set[int]] = {}
    levels: dict[str, Levels] = {}
    for record in records:
        try:
            changed = {key: SegmentOffset(*mark) for key, mark in record["marks"].items()}
            trouble = Trouble(**record["trouble"]) if record["trouble"] else None
            delivered, dead, damaged_, earlier = (int(record[name]) for name in COUNTS)
            if record.get("whole"):
                marks, ahead, kept, levels = {}, {}, {}, {}
                start = {key: SegmentOffset(*mark) for key, mark in record.get("start", {}).items()}
                skipped = _frozen(record.get("skipped", {}))
            marks.update(changed)
            _merge(ahead, changed, record["ahead"])
            for segment, events in record.get("kept", {}).items():
                kept.setdefault(segment, set()).update(events)
            levels |= {segment: tuple(map(tuple, each)) for segment, each in record.get("levels", {}).items()}
            head = Link(*record["head"]) if record.get("head") else None
            before = {key: Link(*link) if link else None for key, link in record.get("before", {}).items()}
            checkpoint = Checkpoint({}, delivered, dead, damaged_, earlier, trouble, head=head, before=before)
        except (ValueError, TypeError, KeyError, AttributeError):
            damaged += 1
    found = replace(checkpoint, marks=marks, ahead=_frozen(ahead), start=start, skipped=skipped)
    return replace(found, kept=_frozen(kept), levels=levels), damaged
