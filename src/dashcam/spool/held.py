"""Tells the lines of a segment that are shipped from those below a level, which are held: by their first bytes.

A held line is not completed, and most are never looked at again, so all that is done for one stands in one loop.
"""

import re
from collections import Counter

from dashcam.spool.line import LEVEL_AT, is_line, level_at
from dashcam.spool.reader import HeldRun, Position, ReadResult, has_headed, parse_lines

LEVELS = ("debug", "info", "warning", "error", "critical")
MAX_HELD = LEVELS.index("error")  # what is an error or worse is always shipped

_DIGITS = slice(11, LEVEL_AT)
_ENDS = b',"event":{"kind":"event"}}'  # of a log call; a span or a mark has more in its `event`
_LEVEL = re.compile(rb',"log\.level":"(debug|info|warning|error|critical)",')
_REQUEST = b',"http":{"request":{"id":"'
# The ids of a line come after all that a caller wrote, so only the whole end of a line shows whose it is.
_IDS = re.compile(
    rb',"http":\{"request":\{"id":"([^"]+)"\}\}(?:,"trace":\{"id":"[0-9a-f]+"\},"span":\{"id":"[0-9a-f]+"\})?'
    rb'(?:,"transaction":\{"id":"[0-9a-f]+"\})?,"log":\{"logger":"(?:[^"\\]|\\.)*"\},"event":\{[^{}]*\}\}$'
)


class HeldLines:
    """Parses what is read of a segment, and leaves lines below a level in runs."""

    def __init__(self, level: str) -> None:
        self._heads = tuple(b',"log.level":"%b",' % name.encode() for name in LEVELS if is_below(name, level))

    def parse(self, text: bytes, offset: int, sequence: int) -> ReadResult:
        """Return the lines of a text that are not held, and the runs of those that are."""
        heads, begin, lines, runs, damaged = self._heads, offset, list[tuple[bytes, Position]](), list[HeldRun](), 0
        if b"\0" in text or not has_headed(text, heads):
            return parse_lines(text, offset, sequence)
        first, count = offset, 0
        for line in text.split(b"\n")[:-1]:
            end = offset + len(line) + 1
            # All that `is_line` asks for, without a call.
            is_held = line.startswith(heads, LEVEL_AT) and line.endswith(_ENDS) and line[_DIGITS].isdigit()
            if is_held or self._is_held_before_2001(line):
                count += 1
                sequence = offset
            else:
                if count:
                    after = Position(offset, sequence)
                    runs.append(HeldRun(text[begin - first : offset - first], count, begin, len(lines), after))
                    count = 0
                begin = end
                if is_line(line):
                    sequence = offset
                    lines.append((line, Position(end, sequence)))
                else:
                    damaged += 1
            offset = end
        if count:
            after = Position(offset, sequence)
            runs.append(HeldRun(text[begin - first : offset - first], count, begin, len(lines), after))
        return ReadResult(lines, Position(offset, sequence), damaged, tuple(runs))

    def _is_held_before_2001(self, line: bytes) -> bool:
        at = level_at(line)
        return at != LEVEL_AT and line.startswith(self._heads, at) and line.endswith(_ENDS) and is_line(line)


def as_one_run(text: bytes, offset: int, sequence: int) -> ReadResult:
    """Return a text as one run, whatever its lines are."""
    after = Position(offset + len(text), sequence)
    return ReadResult([], after, 0, (HeldRun(text, text.count(b"\n"), offset, 0, after),))


def is_below(level: str, shipped: str) -> bool:
    """Return whether a line of a level is held where those of another one are shipped at once."""
    return LEVELS.index(level) < min(LEVELS.index(shipped), MAX_HELD)


def level_of(line: bytes) -> str:
    """Return the level of a log call's line that can be held; empty for any other line."""
    if not line.endswith(_ENDS):
        return ""
    found = _LEVEL.match(line, level_at(line))
    return found[1].decode() if found else ""


def count_requests(text: bytes) -> Counter[bytes]:
    """Return the request IDs that held lines may have, with the number of lines; a caller's text may add others."""
    return Counter(part[: part.index(b'"')] for part in text.split(_REQUEST)[1:])


def request_of(line: bytes) -> bytes:
    """Return the request ID of a log call's line (without its newline); empty outside of a request."""
    at = line.rfind(_REQUEST)
    found = _IDS.match(line, at) if at >= 0 else None
    return found[1] if found else b""
