"""Events as messages in the mode PackedForward, plain or compressed.

Source: sections "PackedForward Mode", "CompressedPackedForward Mode" and "EventTime Ext Format".
"""

import gzip
import os
import struct
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import ormsgpack
from fluent.sender import EventTime

from dashcam.event import NS_PER_S, parse_time


def _leave(lines: list[bytes], begin_entry: Callable[[bytes], bytes]) -> list[bytes | None]:  # noqa: ARG001 - as the compiled one has it
    return [None] * len(lines)


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


def pack_lines(lines: list[bytes]) -> tuple[list[bytes | None], dict[int, str]]:
    """Return events as entries, as `pack_event` gives them, and the reasons why some have none, by their place."""
    entries, refused = pack_entries(lines, _begin_entry), {}
    for place in [place for place, entry in enumerate(entries) if entry is None]:
        try:
            entries[place] = pack_event(orjson.loads(lines[place]))
        except ValueError as fault:
            refused[place] = f"cannot be sent as msgpack: {fault}"
    return entries, refused


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


def pack_message(tag: str, entries: Sequence[bytes], *, compress: bool = False) -> Message:
    """The entries as one message that asks for an acknowledgement, under a random chunk id."""
    chunk = b64encode(os.urandom(16)).decode()
    option: dict[str, Any] = {"size": len(entries), "chunk": chunk}
    size_bytes = sum(map(len, entries))
    if compress and size_bytes >= WORTH_BYTES:
        # Level 6 would save 9 % more and cost three times the time.
        entries, option["compressed"] = [gzip.compress(b"".join(entries), 1, mtime=0)], "gzip"
        size_bytes = len(entries[0])
    # Joined once: an encoder would copy all entries twice more, a tenth of the time that an event takes.
    body = (BIN, size_bytes.to_bytes(4), *entries)
    return Message(
        tag, chunk, option["size"], b"".join((LIST_OF_3, ormsgpack.packb(tag), *body, ormsgpack.packb(option)))
    )
