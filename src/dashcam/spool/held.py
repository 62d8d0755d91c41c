"""Tells the lines of a segment that are shipped from those below a level, which are held: by their first bytes.

A held line is not completed, and most are never looked at again: all that is done for one is in `parse_lines`.
"""

import re
from functools import partial

from dashcam.spool.line import CALL_END, REQUEST_HEAD, level_at
from dashcam.spool.reader import Held, Parse, Position, ReadResult, parse_lines

LEVELS = ("debug", "info", "warning", "error", "critical")
MAX_HELD = LEVELS.index("error")  # what is an error or worse is always shipped

_LEVEL = re.compile(rb',"log\.level":"(debug|info|warning|error|critical)",')
# The ids of a line come after all that a caller wrote, so only the whole end of a line shows whose it is.
_IDS = re.compile(
    rb',"http":\{"request":\{"id":"([^"]+)"\}\}(?:,"trace":\{"id":"[0-9a-f]+"\},"span":\{"id":"[0-9a-f]+"\})?'
    rb'(?:,"transaction":\{"id":"[0-9a-f]+"\})?,"log":\{"logger":"(?:[^"\\]|\\.)*"\},"event":\{[^{}]*\}\}$'
)


def parse_above(level: str) -> Parse:
    """Return a function that parses what is read of a segment, and leaves lines below a level where they are."""
    return partial(parse_lines, heads=heads_below(level))


def heads_below(level: str) -> tuple[bytes, ...]:
    """Return what the lines below a level have behind their time."""
    return tuple(b',"log.level":"%b",' % name.encode() for name in LEVELS if is_below(name, level))


def leave_all(text: bytes, offset: int, sequence: int) -> ReadResult:
    """Parse nothing: return a text whole, whatever its lines are."""
    after = Position(offset + len(text), sequence)
    return ReadResult(
        [], after, 0, Held(text, offset, [(offset, after.offset, text.count(b"\n"))], {}) if text else None
    )


def is_below(level: str, shipped: str) -> bool:
    """Return whether a line of a level is held where those of another one are shipped at once."""
    return LEVELS.index(level) < min(LEVELS.index(shipped), MAX_HELD)


def level_of(line: bytes) -> str:
    """Return the level of a log call's line that can be held; empty for any other line."""
    if not line.endswith(CALL_END):
        return ""
    found = _LEVEL.match(line, level_at(line))
    return found[1].decode() if found else ""


def request_of(line: bytes) -> bytes:
    """Return the request ID of a log call's line (without its newline); empty outside of a request."""
    at = line.rfind(REQUEST_HEAD)
    found = _IDS.match(line, at) if at >= 0 else None
    return found[1] if found else b""
