"""Events out of the local store's file; `local_file` has its format.

An index narrows a search as far as it can, then every event is held against the search itself. Each reading is a short
transaction of its own: a search that is read slowly keeps neither the writer nor its log waiting.
"""

import heapq
import logging
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from dashcam.destinations.local import file as local_file
from dashcam.destinations.local.file import FIRST_PLACE, INDEXED, LAST_PLACE, MEASURED, is_label
from dashcam.destinations.local.options import Options
from dashcam.errors import StoreEmpty, StoreUnreachable
from dashcam.event import Event
from dashcam.find.query import And, Exists, Expression, Or, Phrase, Query, Range, Term, Wildcard
from dashcam.find.values import SEARCHED, words_of

BUSY_S = 5.0  # a writer that recovers the file after a crash is waited for
PAGE_EVENTS = 1_000
MIN_PAGE_EVENTS = 32
MAX_NARROWING = 8  # FTS5's parser takes about 30 brackets within each other

_log = logging.getLogger("dashcam")

_NOTHING = '"="'  # what no event is found by


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
        try:
            file, db = self._connection()
            try:
                if not local_file.is_blank(db):
                    yield from _newest(db, query) if query.limit else _all(db, query)
            except BaseException:  # also where nobody reads on
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
        address = f"file:{quote(str(self._path))}?mode=ro"
        return now, sqlite3.connect(address, timeout=BUSY_S, isolation_level=None, check_same_thread=False, uri=True)


def _newest(db: sqlite3.Connection, query: Query) -> Iterator[Event]:
    """The newest `query.limit` events, oldest first."""
    kept: list[tuple[int, str, int, Event]] = []
    for place, event in _candidates(db, query, newest_first=True):
        if query.matches(event):
            add = heapq.heappush if len(kept) < query.limit else heapq.heappushpop
            add(kept, (event.time_ns // 1000, event.id, place, event))
        # What follows lies before this place, and an event's time is not after its place.
        if len(kept) == query.limit and place <= kept[0][0]:
            break
    yield from (event for *_, event in sorted(kept))


def _all(db: sqlite3.Connection, query: Query) -> Iterator[Event]:
    """All events, oldest first; none is held longer than until its turn is certain."""
    waiting: list[tuple[int, str, int, Event]] = []
    shift = _longest_shift(db)
    for place, event in _candidates(db, query, newest_first=False):
        while waiting and waiting[0][0] < place - shift:
            yield heapq.heappop(waiting)[-1]
        if query.matches(event):
            heapq.heappush(waiting, (event.time_ns // 1000, event.id, place, event))
    yield from (event for *_, event in sorted(waiting))


def _candidates(db: sqlite3.Connection, query: Query, *, newest_first: bool) -> Iterator[tuple[int, Event]]:
    """Events that may match, with their places and in the order of these: at least all that do."""
    narrowed = narrow(query.expression) if local_file.has_shown_words(db) or not _is_wide(query.expression) else None
    low = _clamped(query.since_ns, FIRST_PLACE)
    high = _clamped(query.until_ns, LAST_PLACE, _longest_shift(db))
    order = "DESC" if newest_first else "ASC"
    size = min(max(query.limit, MIN_PAGE_EVENTS), PAGE_EVENTS) if query.limit else PAGE_EVENTS
    while low <= high:
        db.execute("BEGIN")
        places = _places(db, narrowed, (low, high), f"{order} LIMIT {size}")
        rows = _rows(db, places, order)
        db.execute("COMMIT")
        for place, own, ending in rows:
            if event := _event(place, own, ending):
                yield place, event
        if len(places) < size:
            break
        low, high = (low, places[-1] - 1) if newest_first else (places[-1] + 1, high)
        size = min(2 * size, PAGE_EVENTS)


def _event(place: int, own: bytes, ending: bytes) -> Event | None:
    """Return the event of a row; `None` when it is damaged, which costs that row alone."""
    try:
        event = Event.from_store(local_file.unpack(own, ending))
        _ = event.time_ns
    except (zlib.error, ValueError, TypeError) as fault:
        _log.warning("row %d of the local store is damaged, and left out: %s", place, fault)
        return None
    return event


def _places(db: sqlite3.Connection, narrowed: str | None, span: tuple[int, int], tail: str) -> list[int]:
    if narrowed is None:
        found = db.execute(f"SELECT place FROM events WHERE place BETWEEN ? AND ? ORDER BY place {tail}", span)  # noqa: S608
        return [place for (place,) in found]
    shelves = [local_file.shelf_name(number) for (number,) in db.execute("SELECT number FROM shelves")]
    one = "SELECT rowid AS place FROM {0} WHERE {0} MATCH ?3 AND rowid BETWEEN ?1 AND ?2"
    every = " UNION ALL ".join(one.format(shelf) for shelf in shelves)
    return [place for (place,) in db.execute(f"{every} ORDER BY place {tail}", (*span, narrowed))] if shelves else []


def _rows(db: sqlite3.Connection, places: list[int], order: str) -> list[tuple[int, bytes, bytes]]:
    these = ",".join("?" * len(places))
    joined = "SELECT place, own, ending FROM events JOIN writers ON number = writer"
    return db.execute(f"{joined} WHERE place IN ({these}) ORDER BY place {order}", places).fetchall()


def _longest_shift(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT longest_shift FROM about").fetchone()[0])


def _clamped(time_ns: int | None, otherwise: int, shift: int = 0) -> int:
    return otherwise if time_ns is None else min(max(time_ns // 1000 + shift, FIRST_PLACE), LAST_PLACE)


def _is_wide(expression: Expression) -> bool:
    """Return whether an expression has words without a field, which an index of an older file cannot find."""
    match expression:
        case And(parts) | Or(parts):
            return any(map(_is_wide, parts))
        case Phrase(field=""):
            return True
    return False


def narrow(expression: Expression, depth: int = 0) -> str | None:
    """An FTS5 query that finds at least the events of an expression; `None` when only all of them are sure to do."""
    if depth > MAX_NARROWING:
        return None
    match expression:
        case Phrase(text, "", prefix):
            terms = [_term(local_file.value_term(term.field, term.value)) for term in expression.id_terms]
            words = _phrase(words_of(text), prefix=prefix)
            return _one_of([words, *terms]) if terms else words
        case Phrase(text, field, prefix) if field in SEARCHED:
            return _phrase(words_of(text), prefix=prefix)
        case Term(field, value) if field in INDEXED or is_label(field):
            return _term(local_file.value_term(field, value))
        case Exists(field) | Wildcard(field) if is_label(field):
            return _term(local_file.name_term(field))
        case Range(field, low, high) if field in MEASURED or is_label(field):
            return _one_of(map(_term, local_file.size_terms(field, low, high)))
        case And(parts):
            narrowed = [narrow(part, depth + 1) for part in parts]
            return " AND ".join(f"({part})" for part in narrowed if part) or None
        case Or(parts):
            narrowed = [narrow(part, depth + 1) for part in parts]
            return None if None in narrowed else _one_of(part for part in narrowed if part)
    return None


def _phrase(words: list[str], *, prefix: bool) -> str:
    if not words:
        return _NOTHING
    return _term(" ".join(map(local_file.word_term, words))) + (" *" if prefix else "")


def _one_of(parts: Iterable[str]) -> str:
    return " OR ".join(f"({part})" for part in parts) or _NOTHING


def _term(text: str) -> str:
    return f'"{text}"'
