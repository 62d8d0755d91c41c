"""The statement of a finished segment, an event among the others: what `dashcam audit` holds a store against.

    {"@timestamp":…,"message":"segment sealed: 6,912 events","dashcam":{"statement":{
     "segment":"0193a1b2…","part":1,"events":6912,"start":"…","end":"…","digest":"9f86d0…","lines":"eJwB…",
     "others":{"aborted-00000871":37359285},"held":"","is_partial":false,"before":["0193a1a0…-sealed-1-17","2c26b4…"]
     }},…,"event":{"action":"segment-sealed",…},…}

`lines` has, compressed and as Base64, a number of 32 bits for each event: the distance of its sequence from that of the
event before; and then another one for each: the CRC-32 of the event as it was sent. `others` has those of events that
are no lines, by the rest of their ID. Lines that are held, and may be sent one day or never, are not stated: `held` has
the distances between the bounds of the ranges where they stand. `digest` is the SHA-256 of all events as they were
sent, a newline after each. `before` names the statement that the same route made last, and the SHA-256 of that: none
can be taken out unnoticed. An event that others return is encoded by `orjson`, keys in their order; each event of ours
is sent in that form. `event.ingested` is left out: fluentd adds it.

A statement stands at the time of its first event, so a store that lets the oldest go lets it go before its events. Its
ID says how many events of the segment are stated, and the `part`: a very large segment has several statements.
"""

import hashlib
import sys
import zlib
from array import array
from base64 import b64decode, b64encode
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from struct import unpack
from typing import Any, NamedTuple, Union

import orjson

from dashcam.event import STATEMENT_ACTION, EncodedEvent, Event, parse_time

Numbers = Union[memoryview, "array[int]"]


def _by_zlib(text: bytes, ends: Numbers, /, *, with_vectors: bool = True) -> tuple[bytes, bytes, bytes]:  # noqa: ARG001 — as the compiled one has it
    lines = [text[begin : end - 1] for begin, end in pairwise([0, *ends])]
    times = [line[_TIME] for line in lines]
    return array("I", map(zlib.crc32, lines)).tobytes(), min(times, default=b""), max(times, default=b"")


try:
    from dashcam._checksums import checksums
except ImportError:  # there was no compiler
    checksums = _by_zlib

DATASET = "dashcam-audit"
MAX_EVENTS = 20_000  # about 7 bytes each: a line takes 256 KiB at most
MAX_OTHERS = 2_000

_MARK = "-sealed-"
_ID_BYTES = 24  # of a segment
_TIME = slice(15, 42)  # in an encoded event


def as_sent(event: Event) -> bytes:
    """Return the bytes that were sent of an event that a store gives back."""
    line = event.to_json()
    if b'"ingested":' in line and isinstance(inner := event.fields.get("event"), dict):
        inner = {name: value for name, value in inner.items() if name != "ingested"}
        return orjson.dumps(event.fields | {"event": inner})
    return line


class Link(NamedTuple):
    """A statement by its ID, and the SHA-256 of the event that it is."""

    id: str
    digest: str


def is_statement(event_id: str) -> bool:
    """Return whether an event is a statement, by its ID."""
    return event_id.startswith(_MARK, _ID_BYTES)


class Tally:
    """The events of a segment that a route sends, counted part by part; `add` takes them in their order."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.is_partial = False
        self._events = 0
        self._held: list[int] = []

    def hold(self, begin: int, end: int) -> None:
        """Leave out the lines from one offset up to another: they are not sent now."""
        if self._held and self._held[-1] == begin:
            self._held[-1] = end
        else:
            self._held += [begin, end]

    def held(self) -> bytes:
        """The bounds of what is held, as numbers that a statement has."""
        return _packed(_gaps(array("I", self._held))) if self._held else b""

    def add(self, sequences: Numbers, text: bytes, ends: Numbers) -> None:
        """Count events that are lines of the segment, as they are sent: a text that has each with a newline behind it.

        `ends` has where each one ends in it.
        """
        if len(ends):
            self._part(MAX_EVENTS, len(ends)).add(sequences, text, ends)

    def add_others(self, events: Sequence[EncodedEvent]) -> None:
        """Count events that are no lines."""
        for at in range(0, len(events), MAX_OTHERS):
            some = events[at : at + MAX_OTHERS]
            part = self._part(MAX_OTHERS if len(events) > MAX_OTHERS else MAX_EVENTS, len(some))
            part.others |= {event.id[_ID_BYTES + 1 :]: zlib.crc32(event.data) for event in some}
            times = [event.data[_TIME] for event in some]
            part.count(b"".join([event.data + b"\n" for event in some]), min(times), max(times))

    def _part(self, most: int, more: int) -> "_Part":
        if not self.parts or self.parts[-1].events >= most:
            self.parts.append(_Part(len(self.parts) + 1, self._events))
        self._events += more
        return self.parts[-1]


class _Part:
    def __init__(self, number: int, events_before: int) -> None:
        self.others: dict[str, int] = {}
        self._number = number
        self._events_before = events_before
        self._sequences = array("I")
        self._checksums = array("I")
        self._digest = hashlib.sha256()
        self._start, self._end = b"~", b""

    @property
    def events(self) -> int:
        return len(self._sequences) + len(self.others)

    def add(self, sequences: Numbers, text: bytes, ends: Numbers) -> None:
        sums, first, last = checksums(text, ends)
        self._sequences.frombytes(memoryview(sequences).cast("B"))
        self._checksums.frombytes(sums)
        self.count(text, first, last)

    def count(self, text: bytes, first: bytes, last: bytes) -> None:
        self._digest.update(text)
        self._start, self._end = min(self._start, first), max(self._end, last)

    def suffix(self) -> str:
        """The part of a statement's ID that follows the segment."""
        return f"{_MARK[1:]}{self._number}-{self._events_before + self.events}"

    def fields(self, segment: str, before: Link | None, tally: Tally) -> dict[str, Any]:
        """Return the event, but for what all events of the segment share."""
        statement = {
            "segment": segment,
            "part": self._number,
            "events": self.events,
            "start": self._start.decode(),
            "end": self._end.decode(),
            "digest": self._digest.hexdigest(),
            "lines": _packed(_gaps(self._sequences) + _little(self._checksums)).decode(),
            "others": self.others,
            "held": tally.held().decode(),
            "is_partial": tally.is_partial,
            "before": list(before) if before else None,  # orjson knows no named tuples
        }
        return {
            "time_ns": parse_time(self._start.decode()),
            "log.level": "info",
            "message": f"segment sealed: {self.events:,} events",
            "dashcam": {"statement": statement},
            "log": {"logger": "dashcam.ship"},
            "event": {"kind": "event", "action": STATEMENT_ACTION},
        }


