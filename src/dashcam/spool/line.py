"""The format of a line: one event of a segment, without what all events of the segment share.

    {"time_ns":1795484146123456789,"log.level":"info","message":"…",…,"log":{"logger":"…"},"event":{"kind":"event"}}
    {"time_ns":1795484146123999000,"processor":{"event":"transaction"},…,"event":{…}}
    {"time_ns":1795484146123111000,"processor":{"event":"start"},…,"event":{…}}

A line begins with the time in nanoseconds since the epoch, has its kind right after it, and ends with the `event`
object. The reader turns the time into a date, so the caller does not wait for that. A `start` marks a request as open
until the line of its span; the reader never gives it out as an event.

The writing half is `encode_suffix`, `encode_ids` and `span_fields`, the reading half all the rest.
"""

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from dashcam.codec import orjson
from dashcam.event import NS_PER_S, EncodedEvent
from dashcam.spool.segment import Header


def _leave(*_: object) -> None:
    return None


try:
    from dashcam.spool._lines import expand as _expand
except ImportError:  # there was no compiler
    _expand = _leave

MAX_TIME_DIGITS = 19
LEVEL_AT = 30  # where a line has its level, or its kind: the time has 19 digits from 2001 to 2286
CALL_END = b',"event":{"kind":"event"}}'  # of a log call; a span or a mark has more in its `event`
REQUEST_HEAD = b',"http":{"request":{"id":"'  # before the ID of a request
KEEP_HEAD = b',"tags":["keep"],'  # a line that asks for its request to be kept has this after the time
MAX_TIME_NS: int = 10**MAX_TIME_DIGITS - 1  # in the year 2286

_TIME = b'{"time_ns":'
_TIME_AT = len(_TIME)
_SPAN = b',"processor":'
_START = b',"processor":{"event":"start"}'


def encode_suffix(logger: str) -> bytes:
    r"""Return the end of each line of a logger, newline included.

    >>> encode_suffix("cars")
    b',"log":{"logger":"cars"},"event":{"kind":"event"}}\n'
    """
    return b',"log":{"logger":%b},"event":{"kind":"event"}}\n' % orjson.dumps(logger)


def encode_ids(request: str, trace: str, span: str, transaction: str) -> bytes:
    """Return ids as the middle of a line, without those that are empty. None may hold a character that JSON escapes.

    >>> encode_ids("golf-7", "", "", "")
    b',"http":{"request":{"id":"golf-7"}}'
    """
    ids = f',"http":{{"request":{{"id":"{request}"}}}}' if request else ""
    if trace:
        ids += f',"trace":{{"id":"{trace}"}},"span":{{"id":"{span}"}}'
    if transaction:
        ids += f',"transaction":{{"id":"{transaction}"}}'
    return ids.encode()


def span_fields(time_ns: int, kind: str, fields: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a span's line in their order; `kind` is `start`, `span` or `transaction`."""
    return {"time_ns": time_ns, "processor": {"event": kind}, **fields, "event": {"kind": "event", **event}}


class LineExpander:
    """Expands a segment's lines to events: adds the id, the sequence and what the header has for all of them.

    `head` is what stands before the sequence in the id, and `tail` what stands behind the sequence as a number.
    """

    __slots__ = ("head", "segment", "tail")

    def __init__(self, header: Header) -> None:
        self.segment = header.segment
        self.head = b',"id":"' + header.segment.encode() + b"-"
        dataset = orjson.dumps(header.service)
        self.tail = b',"dataset":' + dataset + b"}," + orjson.dumps(dict(header.shared))[1:]

    def expand(self, line: bytes, sequence: int) -> EncodedEvent:
        """Return the event of a line (without its newline); `sequence` is the offset of the line in its segment."""
        event = _expand(EncodedEvent, self.segment, self.head, self.tail, line, sequence)
        if event:
            return event
        data = complete(line, sequence, self.head, self.tail)
        return EncodedEvent(f"{self.segment}-{sequence:08d}", is_span(line), data)


def complete(line: bytes, sequence: int, head: bytes, tail: bytes) -> bytes:
    """Return the JSON of the event of a line, with the `head` and the `tail` of its expander."""
    time_end = line.index(b",")
    seconds, rest_ns = divmod(int(line[_TIME_AT:time_end]), NS_PER_S)
    begin = _until_second(seconds)
    return b'%b.%06dZ"%b%b%08d","sequence":%d%b' % (
        begin,
        rest_ns // 1000,
        line[time_end:-2],
        head,
        sequence,
        sequence,
        tail,
    )


@lru_cache(maxsize=8)
def _until_second(seconds: int) -> bytes:
    return time.strftime('{"@timestamp":"%Y-%m-%dT%H:%M:%S', time.gmtime(seconds)).encode()


def is_line(line: bytes) -> bool:
    """Return whether bytes between two newlines can be a line, and not the rest of a damaged one."""
    digits = line[_TIME_AT : line.find(b",")]
    has_time = line.startswith(_TIME) and digits.isdigit() and len(digits) <= MAX_TIME_DIGITS
    return has_time and line.endswith(b"}}") and b"\0" not in line


def level_at(line: bytes) -> int:
    """Return where a line has its level or its kind, also if its clock stands before 2001."""
    return LEVEL_AT if line.startswith(b",", LEVEL_AT) else line.find(b",")


def is_span(line: bytes) -> bool:
    """Return whether a line is that of a span, ended or only begun."""
    return line.startswith(_SPAN, line.index(b","))


def is_start(line: bytes) -> bool:
    """Return whether a line marks a request as open."""
    return line.startswith(_START, line.find(b","))


def time_of(line: bytes) -> int:
    """Return when a line was recorded, in nanoseconds since the epoch."""
    return int(line[_TIME_AT : line.index(b",")])
