"""The local store's file, as its writer in `ship` and its reader in `find` see it: an SQLite database.

`blocks` holds the events, some dozens in each, in the order of time. The number of a block, its `rowid`, is the time of
its last event in microseconds or, where that is taken, a free one soon after: at most `meta.longest_span` after the
time of its `first` event. `since` is the time that its age counts from, `arrived` the time of its arrival. `body` is
compressed in zlib's format (RFC 1950) against `ZLIB_DICTIONARY`: the microseconds of each event since `first`, 4 bytes
each, then the lines, with a newline between two.

`runs` says which events the file has, so that none is kept twice: by segment, the offset of each event that came in
one batch. Other `event.id`s are segments of their own.

`requests` and `request_keys` count the served requests of each block, `tallies` and `event_keys` all of its events:
`request_counts.py` and `tallies.py` describe them.

`terms_N` are full-text indexes (FTS5) without a copy of their text, by the number of a block; `terms.py` has the terms.
Each is a partition that is filled for some time and dropped as a whole, because taking single blocks out of an index
costs as much as putting them in. An index may name deleted blocks, and only narrows a search.
"""

import sqlite3
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dashcam.destinations.deflate import LEVEL, zlib
from dashcam.destinations.local.index.request_counts import SCHEMA as COUNTS
from dashcam.destinations.local.index.tallies import SCHEMA as TALLIES
from dashcam.destinations.local.options import Options

APPLICATION_ID = 0x44617368  # "Dash"
VERSION = 4

FIRST_ROWID, LAST_ROWID = -(2**63), 2**63 - 1

MAX_BLOCK_EVENTS = 16  # more take longer to look through, fewer take more room, and longer to write
MAX_BLOCK_BYTES = 64 << 10
MAX_SPAN_US = 60_000_000
_HIGHEST_OF_A_TIME = b"\3"  # the last of a span's four bytes is not above it, and each byte of JSON is

