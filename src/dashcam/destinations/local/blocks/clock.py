"""The age of events in the local store, by their own time and by the time of their arrival.

An event counts from its arrival if its own time is far from it, because a service's clock is wrong or because it is
history: from the past at once, from the future as long as it lies there. A clock that jumps is reported, and trusted
only when it has stayed there for an hour: `clock` has the trusted time. Events that arrived from an hour before the
jump on may have come while the clock was wrong, so their age begins at the end of that hour.

If the clock goes back, one of the two readings was wrong. `set_back` stores the size of the jump and its target: if the
clock later jumps ahead by as much, it was wrong in between, and the age of the events that arrived then begins at that
jump.
"""

import logging
import sqlite3
from typing import NamedTuple

US_PER_S = 1_000_000
HOUR_US = 3_600 * US_PER_S
DAY_US = 24 * HOUR_US

_log = logging.getLogger("dashcam.ship")


def trusted_time(db: sqlite3.Connection, now_us: int) -> int:
    """Return the time to reckon age by: the clock's, unless that has just jumped by more than a day."""
    found: tuple[int, int | None] | None = db.execute("SELECT trusted, ahead_since FROM clock").fetchone()
    if found is None:
        db.execute("INSERT INTO clock VALUES (?, NULL)", (now_us,))
        return now_us
    trusted, jumped_us = found
    is_ahead = now_us > trusted
    is_known = jumped_us is not None and jumped_us <= now_us and (jumped_us > trusted) == is_ahead
    if abs(now_us - trusted) <= DAY_US or (is_known and now_us - (jumped_us or 0) >= HOUR_US):
        if jumped_us is not None:
            _begin_anew(db, trusted - HOUR_US, trusted, now_us)
            _note_if_set_back(db, max(trusted, jumped_us), min(trusted, jumped_us, now_us), now_us)
            _begin_anew_if_set_right(db, trusted, now_us)
        db.execute("UPDATE clock SET trusted = ?, ahead_since = NULL", (now_us,))
        return now_us
    if not is_known:
        days, side = abs(now_us - trusted) // DAY_US, "ahead of" if is_ahead else "behind"
        _log.warning("the clock is %d days %s the last event's; for an hour, this removes no event", days, side)
        db.execute("UPDATE clock SET ahead_since = ?", (now_us,))
    return trusted


def _begin_anew(db: sqlite3.Connection, from_us: int, to_us: int, now_us: int) -> None:
    """Let the age of events that arrived between two trusted times begin now, if it is more than an hour from now.

    So does an age that began between them because the clock had jumped before, too.
    """
    for column in ("arrived", "since"):
        db.execute(
            f"UPDATE blocks SET since = ? WHERE {column} BETWEEN ? AND ? AND since NOT BETWEEN ? AND ?",  # noqa: S608
            (now_us, from_us, to_us, now_us - HOUR_US, now_us + HOUR_US),
        )


def _note_if_set_back(db: sqlite3.Connection, highest_us: int, lowest_us: int, now_us: int) -> None:
    """Remember by how much the clock went back, if it did, and the lowest time that it has had since."""
    if now_us < highest_us - DAY_US:
        db.execute("CREATE TABLE IF NOT EXISTS set_back (by_us INTEGER NOT NULL, lowest INTEGER NOT NULL)")
        db.execute("INSERT INTO set_back VALUES (?, ?)", (highest_us - now_us, lowest_us))


def _begin_anew_if_set_right(db: sqlite3.Connection, trusted_us: int, now_us: int) -> None:
    """Let the age of all that came since the clock was set back begin now, if it jumps ahead by about as much."""
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'set_back'").fetchone():
        return
    by_us = now_us - trusted_us  # within a day, because it may have been set by hand by some hours, too
    undone = "DELETE FROM set_back WHERE by_us BETWEEN ? AND ? RETURNING lowest"
    for (lowest_us,) in db.execute(undone, (by_us - DAY_US, by_us + DAY_US)).fetchall():
        _begin_anew(db, lowest_us - HOUR_US, trusted_us, now_us)


class Age(NamedTuple):
    """The time that an event's age counts from, and the trusted time of its arrival."""

    since_us: int
    arrived_us: int


def age_of(time_us: int, now_us: int) -> Age:
    """Return the age of an event that claims a time; one far back, as of history, counts from its arrival."""
    return Age(now_us if time_us < now_us - DAY_US else time_us, now_us)


def note_let_go(db: sqlite3.Connection, until_us: int) -> None:
    """Remember that events up to a time have gone, in their turn."""
    db.execute("CREATE TABLE IF NOT EXISTS let_go (until INTEGER NOT NULL)")
    if until_us > let_go_until(db):
        db.execute("DELETE FROM let_go")
        db.execute("INSERT INTO let_go VALUES (?)", (until_us,))


def let_go_until(db: sqlite3.Connection) -> int:
    """Return the time up to which events have gone in their turn; 0 when none has."""
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'let_go'").fetchone():
        return 0
    return int((db.execute("SELECT until FROM let_go").fetchone() or (0,))[0])
