"""Statements of what each segment held: its events by ID, time and digest, so that a store can be held against them.

A segment that is there is read; before one is removed, its statement goes to `audit.journal`. Each statement names the
digest of the one before it, so that none can be taken out unnoticed.
"""

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from dashcam.event import Event
from dashcam.ship import checkpoint
from dashcam.ship.checkpoint import Checkpoint
from dashcam.ship.journal import decode_record, encode_record, replace_file, write_all
from dashcam.ship.listing import SpoolListing, open_segment
from dashcam.ship.selection import is_shipped, synthesized_events
from dashcam.spool.held import level_of
from dashcam.spool.line import LineExpander

NAME = "audit.journal"
TAIL_BYTES = 8 << 20  # far more than a statement takes
MAX_BYTES = 64 << 20  # of statements; beyond it the older half goes


class StatedEvent(NamedTuple):
    """An event that was recorded: its ID, time, digest, and the routes that delivered it."""

    id: str
    time_ns: int
    digest: int
    routes: tuple[str, ...]


class Statements(NamedTuple):
    """All that is known to have been recorded, and why some of it is not known."""

    events: Iterator[StatedEvent]
    gaps: list[str]


def digest_of(event: Event) -> int:
    """Return the checksum of an event, however its keys are ordered, and whatever the reason is that it was shipped."""
    fields = event.fields
    if event.get("event.reason") is not None:
        fields = fields | {"event": {name: value for name, value in fields["event"].items() if name != "reason"}}
    return zlib.crc32(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS))


def add(folder: Path, segments: Iterable[tuple[str, Path]], checkpoints: Mapping[str, Checkpoint]) -> None:
    """State what segments held that are about to go. Raises `OSError` when that cannot be kept."""
    path = folder / NAME
    if path.exists() and path.stat().st_size > MAX_BYTES:
        former = path.read_bytes()
        replace_file(path, former[former.find(b"\n", len(former) // 2) + 1 :])
    with path.open("ab+", buffering=0) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        tail = file.read()
        if tail and not tail.endswith(b"\n"):
            write_all(file.fileno(), b"\n")  # a full disk left half a statement
        head = _head(tail)
        for key, segment in segments:
            line = encode_record({"segment": key, "head": head, "events": list(_read(key, segment, checkpoints))})
            write_all(file.fileno(), line)
            head = hashlib.sha256(line).hexdigest()


def load(folder: Path) -> Statements:
    """Return what was recorded below a `DASHCAM_DIR`, by statements and by the segments that are there."""
    checkpoints = checkpoint.load(folder / "positions")
    listing = SpoolListing(folder / "spool")
    listing.refresh()
    records, gaps = _stated(folder / NAME)
    return Statements(_events(records, listing.paths, checkpoints), gaps)


def _events(
    records: list[dict[str, Any]], paths: Mapping[str, Path], checkpoints: Mapping[str, Checkpoint]
) -> Iterator[StatedEvent]:
    for record in records:
        if record["segment"] not in paths:  # else a kill came between the statement and the removal
            for id_, time_ns, digest, routes in record["events"]:
                yield StatedEvent(id_, time_ns, digest, tuple(routes))
    for key, path in paths.items():
        try:
            yield from _read(key, path, checkpoints)
        except (OSError, ValueError):
            continue  # gone since it was listed, or not a segment


def _stated(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the statements of removed segments, and the faults in their chain."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    records, gaps = [], []
    before = None
    for number, line in enumerate(lines, 1):
        try:
            record = decode_record(line)
            if before is not None and record["head"] != before:
                gaps.append(f"{path}: the statement before line {number} is missing or changed")
            records.append(record)
        except (ValueError, KeyError) as fault:
            gaps.append(f"{path}: line {number} is damaged: {fault}")
        before = hashlib.sha256(line).hexdigest()
    return records, gaps


def _head(former: bytes) -> str:
    lines = former.splitlines(keepends=True)
    return hashlib.sha256(lines[-1]).hexdigest() if lines else ""


def _read(key: str, path: Path, checkpoints: Mapping[str, Checkpoint]) -> Iterator[StatedEvent]:
    """Yield the events of a segment that some route delivered, as they were sent."""
    with open_segment(path) as reader:
        expander = LineExpander(reader.header)
        is_final = reader.is_final()
        sent = [
            (after.offset, expander.expand(line, after.sequence), level_of(line))
            for result in reader.passages(is_final=is_final)
            for line, after in result.lines
            if is_shipped(line)
        ]
        if is_final:
            sent += [(-number, event, "") for number, event in enumerate(synthesized_events(reader).events, 1)]
    for number, encoded, level in sent:
        routes = tuple(name for name, each in checkpoints.items() if each.has_delivered(key, number, level))
        if routes:
            try:
                event = Event.from_json(encoded.data)
                yield StatedEvent(encoded.id, event.time_ns, digest_of(event), routes)
            except ValueError:
                continue  # damaged in the spool, and in the dead letters
