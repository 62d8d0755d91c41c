"""Holds a store against the statements that it has of finished segments (`dashcam/statement.py`)."""

import hashlib
import math
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import not_
from typing import Protocol

from dashcam.event import NS_PER_S, Event
from dashcam.find.query import STATEMENT, Query, Store
from dashcam.statement import Link, Statement, as_sent, is_statement

_ID_BYTES = 24  # of a segment, whose first half is the time in milliseconds
_US_NS = 1000  # a store may keep no more than microseconds


class CopiesStore(Store, Protocol):
    """A store that can say more than what readers see; the audit of another one sees no copies, and excuses nothing."""

    def find_copies(self, query: Query) -> Iterator[Event]:
        """The events of a query, each copy of them that is more than a resend which the store did not take."""

    def let_go_ns(self) -> int:
        """The time up to which the store may have let events go by itself, as it is set to do."""


@dataclass(slots=True)
class Findings:
    """The result for one store: the events that were stated, and the IDs of those that are not well.

    `gaps` says which statements are missing or changed. `let_go` events are missing because they are too old for the
    store. `end_ns` is the time of the last event that was stated.
    """

    expected: int = 0
    segments: int = 0
    missing: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    let_go: int = 0
    end_ns: int = 0

    @property
    def is_well(self) -> bool:
        """True when the store has everything that was stated, as it was."""
        return not (self.missing or self.double or self.changed or self.invented or self.gaps)


def audit(store: Store, period: Query, *, dead: Collection[str] = (), head: Link | None = None) -> Findings:
    """Hold a store against the statements of segments that end within a period.

    `dead` has the IDs of events that the store refused, and `head` is the newest statement, as far as these are known.
    Raises `StoreUnreachable`.
    """
    copies: Callable[[Query], Iterator[Event]] = getattr(store, "find_copies", store.find)
    let_go: Callable[[], int] = getattr(store, "let_go_ns", int)
    return _Audit(copies, let_go(), period).run(dead, head)


class _Audit:
    def __init__(self, copies: Callable[[Query], Iterator[Event]], let_go_ns: int, period: Query) -> None:
        self._copies = copies
        self._let_go_ns = let_go_ns
        self._since_ns, self._until_ns = period.since_ns or 0, period.until_ns
        self._findings = Findings()

    def run(self, dead: Collection[str], head: Link | None) -> Findings:
        known = self._statements()
        until_ns = math.inf if self._until_ns is None else self._until_ns
        stated = [each for each in known.values() if self._since_ns <= each.end_ns < until_ns]
        segments = defaultdict[str, list[_Stated]](list)
        for each in stated:
            segments[each.segment].append(_Stated(each))
        findings = self._findings
        findings.segments = len(segments)
        findings.end_ns = max((each.end_ns for each in stated), default=0)
        self._compare(segments, known.values(), stated)
        for parts in segments.values():
            self._count(parts, dead)
        findings.missing.sort()
        self._check_links(known, stated, head)
        return findings

    def _count(self, parts: "Sequence[_Stated]", dead: Collection[str]) -> None:
        """Count what one segment has, and which of its events were not seen; a part may be stated twice."""
        missing = {id_: part.statement for part in parts for id_ in part.unseen() if id_ not in dead}
        self._findings.expected += len({id_ for part in parts for id_ in part.statement.ids()})
        for id_, statement in missing.items():
            if statement.start_ns <= self._let_go_ns:
                self._findings.let_go += 1
            else:
                self._findings.missing.append(id_)

    def _statements(self) -> dict[str, Statement]:
        """Return all statements by ID, for any may stand before one of the period."""
        known: dict[str, Statement] = {}
        for event in self._copies(Query(STATEMENT)):
            try:
                statement = Statement.of(event)
            except ValueError as fault:
                self._findings.gaps.append(str(fault))
                continue
            if known.setdefault(event.id, statement).link != statement.link:
                self._findings.gaps.append(f"there are two statements {event.id}, which differ")
        return known

    def _compare(
        self, segments: Mapping[str, "Sequence[_Stated]"], known: Iterable[Statement], stated: Collection[Statement]
    ) -> None:
        of_segment = defaultdict[str, list[Statement]](list)
        for each in known:
            if each.segment in segments:
                of_segment[each.segment].append(each)
        whole = _Whole(self._findings)
        for event in self._events(stated):
            id_, parts = event.id, segments.get(event.id[:_ID_BYTES], ())
            found = [(part, at) for part in parts if (at := part.statement.find(id_)) is not None]
            if found:
                part, at = found[-1]
                line = as_sent(event)
                if part.seen[at]:
                    self._findings.double.append(id_)
                for each_part, place in found:
                    each_part.seen[place] = True
                if zlib.crc32(line) == part.statement.checksums[at]:
                    whole.add(at, line, part.statement)
                else:
                    self._findings.changed.append(id_)
            elif parts and not (
                is_statement(id_)
                or any(each.find(id_) is not None for each in of_segment[id_[:_ID_BYTES]])
                or parts[-1].statement.may_be_there(id_)
            ):
                self._findings.invented.append(id_)

    def _events(self, stated: Iterable[Statement]) -> Iterator[Event]:
        """Yield the events of the times that the statements speak of, and of what lies shortly between them."""
        periods: list[tuple[int, int]] = []
        for begin, end in sorted((each.start_ns, each.end_ns) for each in stated):
            if periods and begin <= periods[-1][1] + NS_PER_S:
                first, last = periods.pop()
                periods.append((first, max(last, end)))
            else:
                periods.append((begin, end))
        for begin, end in periods:
            yield from self._copies(Query(since_ns=begin, until_ns=end + _US_NS))

    def _check_links(self, known: Mapping[str, Statement], stated: Iterable[Statement], head: Link | None) -> None:
        links = {each.before: f"before {each.link.id}" for each in stated if each.before}
        if head and self._until_ns is None:
            links.setdefault(head, "made last")
        for link, place in links.items():
            found = known.get(link.id)
            if found and found.link != link:
                self._findings.gaps.append(f"the statement {link.id}, {place}, was changed")
            elif not found and int(link.id[:12], 16) * 1_000_000 > self._let_go_ns:  # its segment was begun later
                self._findings.gaps.append(f"the statement {link.id}, {place}, is missing")


class _Stated:
    """A statement, and for each of its events whether the store has it."""

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self.seen = bytearray(len(statement))

    def unseen(self) -> Iterator[str]:
        return compress(self.statement.ids(), map(not_, self.seen))


class _Whole:
    """Segments of which each event has the right CRC-32, held against the SHA-256 of all: a CRC-32 can be forged."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._lines: dict[str, dict[int, bytes]] = {}

    def add(self, at: int, line: bytes, statement: Statement) -> None:
        lines = self._lines.setdefault(statement.link.id, {})
        lines[at] = line
        if len(lines) == len(statement):
            del self._lines[statement.link.id]
            text = b"".join(lines[each] + b"\n" for each in range(len(statement)))
            if hashlib.sha256(text).hexdigest() != statement.digest:
                self._findings.gaps.append(f"{statement.link.id}: an event of the segment was forged")
