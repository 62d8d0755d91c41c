"""Events as messages in the mode PackedForward, plain or compressed.

Source: sections "PackedForward Mode", "CompressedPackedForward Mode" and "EventTime Ext Format".
"""

import os
import struct
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import ormsgpack
from fluent.sender import EventTime

from dashcam.destinations.deflate import gzip
from dashcam.event import NS_PER_S, parse_time
from dashcam.ship.batch import Batch, blocks_of


def _leave(
    _text: bytes, _begin: int, _ends: memoryview, spans: bytes, _begin_entry: Callable[[bytes], bytes], /
) -> tuple[bytes, bytes, list[int]]:
    return b"", b"", list(range(len(spans)))


try:
    from dashcam.destinations.fluentd._msgpack import pack_entries
except ImportError:  # there was no compiler
    pack_entries = _leave

ENTRY = b"\x92\xd7\x00"  # msgpack: a list of two, of which the first is an extension of type 0 and 8 bytes
LIST_OF_3, BIN = b"\x93", b"\xc6"  # msgpack: a list of three; bytes, whose number follows in four
WORTH_BYTES = 1024  # below it gzip's own bytes eat what it saves


@dataclass(frozen=True, slots=True)
class Message:
    """Events of one tag under one chunk id, as the bytes that go over the wire, however often they are sent."""

    tag: str
    chunk: str
    events: int
    data: bytes


@dataclass(slots=True)
class Entries:
    """Events of one tag as entries, some in each part."""

    parts: list[bytes] = field(default_factory=list)
    count: int = 0

    def add(self, part: bytes, count: int) -> None:
        """Add so many that are packed one behind the other."""
        if count:
            self.parts.append(part)
            self.count += count


def pack_batch(batch: Batch) -> tuple[Entries, Entries, dict[int, str]]:
    """Return the log lines and the spans of a batch as entries, and why some events have none, by their place."""
    logs, spans, refused, first = Entries(), Entries(), dict[int, str](), 0
    for block in blocks_of(batch):
        log_part, span_part, left = pack_entries(block.text, block.begin, block.ends, block.spans, _begin_entry)
        left_spans = sum(block.spans[place] for place in left)
        span_count = sum(block.spans) - left_spans
        spans.add(span_part, span_count)
        logs.add(log_part, len(block) - len(left) - span_count)
        for place in left:
            event = block[place]
            try:
                (spans if event.is_span else logs).add(pack_event(orjson.loads(event.data)), 1)
            except ValueError as fault:
                refused[first + place] = f"cannot be sent as msgpack: {fault}"
        first += len(block)
    return logs, spans, refused


def pack_event(fields: Any) -> bytes:
    """One event as an entry `[EventTime, record]`, its time the event's `@timestamp`.

    Raises `ValueError` when it is no JSON object with a time from 1970 to 2106, or holds what msgpack cannot.
    """
    try:
        text = fields["@timestamp"]
        return ENTRY + bytes(EventTime.from_unix_nano(parse_time(text)).data) + ormsgpack.packb(fields)
    except (KeyError, TypeError) as fault:
        raise ValueError(f"not an event with an @timestamp: {fault}") from None
    except struct.error:
        raise ValueError(f"@timestamp {fields['@timestamp']!r} lies outside of 1970 to 2106") from None


def _begin_entry(second: bytes) -> bytes:
    """Return the beginning of an entry up to its nanoseconds; empty for a second that is none, or out of range."""
    try:
        return ENTRY + bytes(EventTime(parse_time(second.decode()) // NS_PER_S, 0).data[:4])
    except (ValueError, struct.error):
        return b""


def pack_message(tag: str, entries: Entries, *, compress: bool = False) -> Message:
    """The entries as one message that asks for an acknowledgement, under a random chunk id."""
    chunk, parts = b64encode(os.urandom(16)).decode(), entries.parts
    option: dict[str, Any] = {"size": entries.count, "chunk": chunk}
    size_bytes = sum(map(len, parts))
    if compress and size_bytes >= WORTH_BYTES:
        parts, option["compressed"] = [gzip(b"".join(parts))], "gzip"
        size_bytes = len(parts[0])
    # Joined once: an encoder would copy all entries twice more, a tenth of the time that an event takes.
    body = (BIN, size_bytes.to_bytes(4), *parts)
    return Message(
        tag, chunk, option["size"], b"".join((LIST_OF_3, ormsgpack.packb(tag), *body, ormsgpack.packb(option)))
    )
