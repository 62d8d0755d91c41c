"""The checkpoints of the version before, one JSON object a route, made into those of this one."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from dashcam.ship import checkpoint
from dashcam.ship.checkpoint import Checkpoint, SegmentOffset, Trouble
from dashcam.ship.listing import key_of, open_segment
from dashcam.ship.selection import is_shipped, synthesized_events
from dashcam.spool.reader import segment_files

SUFFIX = ".json"


def convert(folder: Path, spool: Path) -> None:
    """Convert what the version before left; it named segments by their IDs and did not count their events.

    Raises `OSError` when a checkpoint cannot be kept.
    """
    replayed = _read_replayed(folder.parent / "dead-letters" / "replayed.json")
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if not path.with_suffix(checkpoint.SUFFIX).exists():
            former = _read(path, {each.stem: each for each in segment_files(spool)}, spool)
            again = min(former.dead, replayed.get(path.stem, 0))
            checkpoint.save(
                folder, path.stem, replace(former, delivered=former.delivered + again, dead=former.dead - again)
            )
        path.unlink()


def _read_replayed(path: Path) -> Mapping[str, int]:
    """Return how many dead letters were delivered after all, by route."""
    try:
        counts: Mapping[str, int] = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    path.unlink()
    return counts


def _read(path: Path, segments: Mapping[str, Path], spool: Path) -> Checkpoint:
    try:
        fields: dict[str, Any] = orjson.loads(path.read_bytes())
        former = {segment: SegmentOffset(*mark) for segment, mark in fields.pop("marks").items()}
        ahead = set(fields.pop("ahead", ()))
        trouble = Trouble(**reason) if (reason := fields.pop("trouble")) else None
        delivered, dead, damaged = (int(fields[name]) for name in ("delivered", "dead", "damaged"))
    except (ValueError, TypeError, KeyError, AttributeError):
        # A power cut left it empty: begin anew; what was delivered is sent again under its former IDs.
        return Checkpoint()
    marks: dict[str, SegmentOffset] = {}
    kept: dict[str, frozenset[int]] = {}
    for segment, mark in former.items():
        if segment in segments:
            key = key_of(spool, segments[segment])
            marks[key], kept[key] = _count(segments[segment], mark, ahead)
    return Checkpoint(marks, delivered, dead, damaged, trouble=trouble, ahead={k: v for k, v in kept.items() if v})


def _count(path: Path, mark: SegmentOffset, ahead: set[str]) -> tuple[SegmentOffset, frozenset[int]]:
    """Return the offset with the number of events before it, and the events that are ahead of it."""
    try:
        with open_segment(path) as reader:
            results = list(reader.passages(is_final=True))
            derived = [event.id for event in synthesized_events(reader).events]
            segment = reader.header.segment
    except (OSError, ValueError):
        return mark, frozenset()
    lines = [
        (after, f"{segment}-{after.sequence:08d}") for each in results for line, after in each.lines if is_shipped(line)
    ]
    before = sum(mark.is_done or after.offset <= mark.offset for after, _ in lines)
    events = before + (len(derived) if mark.is_done else mark.synthesized)
    kept = [after.offset for after, id_ in lines if id_ in ahead]
    kept += [-number for number, id_ in enumerate(derived, 1) if id_ in ahead]
    return mark._replace(events=events), frozenset(kept)
