"""Events out of the local store's file; `file.py` has its format.

An index narrows a search to blocks as far as it can, then every event of these is held against the search itself. Each
reading is a short transaction of its own: a search that is read slowly keeps neither the writer nor its log waiting.
"""

import heapq
import logging
import os
import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, pairwise
from operator import attrgetter
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from dashcam.destinations.local.blocks import clock
from dashcam.destinations.local.blocks import file as local_file
from dashcam.destinations.local.blocks.file import FIRST_ROWID, LAST_ROWID, Block
from dashcam.destinations.local.index import request_counts, tallies
from dashcam.destinations.local.index import terms as by
from dashcam.destinations.local.index.terms import INDEXED, MEASURED, is_label
from dashcam.destinations.local.options import Options
from dashcam.destinations.local.search.prefilter import is_plain, lines_with, prefilter_for
from dashcam.errors import StoreEmpty, StoreUnreachable
from dashcam.event import Event
from dashcam.find.aggregation import Group, Grouping, Groups, group_events
from dashcam.find.query import And, Exists, Expression, Or, Phrase, Query, Range, Term, Wildcard
from dashcam.find.values import SEARCHED, words_of

BUSY_S = 5.0  # a writer that recovers the file after a crash is waited for
PAGE_BLOCKS = 64
MORE_THAN_HITS = 4  # blocks that show that no newer hit follows
MORE_BLOCKS = 8  # times as many as were not enough
MAX_NAMED = 500  # rows that a statement names by their numbers
MAX_NARROWING = 8  # FTS5's parser takes about 30 brackets within each other

_log = logging.getLogger("dashcam")

_NOTHING = '"="'  # a term that no event has

_Value = TypeVar("_Value")


def open_store(options: Options) -> "LocalStore":
    """The store of the file in `options.dir`; the file is opened by the first search."""
    return LocalStore(local_file.path_of(options))


class LocalStore:
    """One file's reader; its searches may run side by side, in any threads, each over a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[tuple[os.stat_result, sqlite3.Connection]] = []  # and which file each of them has open

    def find(self, query: Query) -> Iterator[Event]:
        """The events of a query, oldest first, none twice; raises `StoreUnreachable` also when there is no file yet."""
        with self._reading() as db:
            if not local_file.is_blank(db):
                yield from _newest(db, query) if query.limit else _all(db, query)

    def aggregate(self, query: Query, groupings: Sequence[Grouping]) -> list[Groups | None]:
        """Return the groups of events by fields that are counted; `None` for any others."""
        with self._reading() as db:
            if local_file.is_blank(db):
                return [{} for _ in groupings]
            with _snapshot(db):
                return _counted(db, query, groupings)

    def find_copies(self, query: Query) -> Iterator[Event]:
        """The events of a query; each event is stored once, so there are no other copies."""
        return self.find(query)

    def let_go_ns(self) -> int:
        """The time before which events may have been deleted."""
        with self._reading() as db:
            return clock.let_go_until(db) * 1000

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection; errors name the file."""
        try:
            file, db = self._connection()
            try:
                yield db
            except BaseException:  # also when the caller stops reading
                db.close()
                raise
            self._idle.append((file, db))
        except sqlite3.Error as fault:
            raise StoreUnreachable(local_file.reason_of(self._path, fault)) from fault

    def close(self) -> None:
        """Close the file."""
        while self._idle:
            self._idle.pop()[1].close()

    def _connection(self) -> tuple[os.stat_result, sqlite3.Connection]:
        """An idle connection to the file that is at the path now, or a new one."""
        try:
            now = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            raise StoreEmpty(
                f"{self._path} does not exist: nothing was shipped to the local store yet. "
                "Is `dashcam ship` running, with the same DASHCAM_DIR?"
            ) from None
        while self._idle:
            file, db = self._idle.pop()
            if os.path.samestat(file, now):
                return file, db
            db.close()
        return now, self._opened()

    def _opened(self) -> sqlite3.Connection:
        """A new connection, for reading; a file that a power cut left in the middle of a change is put right first."""
        try:
            return self._connect("ro")
        except sqlite3.OperationalError as fault:
            if not fault.sqlite_errorname.startswith("SQLITE_READONLY_"):
                raise
        self._connect("rw").close()
        return self._connect("ro")

    def _connect(self, mode: str) -> sqlite3.Connection:
        address = f"file:{quote(str(self._path))}?mode={mode}"
        db = sqlite3.connect(address, timeout=BUSY_S, isolation_level=None, check_same_thread=False, uri=True)
        try:
            local_file.version_of(db)  # the first statement recovers from a power cut
        except BaseException:
            db.close()
            raise
        return db