SCHEMA = (
    """
    CREATE TABLE blocks (
        rowid INTEGER PRIMARY KEY, first INTEGER NOT NULL, since INTEGER NOT NULL, arrived INTEGER NOT NULL,
        events INTEGER NOT NULL, body BLOB NOT NULL
    )
    """,
    "CREATE INDEX blocks_by_first ON blocks (first)",
    "CREATE INDEX blocks_by_age ON blocks (since)",
    "CREATE INDEX blocks_by_arrival ON blocks (arrived)",
    # By its last offset: where a segment goes on, no run is beyond that.
    """
    CREATE TABLE runs (
        segment NOT NULL, last INTEGER NOT NULL, first INTEGER NOT NULL, arrived INTEGER NOT NULL,
        offsets BLOB NOT NULL, PRIMARY KEY (segment, last)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX runs_by_arrival ON runs (arrived)",
    "CREATE TABLE partitions (number INTEGER PRIMARY KEY, events INTEGER NOT NULL, newest INTEGER NOT NULL)",
    "CREATE TABLE meta (longest_span INTEGER NOT NULL)",
    "INSERT INTO meta VALUES (0)",
    "CREATE TABLE clock (trusted INTEGER NOT NULL, ahead_since INTEGER)",
    *COUNTS,
    *TALLIES,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)
PARTITION = (
    """
    CREATE VIRTUAL TABLE {0}
    USING fts5(terms, content='', columnsize=0, detail=none, tokenize="ascii tokenchars '='")
    """,
    # Fewer merges than by default; a look-up opens a few more parts of an index, in under 0.1 ms. Merges are made in
    # steps: from `crisismerge` parts on, a batch would wait for a whole one.
    "INSERT INTO {0} ({0}, rank) VALUES ('automerge', 16)",
    "INSERT INTO {0} ({0}, rank) VALUES ('crisismerge', 64)",
)
ZLIB_DICTIONARY = (
    b'"error":{"type":"","message":"","stack_trace":"Traceback (most recent call last):\\n  File \\"'
    b'"db":{"system":"postgresql","name":"","statement":"SELECT INSERT INTO "},"tags":["cut"'
    b'{"@timestamp":"2026-","processor":{"event":"span"},"log.level":"info","message":"INSERT","span":{"id":"",'
    b'"name":"INSERT","kind":"client","type":"db","subtype":"postgresql","duration":{"us":'
    b'"type":"external","subtype":"http","url":{"full":"http://"},"outcome":"failure"'
    b'{"@timestamp":"2026-","processor":{"event":"transaction"},"log.level":"info","message":"GET /","span":{"id":"",'
    b'"name":"GET /","kind":"server"},"parent":{"id":""},"trace":{"id":""},"transaction":{"id":"","name":"POST /",'
    b'"type":"request","result":"HTTP 2xx","duration":{"us":}},"timestamp":{"us":},"http":{"request":{"id":"",'
    b'"method":"POST","body":{"bytes":}},"response":{"status_code":200,"body":{"bytes":}},"route":"/"},"url":{'
    b'"path":"/","query":"","scheme":"http","domain":"127.0.0.1"},"client":{"ip":"127.0.0.1"},"user_agent":{'
    b'"original":"python-requests/"},"labels":{""},"event":{"kind":"event","dataset":"","duration":,'
    b'"outcome":"success","id":"{"@timestamp":"2026-","log.level":"debug","log.level":"warning","log.level":"error",'
    b'"log.level":"info","message":"","labels":{""},"http":{"request":{"id":""}},"trace":{"id":""},"span":{"id":""},'
    b'"transaction":{"id":""},"log":{"logger":""},"event":{"kind":"event","dataset":"","id":"0000000000","sequence":'
)
"""A sample of lines, the commonest last; a part of the format: another sample is another `VERSION`."""


class Block(NamedTuple):
    """A block of events: its number, and their lines in the order of time, with a newline between two.

    `since` has the microseconds of each since `first_us`. No event's time is after the number.
    """

    rowid: int
    first_us: int
    since: Sequence[int]
    text: bytes


def path_of(options: Options) -> Path:
    """Return the path of the file."""
    return options.dir / "events.db"


def is_blank(db: sqlite3.Connection) -> bool:
    """Return whether a file is new; raises `sqlite3.DatabaseError` for another program's, or another version."""
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    version = version_of(db)
    if application_id == 0 and not db.execute("SELECT 1 FROM sqlite_schema").fetchone():
        return True
    if application_id != APPLICATION_ID:
        raise sqlite3.DatabaseError("it is a database of something else")
    if version != VERSION:
        raise sqlite3.DatabaseError(f"it has format {version}, and this Dashcam reads format {VERSION}")
    return False


def version_of(db: sqlite3.Connection) -> int:
    """Return the version of a file's format."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def reason_of(path: Path, fault: sqlite3.Error) -> str:
    """Return the fault of the file, and a remedy."""
    # An extended name such as SQLITE_BUSY_SNAPSHOT begins with the name of its kind; our own faults have none.
    match getattr(fault, "sqlite_errorname", "SQLITE_NOTADB").split("_")[1]:
        case "NOTADB" | "CORRUPT":
            return f"{path} cannot be used: {fault}. Stop the shipper; dashcam repair saves the readable events."
        case "FULL":
            return f"{path} cannot grow: the disk is full."
        case "BUSY":
            return f"{path} is locked by another process."
    return f"{path} cannot be used: {fault}."


def partition_name(number: int) -> str:
    """Return the name of a partition's index."""
    return f"terms_{number:d}"


def pack(times_us: Sequence[int], lines: Sequence[bytes]) -> bytes:
    """Return the body of a block; its times are in order, and none is more than `MAX_SPAN_US` after the first."""
    first = times_us[0]
    since = struct.pack(f"<{len(times_us)}I", *[time_us - first for time_us in times_us])
    # With a greater memory level, zlib waits for fresh pages, for three times as long as it takes to compress a block.
    press = zlib.compressobj(LEVEL, zlib.DEFLATED, zlib.MAX_WBITS, 7, zlib.Z_DEFAULT_STRATEGY, ZLIB_DICTIONARY)
    return press.compress(since + b"\n".join(lines)) + press.flush()


def unpack(rowid: int, first: int, events: int, body: bytes) -> Block:
    """Return a block of its row; raises `ValueError` when the row is damaged."""
    press = zlib.decompressobj(zlib.MAX_WBITS, ZLIB_DICTIONARY)
    try:
        data = press.decompress(body)
        since = struct.unpack_from(f"<{events}I", data)
    except (zlib.error, struct.error) as fault:  # type: ignore[misc]  # isal types its error as an object
        raise ValueError(str(fault)) from None
    text = data[4 * events :]
    # With another number of events, text would be read as a time, or the text begin with bytes of a time. Lines are
    # counted only then: that takes a fifth as long as to unpack them.
    is_suspect = not since or max(since) > MAX_SPAN_US or text[3:4] <= _HIGHEST_OF_A_TIME
    if not press.eof or (is_suspect and text.count(b"\n") + 1 != events):
        raise ValueError(f"it has not {events} lines")
    return Block(rowid, first, since, text)
