"""Inserts events into the local store's file: sorted into blocks, indexed, and each only once."""

import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from dashcam.destinations.local.blocks import file as local_file
from dashcam.destinations.local.blocks import runs
from dashcam.destinations.local.blocks.clock import Age
from dashcam.destinations.local.blocks.file import MAX_BLOCK_BYTES, MAX_BLOCK_EVENTS, MAX_SPAN_US, pack, partition_name
from dashcam.destinations.local.index import request_counts, tallies
from dashcam.destinations.local.index.terms import IndexedBlock, terms_of
from dashcam.event import Event, parse_time
from dashcam.ship.batch import Batch

_BEFORE_TIME = b'{"@timestamp":"'
_SECOND = slice(15, 34)

_Timed = tuple[int, str, bytes, int]
"""An event: its time in microseconds and its ID, by which they are sorted, its line, and its number in the batch."""


def insert(db: sqlite3.Connection, batch: Batch, age_of: Callable[[int], Age], partition_events: int) -> dict[int, str]:
    """Insert new events; return the reasons why some are refused, by their index in the batch.

    `age_of` gives the age of an event that claims a time, and a partition takes about `partition_events`.
    """
    refused: dict[int, str] = {}
    segments = runs.unknown(db, [event.id for event in batch])
    new = [index for offsets in segments.values() for index in offsets.values()]
    blocks = list(_blocks(sorted(_timed(batch, new, refused)), refused))
    if not blocks:
        return refused
    newest = max(age_of(block.times_us[-1]).arrived_us for block in blocks)
    runs.note(db, runs.without(segments, refused) if refused else segments, newest)
    partition = _partition(db, partition_events)
    numbered = [(_insert(db, block, age_of(block.times_us[-1])), block) for block in blocks]
    span = max(rowid - block.times_us[0] for rowid, block in numbered)
    db.execute("UPDATE meta SET longest_span = ? WHERE longest_span < ?", (span, span))
    rows = sorted((rowid, block.terms) for rowid, block in numbered)
    db.executemany(f"INSERT INTO {partition_name(partition)} (rowid, terms) VALUES (?, ?)", rows)  # noqa: S608 - a number
    request_counts.note(db, numbered)
    tallies.note(db, numbered)
    grown = "UPDATE partitions SET events = events + ?, newest = max(newest, ?) WHERE number = ?"
    db.execute(grown, (sum(len(block.lines) for block in blocks), newest, partition))
    return refused


def _timed(batch: Batch, indexes: Sequence[int], refused: dict[int, str]) -> Iterator[_Timed]:
    """Yield events of a batch with their times; the reasons why some have none are put in `refused`."""
    for index in indexes:
        event_id, _, line = batch[index]
        try:
            time_us = _time_us(line)
        except (ValueError, RecursionError) as fault:
            refused[index] = f"not an event with a time: {fault}"
        else:
            yield time_us, event_id, line, index


def _time_us(line: bytes) -> int:
    """Return an event's time in microseconds; most lines begin with it, in one form."""
    fraction = line[35:41]
    if line[41:43] == b'Z"' and fraction.isdigit() and (second_us := _second_us(line[:35])) is not None:
        return second_us + int(fraction)
    return Event.from_json(line).time_ns // 1000


@lru_cache(maxsize=256)
def _second_us(head: bytes) -> int | None:
    """Return the second that a line begins with; `None` for any other head."""
    is_time = head.startswith(_BEFORE_TIME) and head.endswith(b".")
    return parse_time(head[_SECOND].decode()) // 1000 if is_time else None


def _blocks(events: Sequence[_Timed], refused: dict[int, str]) -> Iterator[IndexedBlock]:
    """Yield events in blocks; the reasons why some cannot be read are put in `refused`."""
    for some in _cut(events):
        times_us, lines, numbers = [one[0] for one in some], [one[2] for one in some], [one[3] for one in some]
        terms = terms_of(lines)
        refused |= {numbers[at]: reason for at, reason in terms.faults.items()}
        if not terms.faults:
            yield IndexedBlock(times_us, lines, terms.text, terms.keys, terms.durations)
        elif whole := [at for at in range(len(some)) if at not in terms.faults]:
            of_whole = [(times_us[at], lines[at], terms.keys[at], terms.durations[at]) for at in whole]
            times, kept, keys, durations = zip(*of_whole, strict=True)
            yield IndexedBlock(times, kept, terms.text, keys, durations)


def _cut(events: Sequence[_Timed]) -> Iterator[Sequence[_Timed]]:
    """Yield events in order, as many at once as a block takes."""
    begin = size = 0
    for number, (time_us, _, line, _) in enumerate(events):
        size += len(line)
        is_full = number - begin == MAX_BLOCK_EVENTS or size > MAX_BLOCK_BYTES
        if number > begin and (is_full or time_us - events[begin][0] > MAX_SPAN_US):
            yield events[begin:number]
            begin, size = number, len(line)
    if events:
        yield events[begin:]


def _insert(db: sqlite3.Connection, block: IndexedBlock, age: Age) -> int:
    """Insert a block; return its number."""
    body = pack(block.times_us, [line.replace(b"\n", b" ") for line in block.lines])
    stretch = 1
    while True:
        # A stretch that doubles finds room soon, however many blocks end at the same time.
        rowid = block.times_us[-1] + zlib.crc32(body) % stretch
        values = (rowid, block.times_us[0], *age, len(block.lines), body)
        if db.execute("INSERT OR IGNORE INTO blocks VALUES (?, ?, ?, ?, ?, ?)", values).rowcount:
            return rowid
        stretch *= 2


def _partition(db: sqlite3.Connection, partition_events: int) -> int:
    """Return the number of the partition that is filled now, a new one if the last one is full."""
    last: tuple[int, int] | None = db.execute("SELECT number, events FROM partitions ORDER BY number DESC").fetchone()
    number, events = last or (0, partition_events)
    if events < partition_events:
        return number
    for statement in local_file.PARTITION:
        db.execute(statement.format(partition_name(number + 1)))
    db.execute("INSERT INTO partitions VALUES (?, 0, ?)", (number + 1, local_file.FIRST_ROWID))
    return number + 1