def _gaps(numbers: "array[int]") -> bytes:
    """Return the distance of each from the one before, of numbers that ascend."""
    # As one long number: no distance is below zero, so none borrows from the next.
    size, text = 32 * len(numbers), _little(numbers)
    whole = int.from_bytes(text, "little")
    return ((whole - (whole << 32)) & ((1 << size) - 1)).to_bytes(len(text), "little")


def _little(numbers: "array[int]") -> bytes:
    """Return numbers of 32 bits as a statement has them, the least significant byte first."""
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def _packed(numbers: bytes) -> bytes:
    return b64encode(zlib.compress(numbers, 1))


def _unpacked(text: str) -> tuple[int, ...]:
    data = zlib.decompress(b64decode(text, validate=True)) if text else b""
    return unpack(f"<{len(data) // 4}I", data)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as a store gives it: its events in the order of `digest`, eight bytes each.

    First those that are lines, by their sequence in the segment (ascending), then those of `others`, by the rest of
    their ID; `checksums` has the CRC-32 of each. `is_partial` says that the store may have more events of the segment,
    and `held` where they may stand in any case, as bounds. `link` is what the next statement says of it.
    """

    link: Link
    segment: str
    start_ns: int
    end_ns: int
    digest: str
    sequences: "array[int]"
    others: tuple[str, ...]
    checksums: "array[int]"
    held: tuple[int, ...]
    is_partial: bool
    before: Link | None

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.checksums)

    def ids(self) -> Iterator[str]:
        """Yield the ID of each event."""
        for rest in chain((f"{at:08d}" for at in self.sequences), self.others):
            yield f"{self.segment}-{rest}"

    def find(self, id_: str) -> int | None:
        """Return which of the events has an ID, from 0; `None` if none of them."""
        rest = id_[_ID_BYTES + 1 :]
        if rest.isdecimal():
            at = bisect_left(self.sequences, int(rest))
            if at < len(self.sequences) and rest == f"{self.sequences[at]:08d}":
                return at
        return len(self.sequences) + self.others.index(rest) if rest in self.others else None

    def may_be_there(self, id_: str) -> bool:
        """Return whether the store may have an event of the segment that is not stated."""
        number = id_[_ID_BYTES + 1 :]
        return self.is_partial or (number.isdecimal() and bisect_right(self.held, int(number)) % 2 == 1)

    @classmethod
    def of(cls, event: Event) -> "Statement":
        """Return the statement that an event makes; raises `ValueError` when it is none, or was damaged."""
        try:
            fields = event.fields["dashcam"]["statement"]
            segment = fields["segment"]
            numbers = _unpacked(fields["lines"])
            half = len(numbers) // 2
            lines, others = list(zip(accumulate(numbers[:half]), numbers[half:], strict=True)), fields["others"]
            return cls(
                Link(event.id, hashlib.sha256(as_sent(event)).hexdigest()),
                str(segment),
                parse_time(fields["start"]),
                parse_time(fields["end"]),
                str(fields["digest"]),
                array("I", [at for at, _ in lines]),
                tuple(map(str, others)),
                array("I", [*(checksum for _, checksum in lines), *map(int, others.values())]),
                tuple(accumulate(_unpacked(fields["held"]))),
                bool(fields["is_partial"]),
                Link(*map(str, fields["before"])) if fields["before"] else None,
            )
        except Exception as fault:  # whoever changed it may have put anything anywhere
            raise ValueError(f"{event.id} is not a statement: {fault!r}") from fault