def _counted(db: sqlite3.Connection, query: Query, groupings: Sequence[Grouping]) -> list[Groups | None]:
    found: dict[Grouping, Groups] = {}
    for grouping in groupings:
        if request_counts.can_count(query, grouping):
            groups, unread = request_counts.count(db, query, grouping, _Look(query).bounds)
            found[grouping] = _with_read(db, query, {grouping: groups}, unread)[grouping]
    others = [one for one in groupings if one not in found and tallies.can_count(query, one)]
    if others:
        found |= _tallied(db, query, others)
    return [found.get(grouping) for grouping in groupings]


def _tallied(db: sqlite3.Connection, query: Query, groupings: Sequence[Grouping]) -> dict[Grouping, Groups]:
    """Count all that have one step together."""
    found: dict[Grouping, Groups] = {}
    for step_ns in {grouping.step_ns for grouping in groupings}:
        tally = tallies.count(db, step_ns // 1000, _Look(query).bounds)
        counted = {
            one: tallies.groups_of(tally, tallies.wanted_keys(db, query.expression, one))
            for one in groupings
            if one.step_ns == step_ns
        }
        found |= _with_read(db, query, counted, tally.unread)
    return found


def _with_read(
    db: sqlite3.Connection, query: Query, counted: dict[Grouping, Groups], unread: Sequence[int]
) -> dict[Grouping, Groups]:
    """Add to the groups of whole blocks the events of those that have to be read, or lie in the period in part."""
    look = _Look(query)
    ends = _ends(db, look.bounds)
    blocks = (block for some in _chunks([*unread, *ends], MAX_NAMED) for block in _read(db, some))
    events = (by_id.event for block in blocks for _, by_id in look.through(block))
    for groups, read in zip(counted.values(), group_events(events, list(counted)), strict=True):
        for key, group in read.items():
            groups.setdefault(key, Group()).merge(group)
    return counted


def _ends(db: sqlite3.Connection, bounds: tuple[int, int]) -> list[int]:
    """Return the blocks that lie in a period in part."""
    ends = (
        "SELECT rowid FROM blocks WHERE rowid BETWEEN :low AND :low_end AND first < :low AND first <= :high"
        " UNION SELECT rowid FROM blocks WHERE rowid > :high AND rowid <= :high_end AND first <= :high"
    )
    span = _longest_span(db)
    low_end, high_end = (min(one + span, LAST_ROWID) for one in bounds)
    given = {"low": bounds[0], "high": bounds[1], "low_end": low_end, "high_end": high_end}
    return [rowid for (rowid,) in db.execute(ends, given)]


def _newest(db: sqlite3.Connection, query: Query) -> Iterator[Event]:
    """The newest `query.limit` events, oldest first."""
    kept: list[_Found] = []
    look = _Look(query)
    for block in _blocks(db, query, newest_first=True):
        for found in look.through(block, newest_first=True):
            if len(kept) < query.limit:
                heapq.heappush(kept, found)
            elif found[0] < kept[0][0]:  # the rest of the block is older
                break
            else:
                heapq.heappushpop(kept, found)
        # Further blocks have lower numbers, and no event is later than the number of its block.
        if len(kept) == query.limit and block.rowid <= kept[0][0]:
            break
    yield from (by_id.event for _, by_id in sorted(kept))


def _all(db: sqlite3.Connection, query: Query) -> Iterator[Event]:
    """All events, oldest first; none is held longer than until its turn is certain."""
    waiting: list[_Found] = []
    look = _Look(query)
    for block in _blocks(db, query, newest_first=False):
        ready = bisect_left(waiting, (block.first_us,))
        yield from (by_id.event for _, by_id in waiting[:ready])
        del waiting[:ready]
        waiting += look.through(block)
        waiting.sort()
    yield from (by_id.event for _, by_id in waiting)


class _ById:
    """The order of hits in the same microsecond. Few share one, so the ID of a hit is rarely read."""

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event = event

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and self.event.id == other.event.id

    def __lt__(self, other: "_ById") -> bool:
        return self.event.id < other.event.id

    __hash__ = None  # type: ignore[assignment]


_Found = tuple[int, _ById]
"""A hit: its time in microseconds and its event, by which they are ordered."""


class _Look:
    """A search's look at block after block."""

    def __init__(self, query: Query) -> None:
        self._matches = query.expression.matches
        self._prefilter = prefilter_for(query.expression)
        low = FIRST_ROWID if query.since_ns is None else -(-query.since_ns // 1000)
        high = LAST_ROWID if query.until_ns is None else -(-query.until_ns // 1000) - 1
        self.bounds = low, high

    def through(self, block: Block, *, newest_first: bool = False) -> Iterator[_Found]:
        """Yield the hits of a block."""
        is_plain_block, of_all = is_plain(block.text), None
        if is_plain_block and self._prefilter.needle:
            lines = lines_with(block.text, self._prefilter.needle)
        else:
            of_all = self._prefilter.decide(block.text) if is_plain_block else None
            lines = iter(()) if of_all is False else enumerate(block.text.split(b"\n"))
        for number, line in reversed([*lines]) if newest_first else lines:
            time_us = block.first_us + block.since[number]
            if not self.bounds[0] <= time_us <= self.bounds[1]:
                continue
            seen = of_all
            if seen is None and (is_plain_block or is_plain(line)):
                seen = self._prefilter.decide(line)
            if seen is False:
                continue
            event = Event.from_line(line)
            if seen or self._matches(event):
                yield time_us, _ById(event)


def _blocks(db: sqlite3.Connection, query: Query, *, newest_first: bool) -> Iterator[Block]:
    """Yield the blocks that may have hits: at least all that do, by the last event of each or by the first."""
    pages = _newest_pages(db, query) if newest_first else _oldest_pages(db, query)
    return chain.from_iterable(pages)


def _newest_pages(db: sqlite3.Connection, query: Query) -> Iterator[Iterator[Block]]:
    narrowed = narrow(query.expression)
    low, high = _bounds(db, query)
    size = min(query.limit + MORE_THAN_HITS, MAX_NAMED)  # of rare hits there is one a block
    while low <= high:
        rowids = _rowids(db, narrowed, (low, high), size)
        for some in _chunks(rowids, PAGE_BLOCKS):  # none changes, but one may go meanwhile
            yield _read(db, some, newest_first=True)
        if len(rowids) < size:
            break
        high = rowids[-1] - 1
        # The question costs more than the numbers that answer it.
        size = min(MORE_BLOCKS * size, MAX_NAMED)


def _oldest_pages(db: sqlite3.Connection, query: Query) -> Iterator[list[Block]]:
    narrowed = narrow(query.expression)
    low, high = _bounds(db, query)
    if narrowed is not None:
        with _snapshot(db):
            rowids = _rowids(db, narrowed, (low, high), -1)
            firsts = sorted(pair for some in _chunks(rowids, MAX_NAMED) for pair in _firsts(db, some))
        for some in _chunks(firsts, PAGE_BLOCKS):
            yield sorted(_read(db, [rowid for _, rowid in some]), key=attrgetter("first_us"))
        return
    following = (
        "SELECT first, rowid FROM blocks WHERE (first, rowid) > (?, ?) AND rowid >= ? AND first <= ? "
        "ORDER BY first, rowid LIMIT ?"
    )
    after = max(low - _longest_span(db), FIRST_ROWID), FIRST_ROWID
    while some := db.execute(following, (*after, low, high, PAGE_BLOCKS)).fetchall():
        yield sorted(_read(db, [rowid for _, rowid in some]), key=attrgetter("first_us"))
        after = some[-1]


def _rowids(db: sqlite3.Connection, narrowed: str | None, bounds: tuple[int, int], limit: int) -> list[int]:
    """Return the numbers of blocks that may have hits, the highest first."""
    if narrowed is None:
        rows = db.execute(
            "SELECT rowid FROM blocks WHERE rowid BETWEEN ? AND ? ORDER BY rowid DESC LIMIT ?", (*bounds, limit)
        )
        return [rowid for (rowid,) in rows]
    partitions = [local_file.partition_name(number) for (number,) in db.execute("SELECT number FROM partitions")]
    one = "SELECT rowid AS found FROM {0} WHERE {0} MATCH :words AND rowid BETWEEN :low AND :high"
    every = " UNION ALL ".join(one.format(partition) for partition in partitions)
    ordered = f"{every} ORDER BY found DESC LIMIT :limit"
    given = {"low": bounds[0], "high": bounds[1], "words": narrowed, "limit": limit}
    return [rowid for (rowid,) in db.execute(ordered, given)] if partitions else []


def _firsts(db: sqlite3.Connection, rowids: Sequence[int]) -> list[tuple[int, int]]:
    """Return the time of the first event of each block, and the block's number."""
    return db.execute(f"SELECT first, rowid FROM blocks WHERE rowid IN ({_marks(rowids)})", rowids).fetchall()  # noqa: S608


def _read(db: sqlite3.Connection, rowids: Sequence[int], *, newest_first: bool = False) -> Iterator[Block]:
    """Yield blocks by their numbers, in the order of these; damage to one costs that one alone.

    They are read together, and each is unpacked when its turn comes: a search may have enough before.
    """
    columns = "SELECT rowid, first, events, body FROM blocks"
    order = "DESC" if newest_first else "ASC"
    for row in db.execute(f"{columns} WHERE rowid IN ({_marks(rowids)}) ORDER BY rowid {order}", rowids).fetchall():
        try:
            yield local_file.unpack(*row)
        except ValueError as fault:
            _log.warning(
                "block %d of the local store is damaged, and its %d events left out: %s", row[0], row[2], fault
            )


def _marks(values: Sequence[int]) -> str:
    return ",".join("?" * len(values))


def _chunks(values: Sequence[_Value], size: int) -> Iterator[Sequence[_Value]]:
    return (values[first : first + size] for first in range(0, len(values), size))


@contextmanager
def _snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """See the file as it is at one moment, unless this is part of a longer reading."""
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN")
    yield
    db.execute("COMMIT")


def _bounds(db: sqlite3.Connection, query: Query) -> tuple[int, int]:
    """Return the lowest and the highest number of blocks that may have hits."""
    low = FIRST_ROWID if query.since_ns is None else query.since_ns // 1000
    high = LAST_ROWID if query.until_ns is None else query.until_ns // 1000 + _longest_span(db)
    return min(max(low, FIRST_ROWID), LAST_ROWID), min(max(high, FIRST_ROWID), LAST_ROWID)


def _longest_span(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT longest_span FROM meta").fetchone()[0])


def narrow(expression: Expression, depth: int = 0) -> str | None:
    """An FTS5 query that finds at least the events of an expression; `None` when only all of them are sure to do."""
    if depth > MAX_NARROWING:
        return None
    match expression:
        case Phrase(text, "", prefix):
            terms = [_term(by.value_term(term.field, term.value)) for term in expression.id_terms]
            words = _phrase(words_of(text), prefix=prefix)
            return _one_of([words, *terms]) if terms else words
        case Phrase(text, field, prefix) if field in SEARCHED:
            return _phrase(words_of(text), prefix=prefix)
        case Term(field, value) if field in INDEXED or is_label(field):
            return _term(by.value_term(field, value))
        case Exists(field) | Wildcard(field) if is_label(field):
            return _term(by.name_term(field))
        case Range(field, low, high) if field in MEASURED or is_label(field):
            return _one_of(map(_term, by.size_terms(field, low, high)))
        case And(parts):
            narrowed = [narrow(part, depth + 1) for part in parts]
            return " AND ".join(f"({part})" for part in narrowed if part) or None
        case Or(parts):
            narrowed = [narrow(part, depth + 1) for part in parts]
            return None if None in narrowed else _one_of(part for part in narrowed if part)
    return None


def _phrase(words: list[str], *, prefix: bool) -> str:
    """Narrow to the blocks that have each two words that follow each other, or a word that stands by itself."""
    if not words:
        return _NOTHING
    *whole, last = words if prefix else [*words, ""]
    terms = [by.pair_term(*pair) for pair in pairwise(whole)] or [by.word_term(word) for word in whole]
    parts = [*map(_term, terms), *([f"{_term(by.word_term(last))} *"] if prefix else [])]
    return " AND ".join(parts)


def _one_of(parts: Iterable[str]) -> str:
    return " OR ".join(f"({part})" for part in parts) or _NOTHING


def _term(text: str) -> str:
    return f'"{text}"'
