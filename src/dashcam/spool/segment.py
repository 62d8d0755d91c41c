"""The format of a segment: a header, then lines, then zero bytes.

A segment is a file that one process fills front to back; what is not filled yet is zero bytes. Its first line is the
header, one JSON object that starts with numbers of fixed width, so that they can be changed in place. Each further line
is one event without what all events of the segment share, which the header has once (`spool/line.py`).

    {"spool":2,"sealed":0,"dropped":{"limit":         0,"disk":         0,"error":         0},"segment":"…",…}
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from dashcam.event import format_time

FORMAT = 2
SEGMENT_BYTES = 2 << 20  # a new file every few thousand events; what is touched of it counts as the service's memory
LINE_BYTES = 256 << 10  # the most one line takes, newline included: any destination takes that much in one event
SUFFIX = ".segment"
FILE_NAME_BYTES = 200  # file systems take 255; names so long that they are cut share a folder, which does no harm

DROP_REASONS = ("limit", "disk", "error")  # the spool is full; the disk is; the event could not be written as a line

_SEALED = b'{"spool":%d,"sealed":' % FORMAT
SEALED_AT = len(_SEALED)
_COUNT_WIDTH = 10
_COUNTS_AT = {
    reason: SEALED_AT
    + len('0,"dropped":{')
    + sum(len(r) + 4 + _COUNT_WIDTH for r in DROP_REASONS[:place])
    + len(reason)
    + 3
    for place, reason in enumerate(DROP_REASONS)
}


@dataclass(frozen=True, slots=True)
class Header:
    """What a segment says of itself.

    `shared` is what every event of it has besides its own fields, the name of its `service` among that. A segment
    `is_sealed` when its writer went on to another one; one that is not, and whose writer is gone, is where a process
    died or ended.
    """

    segment: str
    pid: int
    is_sealed: bool
    dropped: Mapping[str, int]
    shared: Mapping[str, Any]
    service: str


def new_segment_id(now_ns: int) -> str:
    """An id of 24 hexadecimal digits that sorts by time: 48 bits of milliseconds, 16 of 16 ns, 32 random ones."""
    milliseconds, rest_ns = divmod(now_ns, 1_000_000)
    return f"{milliseconds:012x}{rest_ns // 16:04x}{secrets.token_hex(4)}"


def encode_header(segment: str, pid: int, shared: Mapping[str, Any], now_ns: int) -> bytes:
    """The first line of a segment, newline included."""
    counts = ",".join(f'"{reason}":{0:{_COUNT_WIDTH}d}' for reason in DROP_REASONS)
    rest = orjson.dumps({"segment": segment, "pid": pid, "started": format_time(now_ns), "shared": dict(shared)})
    return _SEALED + b'0,"dropped":{' + counts.encode() + b"}," + rest[1:] + b"\n"


def decode_header(line: bytes) -> Header:
    """The header of a segment's first line; raises `ValueError` when the line is none, or of another format."""
    fields = orjson.loads(line)
    if not isinstance(fields, dict) or fields.get("spool") != FORMAT:
        raise ValueError(f"the first line is not the header of a spool of format {FORMAT}")
    try:
        service = str(fields["shared"]["service"]["name"])
        fixed = fields["segment"], fields["pid"], bool(fields["sealed"]), fields["dropped"]
        return Header(*fixed, fields["shared"], service)
    except (KeyError, TypeError) as fault:
        raise ValueError(f"the header is not whole: {fault}") from fault


def count_at(reason: str) -> slice:
    """Where in the file the number of events dropped for a reason stands."""
    return slice(_COUNTS_AT[reason], _COUNTS_AT[reason] + _COUNT_WIDTH)


def encode_count(count: int) -> bytes:
    """A number of dropped events as it stands in the header."""
    return b"%*d" % (_COUNT_WIDTH, count)


def service_folder(spool: Path, host: str, service: str) -> Path:
    """The folder of one service's segments: hosts that share a disk do not share a folder, nor do services."""
    return spool / (_file_name(host) or "host") / (_file_name(service) or "service")


def _file_name(text: str) -> str:
    """A text as the name of a file that is not hidden and can be made."""
    quoted = quote(text, safe="", errors="replace")[:FILE_NAME_BYTES]
    return "%2E" + quoted[1:] if quoted.startswith(".") else quoted
