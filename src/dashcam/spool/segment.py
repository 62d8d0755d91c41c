"""The format of a segment: what the writer puts into the file and the reader takes out of it.

A segment is a file of fixed size that one process fills front to back; what is not filled yet is zero bytes. Its first
line is the header, one JSON object that starts with numbers of fixed width, so that they can be changed in place. Each
further line is one event, without what all events of the segment share: the header has that once, and the reader
completes the line with it and with the event's id, which is its place: the segment's id and the number of the line.

    {"spool":2,"sealed":0,"dropped":{"limit":         0,"disk":         0,"error":         0},"segment":"…",…}
    {"time_ns":1795484146123456789,"log.level":"info","message":"…",…,"event":{"kind":"event"}}
    {"time_ns":1795484146123999000,"processor":{"event":"transaction"},…,"event":{…}}
    {"time_ns":1795484146123111000,"processor":{"event":"start"},…,"event":{…}}

Every line begins with the time, nanoseconds since the epoch, says its kind right after it, and ends with the `event`
object. The reader makes the time a date: whoever waits for the line to be written need not wait for that. A `start`
marks a request as open until the line of its span; the reader never gives it out as an event.
"""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from dashcam.event import NS_PER_S, EncodedEvent, format_time

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

TIME = b'{"time_ns":'
TIME_AT = len(TIME)
TIME_DIGITS = 19  # the most
LATEST_NS: int = 10**TIME_DIGITS  # in the year 2286
SPAN_KIND = b',"processor":'
START_KIND = b',"processor":{"event":"start"}'


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


def place_of_count(reason: str) -> slice:
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


class LineExpander:
    """Makes events of a segment's lines: adds the id, the sequence and what the header has for all of them."""

    __slots__ = ("_head", "_segment", "_tail")

    def __init__(self, header: Header) -> None:
        self._segment = header.segment
        self._head = b',"id":"' + header.segment.encode() + b"-"
        dataset = orjson.dumps(header.service)
        self._tail = b',"dataset":' + dataset + b"}," + orjson.dumps(dict(header.shared))[1:]

    def expand(self, line: bytes, sequence: int) -> EncodedEvent:
        """The event of a spool's line (without its newline), the `sequence`th of its segment, from 1."""
        time_end = line.index(b",")
        seconds, rest_ns = divmod(int(line[TIME_AT:time_end]), NS_PER_S)
        data = b'%b.%06dZ"%b%b%08d","sequence":%d%b' % (
            _until_second(seconds),
            rest_ns // 1000,
            line[time_end:-2],
            self._head,
            sequence,
            sequence,
            self._tail,
        )
        return EncodedEvent(f"{self._segment}-{sequence:08d}", line.startswith(SPAN_KIND, time_end), data)


@lru_cache(maxsize=8)
def _until_second(seconds: int) -> bytes:
    return time.strftime('{"@timestamp":"%Y-%m-%dT%H:%M:%S', time.gmtime(seconds)).encode()


def is_span(line: bytes) -> bool:
    """Whether a line is that of a span, ended or only begun."""
    return line.startswith(SPAN_KIND, line.index(b","))


def is_start(line: bytes) -> bool:
    """Whether a line marks a request as open."""
    return line.startswith(START_KIND, line.index(b","))


def time_of(line: bytes) -> int:
    """When a line was recorded, in nanoseconds since the epoch."""
    return int(line[TIME_AT : line.index(b",")])


def is_line(line: bytes) -> bool:
    """Whether bytes between two newlines can be a line of a spool, and not the rest of a damaged one."""
    digits = line[TIME_AT : line.find(b",")]
    has_time = line.startswith(TIME) and digits.isdigit() and len(digits) <= TIME_DIGITS
    return has_time and line.endswith(b"}}") and b"\0" not in line
