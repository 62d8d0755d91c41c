"""Events as messages in the mode PackedForward, plain or compressed.

Source: sections "PackedForward Mode", "CompressedPackedForward Mode" and "EventTime Ext Format".
"""

import gzip
import os
import struct
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import ormsgpack
from fluent.sender import EventTime

from dashcam.event import NS_PER_S, parse_time

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


def pack_event(fields: Any) -> bytes:
    """One event as an entry `[EventTime, record]`, its time the event's `@timestamp`.

    Raises `ValueError` when it is no JSON object with a time from 1970 to 2106, or holds what msgpack cannot.
    """
    try:
        text = fields["@timestamp"]
        # Of the 27 characters of our own times all but the fraction are the same for many events.
        if len(text) == 27 and text[19] == "." and text[26] == "Z":
            return _until_fraction(text[:19]) + (int(text[20:26]) * 1000).to_bytes(4) + ormsgpack.packb(fields)
        return ENTRY + bytes(EventTime.from_unix_nano(parse_time(text)).data) + ormsgpack.packb(fields)
    except (KeyError, TypeError) as fault:
        raise ValueError(f"not an event with an @timestamp: {fault}") from None
    except struct.error:
        raise ValueError(f"@timestamp {fields['@timestamp']!r} lies outside of 1970 to 2106") from None


@lru_cache(maxsize=256)
def _until_fraction(second: str) -> bytes:
    return ENTRY + bytes(EventTime(parse_time(second) // NS_PER_S, 0).data[:4])


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
