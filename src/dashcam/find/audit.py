"""Holds a store against the statements that it has of finished segments (`dashcam/statement.py`)."""

import hashlib
import math
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from dashcam.event import Event
from dashcam.find.query import STATEMENT, Query, Store
from dashcam.statement import Link, Statement, is_statement

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
        self._seen: set[str] = set()

    def run(self, dead: Collection[str], head: Link | None) -> Findings:
        known = self._statements()
        until_ns = math.inf if self._until_ns is None else self._until_ns
        stated = [each for each in known.values() if self._since_ns <= each.end_ns < until_ns]
        findings = self._findings
        findings.segments = len({each.segment for each in stated})
        findings.end_ns = max((each.end_ns for each in stated), default=0)
        wanted = {id_: each for each in stated for id_ in each.events}
        findings.expected = len(wanted)
        self._compare(wanted, known.values(), stated)
        for id_ in sorted(wanted.keys() - self._seen - set(dead)):
            if wanted[id_].start_ns <= self._let_go_ns:
                findings.let_go += 1
            else:
                findings.missing.append(id_)
        self._check_links(known, stated, head)
        return findings

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
        self, wanted: Mapping[str, Statement], known: Iterable[Statement], stated: Collection[Statement]
    ) -> None:
        segments = {each.segment for each in stated}
        others = {id_ for each in known if each.segment in segments for id_ in each.events}
        by_segment = {each.segment: each for each in stated}
        whole = _Whole(self._findings)
        for event in self._events(stated):
            id_ = event.id
            if id_ in wanted:
                line, statement = event.to_json(), wanted[id_]
                if id_ in self._seen:
                    self._findings.double.append(id_)
                self._seen.add(id_)
                if zlib.crc32(line) == statement.events[id_]:
                    whole.add(id_, line, statement)
                else:
                    self._findings.changed.append(id_)
            elif id_[:_ID_BYTES] in segments and not (
                is_statement(id_) or id_ in others or by_segment[id_[:_ID_BYTES]].may_be_there(id_)
            ):
                self._findings.invented.append(id_)

    def _events(self, stated: Iterable[Statement]) -> Iterator[Event]:
        """Yield the events of the times that the statements speak of."""
        end_ns = -1
        for begin, end in sorted((each.start_ns, each.end_ns) for each in stated):
            if end > end_ns:
                yield from self._copies(Query(since_ns=max(begin, end_ns + _US_NS), until_ns=end + _US_NS))
                end_ns = end

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


class _Whole:
    """Segments of which each event has the right CRC-32, held against the SHA-256 of all: a CRC-32 can be forged."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._lines: dict[str, dict[str, bytes]] = {}

    def add(self, id_: str, line: bytes, statement: Statement) -> None:
        lines = self._lines.setdefault(statement.link.id, {})
        lines[id_] = line
        if len(lines) == len(statement.events):
            del self._lines[statement.link.id]
            text = b"".join(lines[each] + b"\n" for each in statement.events)
            if hashlib.sha256(text).hexdigest() != statement.digest:
                self._findings.gaps.append(f"{statement.link.id}: an event of the segment was forged")
