"""Puts events into the local store's file: sorted into blocks, indexed, and none twice."""

import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from dashcam.destinations.local import counts, runs, tallies
from dashcam.destinations.local import file as local_file
from dashcam.destinations.local.file import MAX_BLOCK_BYTES, MAX_BLOCK_EVENTS, MAX_SPAN_US, pack, partition_name
from dashcam.destinations.local.retention import Age
from dashcam.destinations.local.terms import terms_of
from dashcam.event import Event, parse_time
from dashcam.ship.batch import Batch

_BEFORE_TIME = b'{"@timestamp":"'
_SECOND = slice(15, 34)
_MICROSECOND = slice(35, 41)


class _Timed(NamedTuple):
    """An event with its time, and its number in the batch; they sort by time, then by ID."""

    time_us: int
    id: str
    line: bytes
    number: int


class _Block(NamedTuple):
    """Events that are kept together, what they are found by, and the key and the duration of each."""

    events: Sequence[_Timed]
    terms: str
    keys: Sequence[bytes | None]
    durations: Sequence[int | None]

    @property
    def last_us(self) -> int:
        """The time of the last event."""
        return self.events[-1].time_us


def keep(db: sqlite3.Connection, batch: Batch, age_of: Callable[[int], Age], partition_events: int) -> dict[int, str]:
    """Put events in that are not there yet; return the reasons why some cannot be, by their index in the batch.

    `age_of` gives the age of an event that claims a time, and a partition takes about `partition_events`.
    """
    refused: dict[int, str] = {}
    segments = runs.unknown(db, [event.id for event in batch])
    new = [index for offsets in segments.values() for index in offsets.values()]
    blocks = list(_blocks(sorted(_timed(batch, new, refused)), refused))
    if not blocks:
        return refused
    newest = max(age_of(block.last_us).arrived_us for block in blocks)
    runs.note(db, runs.without(segments, refused) if refused else segments, newest)
    partition = _partition(db, partition_events)
    rowids = [_insert(db, block, age_of(block.last_us)) for block in blocks]
    span = max(rowid - block.events[0].time_us for rowid, block in zip(rowids, blocks, strict=True))
    db.execute("UPDATE meta SET longest_span = ? WHERE longest_span < ?", (span, span))
    rows = sorted(zip(rowids, (block.terms for block in blocks), strict=True))
    db.executemany(f"INSERT INTO {partition_name(partition)} (rowid, terms) VALUES (?, ?)", rows)  # noqa: S608 - a number
    counts.note(db, map(_counted_of, rowids, blocks))
    tallies.note(db, zip(rowids, (block.keys for block in blocks), strict=True))
    grown = "UPDATE partitions SET events = events + ?, newest = max(newest, ?) WHERE number = ?"
    db.execute(grown, (sum(len(block.events) for block in blocks), newest, partition))
    return refused


def _counted_of(rowid: int, block: _Block) -> counts.Block:
    return counts.Block(
        rowid, block.events[0].time_us, [event.line for event in block.events], block.keys, block.durations
    )


def _timed(batch: Batch, indexes: Sequence[int], refused: dict[int, str]) -> Iterator[_Timed]:
    """Yield events of a batch with their times; the reasons why some have none are put in `refused`."""
    for index in indexes:
        event = batch[index]
        try:
            time_us = _time_us(event.data)
        except (ValueError, RecursionError) as fault:
            refused[index] = f"not an event with a time: {fault}"
        else:
            yield _Timed(time_us, event.id, event.data, index)


def _time_us(line: bytes) -> int:
    """Return an event's time in microseconds; most lines begin with it, in one form."""
    fraction = line[_MICROSECOND]
    if line.startswith(_BEFORE_TIME) and line[34:35] == b"." and line[41:43] == b'Z"' and fraction.isdigit():
        return _second_us(line[_SECOND]) + int(fraction)
    return Event.from_json(line).time_ns // 1000


@lru_cache(maxsize=256)
def _second_us(text: bytes) -> int:
    return parse_time(text.decode()) // 1000


def _blocks(events: Sequence[_Timed], refused: dict[int, str]) -> Iterator[_Block]:
    """Yield events in blocks; the reasons why some cannot be read are put in `refused`."""
    for some in _cut(events):
        terms = terms_of([event.line for event in some])
        refused |= {some[number].number: reason for number, reason in terms.faults.items()}
        if not terms.faults:
            yield _Block(some, terms.text, terms.keys, terms.durations)
        elif whole := [number for number in range(len(some)) if number not in terms.faults]:
            of_whole = [(some[at], terms.keys[at], terms.durations[at]) for at in whole]
            events, keys, durations = zip(*of_whole, strict=True)
            yield _Block(events, terms.text, keys, durations)


def _cut(events: Sequence[_Timed]) -> Iterator[Sequence[_Timed]]:
    """Yield events in order, as many at once as a block takes."""
    begin = size = 0
    for number, event in enumerate(events):
        size += len(event.line)
        is_full = number - begin == MAX_BLOCK_EVENTS or size > MAX_BLOCK_BYTES
        if number > begin and (is_full or event.time_us - events[begin].time_us > MAX_SPAN_US):
            yield events[begin:number]
            begin, size = number, len(event.line)
    if events:
        yield events[begin:]


def _insert(db: sqlite3.Connection, block: _Block, age: Age) -> int:
    """Insert a block; return its number."""
    times_us = [event.time_us for event in block.events]
    body = pack(times_us, [event.line.replace(b"\n", b" ") for event in block.events])
    stretch = 1
    while True:
        # A stretch that doubles finds room soon, however many blocks end at the same time.
        rowid = block.last_us + zlib.crc32(body) % stretch
        values = (rowid, times_us[0], *age, len(times_us), body)
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
