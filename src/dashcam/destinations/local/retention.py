"""The age of events in the local store: by the time that they claim, and by the time that they arrived.

Events whose claim is far from their arrival, because a service's clock is wrong or because they are history, are old
by their arrival: `arrivals` has the ranges of places that they took. And a clock that jumps ahead is reported and not
obeyed, until it has stayed so for an hour: `clock` has the time that is trusted.
"""

import logging
import sqlite3
from collections.abc import Iterator, Sequence

US_PER_S = 1_000_000
HOUR_US = 3_600 * US_PER_S
DAY_US = 24 * HOUR_US

TABLES = (
    "CREATE TABLE IF NOT EXISTS arrivals (low INTEGER NOT NULL, high INTEGER NOT NULL, arrived INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS clock (trusted INTEGER NOT NULL, ahead_since INTEGER)",
)

_log = logging.getLogger("dashcam.ship")


def trusted_time(db: sqlite3.Connection, now_us: int) -> int:
    """Return the time to reckon age by: the clock's, unless that has just jumped ahead by more than a day."""
    found: tuple[int, int | None] | None = db.execute("SELECT trusted, ahead_since FROM clock").fetchone()
    if found is None:
        db.execute("INSERT INTO clock VALUES (?, NULL)", (now_us,))
        return now_us
    trusted, ahead_since = found
    if now_us - trusted <= DAY_US:
        if now_us < trusted - DAY_US:
            _log.warning(
                "the clock has gone back by %d days; nothing is forgotten by that", (trusted - now_us) // DAY_US
            )
        db.execute("UPDATE clock SET trusted = ?, ahead_since = NULL", (now_us,))
        return now_us
    if ahead_since is not None and now_us - ahead_since >= HOUR_US:
        db.execute("UPDATE clock SET trusted = ?, ahead_since = NULL", (now_us,))
        return now_us
    if ahead_since is None or now_us < ahead_since:
        days = (now_us - trusted) // DAY_US
        _log.warning("the clock is %d days ahead of the last event's; nothing is forgotten by that for an hour", days)
        db.execute("UPDATE clock SET ahead_since = ?", (now_us,))
    return trusted


def note_arrival(db: sqlite3.Connection, places: Sequence[int], now_us: int) -> None:
    """Remember the arrival of events whose place says another time."""
    odd = [place for place in places if abs(place - now_us) > DAY_US]
    for side in ([place for place in odd if place < now_us], [place for place in odd if place > now_us]):
        if side:
            low, high = min(side), max(side)
            # One range for all that arrive within an hour, side by side: a service with a wrong clock makes few.
            grown = db.execute(
                "UPDATE arrivals SET low = min(low, ?1), high = max(high, ?2), arrived = ?3 WHERE rowid IN ("
                "SELECT rowid FROM arrivals WHERE low <= ?2 + ?4 AND high >= ?1 - ?4 AND arrived > ?3 - ?4 LIMIT 1)",
                (low, high, now_us, HOUR_US),
            )
            if not grown.rowcount:
                db.execute("INSERT INTO arrivals VALUES (?, ?, ?)", (low, high, now_us))


def old_ranges(db: sqlite3.Connection, oldest_us: int, now_us: int, first: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of places whose events are too old, both ends included."""
    rows = db.execute("SELECT low, high FROM arrivals WHERE arrived >= ? ORDER BY low", (oldest_us,)).fetchall()
    begin = first
    for low, high in rows:
        if low >= oldest_us:
            break
        if begin < low:
            yield begin, low - 1
        begin = max(begin, high + 1)
    if begin < oldest_us:
        yield begin, oldest_us - 1
    # What claimed to come from the future is old by its arrival.
    yield from db.execute(
        "SELECT low, high FROM arrivals WHERE arrived < ? AND low > ?", (oldest_us, now_us)
    ).fetchall()


def forget_arrivals(db: sqlite3.Connection, oldest_us: int) -> None:
    """Let go of the ranges that are too old; their events are gone, or go by the time that they claim."""
    db.execute("DELETE FROM arrivals WHERE arrived < ?", (oldest_us,))
