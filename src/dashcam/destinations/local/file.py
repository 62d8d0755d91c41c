"""The local store's file, as its writer in `ship` and its reader in `find` see it: an SQLite database.

`events` holds the lines. A row's number, its `place`, is the event's time in microseconds or, where that is taken, a
free one soon after, at most `about.longest_shift` later: rows, and what points at them, lie in the order of time. The
end of a line, which all events of a process share, is in `writers`; the rest is compressed against `ZLIB_DICTIONARY`.

`terms_N` are full-text indexes (FTS5) without a copy of their text. They hold an event's words and, hashed, what its
fields hold. Each is a shelf that is filled for some time and dropped as a whole, because taking single events out of
an index costs as much as putting them in. An index may know events that are gone, and only narrows a search: what is
found has to match.
"""

import sqlite3
import zlib
from pathlib import Path

from dashcam.destinations.local.options import Options
from dashcam.event import Event
from dashcam.find.values import is_shown, leaves_of, number_of, text_of, words_of

APPLICATION_ID = 0x44617368  # "Dash"
VERSION = 2
VERSION_WITHOUT_SHOWN = 1  # its indexes have no words of labels, of a statement or of an address

FIRST_PLACE, LAST_PLACE = -(2**63), 2**63 - 1

SCHEMA = (
    "CREATE TABLE events (place INTEGER PRIMARY KEY, id UNIQUE NOT NULL, writer INTEGER NOT NULL, own BLOB NOT NULL)",
    "CREATE TABLE writers (number INTEGER PRIMARY KEY, ending BLOB NOT NULL UNIQUE, newest INTEGER NOT NULL)",
    "CREATE TABLE shelves (number INTEGER PRIMARY KEY, events INTEGER NOT NULL, newest INTEGER NOT NULL)",
    "CREATE TABLE about (longest_shift INTEGER NOT NULL)",
    "INSERT INTO about VALUES (0)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)
SHELF = "CREATE VIRTUAL TABLE {} USING fts5(terms, content='', columnsize=0, tokenize=\"ascii tokenchars '='\")"

INDEXED = frozenset(
    {
        "event.action",
        "event.id",
        "event.outcome",
        "http.request.id",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "log.level",
        "log.logger",
        "parent.id",
        "processor.event",
        "service.name",
        "span.id",
        "tags",
        "trace.id",
        "url.path",
    }
)
"""The fields that, beside every label, are found by their value without reading other events."""

MEASURED = frozenset({"event.duration", "http.response.status_code"})
"""The fields whose numbers, beside those of labels, are found by their size."""

_MAX_SIZE = 64  # greater numbers are one size
_MAX_WORD = 64  # characters of a word that are indexed

_ENDING = b',"ecs.version":'
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
"""What lines look like, the commonest last; a part of the format: another sample is another `VERSION`."""


# Small tables, because setting up large ones takes longer than compressing a line; copied, for that takes less again.
_PRESS = zlib.compressobj(3, zlib.DEFLATED, -12, 6, zlib.Z_DEFAULT_STRATEGY, ZLIB_DICTIONARY)


def path_of(options: Options) -> Path:
    """Return the path of the file."""
    return options.dir / "events.db"


def is_blank(db: sqlite3.Connection) -> bool:
    """Return whether a file is new; raises `sqlite3.DatabaseError` for another program's, or another version."""
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application_id == 0 and not db.execute("SELECT 1 FROM sqlite_schema").fetchone():
        return True
    if application_id != APPLICATION_ID:
        raise sqlite3.DatabaseError("it is a database of something else")
    if version not in {VERSION, VERSION_WITHOUT_SHOWN}:
        raise sqlite3.DatabaseError(f"it has format {version}, and this Dashcam reads format {VERSION}")
    return False


def has_shown_words(db: sqlite3.Connection) -> bool:
    """Return whether the indexes of a file have the words of all that a line shows of an event."""
    return bool(db.execute("PRAGMA user_version").fetchone()[0] != VERSION_WITHOUT_SHOWN)


def reason_of(path: Path, fault: sqlite3.Error) -> str:
    """Return the fault of the file, and what to do about it."""
    # An extended name such as SQLITE_BUSY_SNAPSHOT begins with that of its kind; a fault of our own finding has none.
    match getattr(fault, "sqlite_errorname", "SQLITE_NOTADB").split("_")[1]:
        case "NOTADB" | "CORRUPT":
            return f"{path} cannot be used: {fault}. Move it away, with its -wal and -shm; a new one is made."
        case "FULL":
            return f"{path} cannot grow: the disk is full."
        case "BUSY":
            return f"{path} is locked by another process."
    return f"{path} cannot be used: {fault}."


def shelf_name(number: int) -> str:
    """The index of a shelf."""
    return f"terms_{number:d}"


def pack(data: bytes) -> tuple[bytes, bytes]:
    """A line as what is its own, compressed, and the ending it shares with others."""
    own, mark, rest = data.rpartition(_ENDING)
    if not mark:
        own, rest = rest, b""
    press = _PRESS.copy()
    return press.compress(own) + press.flush(), mark + rest


def unpack(own: bytes, ending: bytes) -> bytes:
    """The line that was packed."""
    return zlib.decompressobj(-12, ZLIB_DICTIONARY).decompress(own) + ending


def packed_id(event_id: str) -> bytes | str:
    """An `event.id` as it is kept: 24 hex digits, a minus and 8 digits as 16 bytes, any other as it is."""
    try:
        packed = bytes.fromhex(event_id[:24]) + int(event_id[25:]).to_bytes(4)
    except (ValueError, OverflowError):
        return event_id
    return packed if f"{packed[:12].hex()}-{int.from_bytes(packed[12:]):08}" == event_id else event_id


def word_term(word: str) -> str:
    """Return the term that finds a word."""
    return word[:_MAX_WORD]


def name_term(field: str) -> str:
    """Return the term that finds events with a label."""
    return _hashed(field)


def value_term(field: str, text: str) -> str:
    """Return the term that finds a value, as `text_of` writes it, of an `INDEXED` field or a label."""
    return _hashed(f"{field}={text}")


def size_terms(field: str, low: float | None, high: float | None) -> list[str]:
    """Return the terms that find numbers within bounds of a `MEASURED` field or a label, and some others."""
    least = -_MAX_SIZE if low is None else _size(low)
    most = _MAX_SIZE if high is None else _size(high)
    return [_hashed(f"{field}~{size}") for size in range(least, most + 1)]


def is_label(field: str) -> bool:
    """Return whether a field is the caller's."""
    return field.startswith("labels.")


def terms_of(event: Event) -> str:
    """All an event is found by: its words in the order of its texts, then what its fields hold."""
    texts: list[str] = []
    held: list[str] = []
    for name, value in leaves_of(event):
        if name in INDEXED:
            held.append(f"{name}={text_of(value)}")
        elif is_label(name):
            texts.append(text_of(value))
            held += (name, f"{name}={text_of(value)}")
        elif is_shown(name):
            texts.append(text_of(value))
        elif name not in MEASURED:
            continue
        if not isinstance(value, str) and (number := number_of(value)) is not None:
            held.append(f"{name}~{_size(number)}")
    return " ".join([*map(word_term, words_of(" ".join(texts))), *map(_hashed, held)])


def _hashed(text: str) -> str:
    # Should two texts clash, an event is read that then does not match.
    return f"={zlib.crc32(text.encode()):x}"


def _size(number: float) -> int:
    """Return a number's place among the powers of two: the same or more for a greater number."""
    size = min(int(abs(number)).bit_length(), _MAX_SIZE)
    return size if number >= 0 else -size
