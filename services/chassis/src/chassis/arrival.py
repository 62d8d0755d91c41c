"""The bytes of one HTTP request as they arrive, and the point at which a thread can read it without waiting.

Source: RFC 9112, sections 2.2 (the end of a head), 6 (content) and 7.1 (chunks).
"""

import re
from enum import Enum

_LENGTH = re.compile(rb"(?im)^content-length[ \t]*:[ \t]*([0-9]+)[ \t]*\r$")
_CODING = re.compile(rb"(?im)^transfer-encoding[ \t]*:.*\bchunked\b")
_EXPECTS = re.compile(rb"(?im)^expect[ \t]*:[ \t]*100-continue[ \t]*\r$")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}[ \t]*(;[^\r]*)?")


class State(Enum):
    """The part of a request that has arrived."""

    PARTIAL = "partial"
    COMPLETE = "complete"  # reading it does not wait, be it well-formed or not
    UNWANTED = "unwanted"  # the head is there and announces a body that the app refuses unread
    ENDLESS_HEAD = "endless head"
    ENDLESS_BODY = "endless body"


class Arrival:
    """One request that arrives, of which at most `max_head_bytes` and `max_body_bytes` are kept."""

    __slots__ = ("_body_end", "_chunk_start", "_head_end", "_max_body_bytes", "_max_head_bytes", "data")

    def __init__(self, max_head_bytes: int, max_body_bytes: int) -> None:
        self.data = bytearray()
        self._max_head_bytes = max_head_bytes
        self._max_body_bytes = max_body_bytes
        self._head_end = 0
        self._body_end: int | None = 0  # None in chunks, whose end is not known before the last one
        self._chunk_start = 0

    def add(self, data: bytes) -> State:
        """Keep more bytes and return how much is there."""
        searched = max(0, len(self.data) - 3)
        self.data += data
        if not self._head_end:
            end = self.data.find(b"\r\n\r\n", searched)
            if end < 0:
                return State.ENDLESS_HEAD if len(self.data) > self._max_head_bytes else State.PARTIAL
            self._read_head(end + 4)
        if self._body_end is None:
            return self._state_of_chunks()
        if self._body_end - self._head_end > self._max_body_bytes:
            return State.UNWANTED
        return State.COMPLETE if len(self.data) >= self._body_end else State.PARTIAL

    @property
    def is_waited_for(self) -> bool:
        """True once the head is there and asks for `100 Continue` before the body."""
        return bool(self._head_end and _EXPECTS.search(self.data, 0, self._head_end))

    def _read_head(self, end: int) -> None:
        self._head_end = self._chunk_start = end
        if _CODING.search(self.data, 0, end):
            self._body_end = None
        else:
            length = _LENGTH.search(self.data, 0, end)
            self._body_end = end + (int(length[1][:16]) if length else 0)

    def _state_of_chunks(self) -> State:
        while (line_end := self.data.find(b"\r\n", self._chunk_start)) >= 0:
            if not _CHUNK_SIZE.fullmatch(self.data, self._chunk_start, line_end):
                return State.COMPLETE  # the parser refuses it at this line
            size = int(bytes(self.data[self._chunk_start : line_end]).partition(b";")[0], 16)
            if not size:
                # The trailer section ends with an empty line, which is the whole of it where there are no trailers.
                return State.COMPLETE if self.data.find(b"\r\n\r\n", line_end) >= 0 else self._unless_endless()
            chunk_end = line_end + 2 + size
            if len(self.data) < chunk_end + 2:
                break
            if self.data[chunk_end : chunk_end + 2] != b"\r\n":
                return State.COMPLETE  # refused as well
            self._chunk_start = chunk_end + 2
        return self._unless_endless()

    def _unless_endless(self) -> State:
        return State.ENDLESS_BODY if len(self.data) - self._head_end > self._max_body_bytes else State.PARTIAL
