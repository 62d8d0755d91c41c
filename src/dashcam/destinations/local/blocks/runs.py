"""The events that the local store's file has: by segment, the offsets that came in one batch."""

import sqlite3
import struct
from collections.abc import Container, Iterator, Sequence
from functools import lru_cache

SEGMENT_DIGITS = 24
OFFSET_DIGITS = 8

Segments = dict[bytes | str, dict[int, int]]
"""The events of a batch: by segment and offset, the index of each in the batch."""


def unknown(db: sqlite3.Connection, ids: Sequence[str]) -> Segments:
    """Return which of the events with these IDs the file does not have, each once."""
    segments = _by_segment(ids)
    for segment, offsets in segments.items():
        for known in _known(db, segment, min(offsets), max(offsets)):
            offsets.pop(known, None)
    return {segment: offsets for segment, offsets in segments.items() if offsets}


def without(segments: Segments, indexes: Container[int]) -> Segments:
    """Return the events but for some, by their index."""
    left = {
        segment: {offset: index for offset, index in offsets.items() if index not in indexes}
        for segment, offsets in segments.items()
    }
    return {segment: offsets for segment, offsets in left.items() if offsets}


def note(db: sqlite3.Connection, segments: Segments, arrived_us: int) -> None:
    """Remember that the file has events, and when they arrived."""
    rows = ((segment, sorted(offsets)) for segment, offsets in segments.items())
    db.executemany(
        "INSERT INTO runs (segment, last, first, arrived, offsets) VALUES (?, ?, ?, ?, ?)",
        [(segment, run[-1], run[0], arrived_us, struct.pack(f"<{len(run)}I", *run)) for segment, run in rows],
    )


def forget(db: sqlite3.Connection, oldest_us: int) -> None:
    """Let go of the runs that arrived before all that the file has."""
    db.execute("DELETE FROM runs WHERE arrived < ?", (oldest_us,))


def _known(db: sqlite3.Connection, segment: bytes | str, low: int, high: int) -> Iterator[int]:
    runs = db.execute("SELECT offsets FROM runs WHERE segment = ? AND last >= ? AND first <= ?", (segment, low, high))
    for (offsets,) in runs.fetchall():
        yield from struct.unpack(f"<{len(offsets) // 4}I", offsets)


def _by_segment(ids: Sequence[str]) -> Segments:
    segments: Segments = {}
    for index, event_id in enumerate(ids):
        digits = event_id[SEGMENT_DIGITS + 1 :]
        if len(digits) == OFFSET_DIGITS and digits.isdecimal() and digits.isascii():
            segment = _segment_of(event_id[: SEGMENT_DIGITS + 1])
        else:
            segment = None
        offsets = segments.setdefault(event_id if segment is None else segment, {})
        offsets.setdefault(0 if segment is None else int(digits), index)
    return segments


@lru_cache(maxsize=256)
def _segment_of(text: str) -> bytes | None:
    """Return a segment's ID, and the minus after it, as 12 bytes; `None` for any other text."""
    try:
        segment = bytes.fromhex(text[:SEGMENT_DIGITS])
    except ValueError:
        return None
    return segment if f"{segment.hex()}-" == text else None
