"""The format of a segment: a header, then lines, then zero bytes.

A segment is a file that one process fills front to back; the rest is zero bytes. Its first line is the header, one JSON
object that starts with numbers of fixed width, so that they can be changed in place. Each further line is one event,
without the fields that all events of the segment share, which the header has once (`spool/line.py`). The id of an event
is its place: the id of the segment and the offset of the line, in bytes, so damage does not change other ids.

    {"spool":3,"sealed":0,"lines":         0,"dropped":{"limit":         0,…},"check":"0193a1b2","segment":"…",…}

`sealed` is 1 when the writer finished the segment, and 2 when it gave the segment up because the file was changed.
`lines` is the number of lines at that moment, and `check` the CRC-32 of all that follows it.
"""

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dashcam import machine
from dashcam.codec import orjson
from dashcam.event import format_time

FORMAT = 3
SEGMENT_BYTES = 2 << 20  # a new file every few thousand events; its touched pages count as the service's memory
MAX_SEGMENT_BYTES = 64 << 20  # of one with very many open requests: an offset has 8 digits
LINE_BYTES = 256 << 10  # the most one line takes, newline included: any destination takes that much in one event
SUFFIX = ".segment"
FILE_NAME_BYTES = 200  # file systems take 255; names so long that they are cut share a folder, which does no harm

# The spool is full; the disk is, or fails; the spool may not be written; the process has no descriptor or memory left;
# the event could not be written as a line.
DROP_REASONS = ("limit", "disk", "access", "system", "error")
OPEN, SEALED, GIVEN_UP = b"0", b"1", b"2"

_COUNT_WIDTH = 10
_BEFORE_SEALED = b'{"spool":%d,"sealed":' % FORMAT
_BEFORE_LINES = b',"lines":'
SEALED_AT = len(_BEFORE_SEALED)
LINES_AT = SEALED_AT + 1 + len(_BEFORE_LINES)
_NO_COUNTS = ",".join(f'"{reason}":{0:{_COUNT_WIDTH}d}' for reason in DROP_REASONS).encode()
_BEFORE_CHECK = b'},"check":"'
_HEAD = b'%b%b%b%*d,"dropped":{%b%b' % (_BEFORE_SEALED, OPEN, _BEFORE_LINES, _COUNT_WIDTH, 0, _NO_COUNTS, _BEFORE_CHECK)
_SEGMENT_ID = re.compile(r"[0-9a-f]{24}")


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a segment.

    `shared` has the fields of all its events, with the name of the `service`. If a segment is not sealed and has no
    living writer, its process died or ended. `lines` is 0 until it is sealed. `boot` identifies the run of the machine,
    and is empty if unknown. `took` names the batches of counts to add to `dropped` (`spool/drops.py`).
    """

    segment: str
    pid: int
    is_sealed: bool
    is_given_up: bool
    lines: int
    dropped: Mapping[str, int]
    boot: str
    shared: Mapping[str, Any]
    service: str
    took: tuple[str, ...] = ()


def new_segment_id(now_ns: int) -> str:
    """Return an id of 24 hexadecimal digits that sorts by time: 48 bits of ms, 16 of 16 ns, 32 random ones."""
    milliseconds, rest_ns = divmod(now_ns, 1_000_000)
    return f"{milliseconds:012x}{rest_ns // 16:04x}{machine.token_hex(4)}"


def began_ns(segment: str) -> int:
    """Return when a segment began, by its ID, to a millisecond."""
    return int(segment[:12], 16) * 1_000_000


def encode_header(  # noqa: PLR0913 — each is a part of it
    segment: str, pid: int, shared: Mapping[str, Any], now_ns: int, boot: str = "", *, took: Sequence[str] = ()
) -> bytes:
    """Return the first line of a segment, newline included."""
    fields = {"segment": segment, "pid": pid, "boot": boot, "started": format_time(now_ns), "shared": dict(shared)}
    fields |= {"took": list(took)} if took else {}
    rest = b'",' + orjson.dumps(fields)[1:] + b"\n"
    return _HEAD + b"%08x" % zlib.crc32(rest) + rest


def decode_header(line: bytes) -> Header:
    """Return the header of a segment's first line, newline included.

    Raises `ValueError` if the line is not a header, is damaged, or has a format that this version does not read.
    """
    fields = orjson.loads(line)
    if not isinstance(fields, dict) or fields.get("spool") != FORMAT:
        raise ValueError(f"the first line is not the header of a segment of format {FORMAT}")
    _, _, checked = line.partition(_BEFORE_CHECK)
    if checked[:8] != b"%08x" % zlib.crc32(checked[8:]):
        raise ValueError("the header is damaged: its checksum does not match")
    try:
        header = Header(
            segment=fields["segment"],
            pid=fields["pid"],
            is_sealed=fields["sealed"] in (1, 2),
            is_given_up=fields["sealed"] == 2,
            lines=fields["lines"],
            dropped=fields["dropped"],
            boot=fields["boot"],
            shared=fields["shared"],
            service=fields["shared"]["service"]["name"],
            took=tuple(fields.get("took", ())),
        )
    except (KeyError, TypeError) as fault:
        raise ValueError(f"the header is not whole: {fault}") from None
    _check_types(header)
    return header


def _check_types(header: Header) -> None:
    if not isinstance(header.segment, str) or not _SEGMENT_ID.fullmatch(header.segment):
        raise ValueError("the header has no segment ID of 24 hexadecimal digits")
    if not isinstance(header.shared, dict) or not isinstance(header.dropped, dict):
        raise ValueError("the header has no objects `shared` and `dropped`")
    if not all(isinstance(text, str) for text in (header.service, header.boot)):
        raise ValueError("the names in the header are not text")
    numbers = (header.pid, header.lines, *header.dropped.values())
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise ValueError("the counts in the header are not whole numbers")


@cache
def count_at(reason: str) -> int:
    """Return the offset of the number of events dropped for a reason."""
    before = "".join(f'"{each}":{0:{_COUNT_WIDTH}d},' for each in DROP_REASONS[: DROP_REASONS.index(reason)])
    return LINES_AT + _COUNT_WIDTH + len(f',"dropped":{{{before}"{reason}":')


@cache
def boot_id() -> str:
    """Return the ID of the machine's run since its start; empty on a system without one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def encode_count(count: int) -> bytes:
    """Return a number as it stands in the header."""
    return b"%*d" % (_COUNT_WIDTH, count)


def service_folder(spool: Path, host: str, service: str) -> Path:
    """Return the folder of one service's segments: hosts that share a disk do not share a folder, nor do services."""
    return spool / (_file_name(host) or "host") / (_file_name(service) or "service")


def _file_name(text: str) -> str:
    """Return a text as the name of a file that is not hidden and can be made."""
    quoted = quote(text, safe="", errors="replace")[:FILE_NAME_BYTES]
    return "%2E" + quoted[1:] if quoted.startswith(".") else quoted
