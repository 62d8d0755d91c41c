"""Selects the events that are shipped: all lines except the marks of open requests, then events about a segment's end.

All choices are made here, on the line, before it is completed, sent, or counted.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import orjson

from dashcam.event import NS_PER_S, EncodedEvent, Event, format_time
from dashcam.spool.line import LineExpander, is_span, is_start, time_of
from dashcam.spool.reader import Position, SegmentReader
from dashcam.spool.segment import Header, began_ns, boot_id

DAMAGED = "the segment is damaged, which may hide its end"
STOPPED = "the machine stopped, which may have taken its end"

_log = logging.getLogger("dashcam.ship")


def is_shipped(line: bytes) -> bool:
    """Return whether a line of the spool is an event for the backends."""
    return not is_start(line)


def shipped_events(
    reader: SegmentReader,
    start: Position = Position(),  # noqa: B008 - it cannot be changed
    synthesized: int = 0,
    is_wanted: Callable[[bytes], bool] = lambda _: True,
) -> Iterator[Event]:
    """Yield the shipped events of a segment from a position on, without damaged ones.

    Events derived from its end come last, without the first `synthesized` of them. A line that `is_wanted` refuses is
    not completed.
    """
    expander, is_final = LineExpander(reader.header), reader.is_final()
    for passage in reader.passages(start, is_final=is_final):
        for line, after in passage.lines:
            if is_shipped(line) and is_wanted(line):
                with suppress(ValueError):
                    yield Event.from_json(expander.expand(line, after.sequence).data)
    if is_final:
        yield from (Event.from_json(event.data) for event in synthesized_events(reader).events[synthesized:])


class SynthesizedEvents(NamedTuple):
    """Events derived from the end of a segment, and the number of damaged lines that gave none."""

    events: list[EncodedEvent]
    damaged: int = 0


def synthesized_events(reader: SegmentReader) -> SynthesizedEvents:
    """Return the events derived from the end of a finished segment. Each call returns the same events and IDs.

    A request that was open when its process died is reported as aborted, with the time of the last line of the process.
    If a part of the segment is damaged, or the machine stopped before everything was on the disk, the end of the
    request may be lost, so its outcome is reported as unknown. Dropped events are reported by count.
    """
    header = reader.refresh()
    events, damaged = [], 0
    for fields, number, last_ns, doubt in () if header.is_sealed else _open_requests(reader):
        try:
            events.append(_unended(header, fields, number, last_ns, doubt))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as fault:
            _log.warning("%s: the start mark in line %d is damaged: %r", reader.path, number, fault)
            damaged += 1
    if any(header.dropped.values()):
        events.append(_dropped(header))
    return SynthesizedEvents(events, damaged)


def _open_requests(reader: SegmentReader) -> Iterator[tuple[dict[str, Any], int, int, str]]:
    """Yield the starts without an end: the mark, its number, the time of the last line, and a doubt about the end."""
    starts: dict[str, tuple[dict[str, Any], int]] = {}
    last_ns = 0
    passages = list(reader.passages(is_final=True))
    is_damaged = any(result.damaged for result in passages)
    for line, after in (each for result in passages for each in result.lines):
        try:
            last_ns = max(last_ns, time_of(line))
            if is_span(line):
                fields = orjson.loads(line)
                span = str(fields["span"]["id"])
                if is_start(line):
                    starts[span] = (fields, after.sequence)
                else:
                    starts.pop(span, None)
        except (ValueError, KeyError, TypeError) as fault:
            _log.debug("%s: line %d is damaged: %s", reader.path, after.sequence, fault)
            is_damaged = True
    doubt = DAMAGED if is_damaged else STOPPED if has_stopped(reader.header) else ""
    for fields, number in starts.values():
        yield fields, number, last_ns, doubt


def has_stopped(header: Header) -> bool:
    """Return whether the machine that wrote a segment runs no more: the end of the segment may never have been synced.

    A segment of another machine, on a shared disk, looks the same.
    """
    return bool(header.boot and boot_id()) and header.boot != boot_id()


def _unended(header: Header, start: dict[str, Any], number: int, last_ns: int, doubt: str) -> EncodedEvent:
    age_ns = max(0, last_ns - start["time_ns"])
    became = "unknown" if doubt else "aborted"
    kept: dict[str, Any] = {
        name: start[name] for name in ("http", "trace", "span", "parent", "transaction", "url") if name in start
    }
    kept["transaction"] = {**kept.get("transaction", {}), "name": start["message"]}
    event: dict[str, Any] = {
        "time_ns": last_ns,
        "log.level": "warning" if doubt else "error",
        "message": f"request {became}: {start['message']}, open for at least {_spell(age_ns)}; "
        + (doubt or f"last sign of life {format_time(last_ns)}"),
        **kept,
        "log": {"logger": "dashcam.ship"},
        "event": {
            "kind": "event",
            "action": f"request-{became}",
            "outcome": "unknown" if doubt else "failure",
            "duration": age_ns,
        },
    }
    return derived_event(header, event, f"{became}-{number:08d}", number)


def _spell(duration_ns: int) -> str:
    if duration_ns >= NS_PER_S:
        return f"{duration_ns / 1e9:.3f} s"
    return f"{duration_ns / 1e6:.1f} ms" if duration_ns >= NS_PER_S // 1000 else f"{duration_ns // 1000} µs"


def _dropped(header: Header) -> EncodedEvent:
    reasons = {reason: count for reason, count in header.dropped.items() if count}
    counts = ", ".join(f"{count} by {reason}" for reason, count in reasons.items())
    event = {
        "time_ns": began_ns(header.segment),
        "log.level": "error",
        "message": f"{sum(reasons.values())} events dropped: {counts}",
        "labels": {f"dropped_{reason}": count for reason, count in reasons.items()},
        "log": {"logger": "dashcam.ship"},
        "event": {"kind": "event", "action": "events-dropped", "outcome": "failure"},
    }
    return derived_event(header, event, "dropped", 0)


def derived_event(
    header: Header, event: Mapping[str, Any], suffix: str, number: int, *, dataset: str = ""
) -> EncodedEvent:
    """Return an event that was never logged. It has the sequence number of the line that it describes.

    `suffix` is the end of its ID. `dataset` is set if it is not one of the service's own events.
    """
    line = LineExpander(header).expand(orjson.dumps(event), number)
    fields = orjson.loads(line.data)
    fields["event"] |= {"id": f"{header.segment}-{suffix}"} | ({"dataset": dataset} if dataset else {})
    return EncodedEvent(fields["event"]["id"], is_span=False, data=orjson.dumps(fields))
