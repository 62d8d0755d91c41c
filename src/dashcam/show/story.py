"""The story of a request: its spans as a tree with the log lines inside them, and whatever is wrong with it.

Events come in any order, from any store, of one trace or of several. Nothing is left out and nothing is guessed
silently: a span that never arrived is shown as missing, a clock that was set right is named.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dashcam.event import Event, format_time
from dashcam.show import accessors
from dashcam.show.node import ABORTED, LINE, MISSING, UNFINISHED, Note, Piece
from dashcam.show.tree import build_tree


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a story: a span, or a log line.

    `state` is `line` for a log line and, for a span, `finished`, `aborted` (its process died), `unfinished` (its
    lines arrived, it did not) or `missing` (only what happened in it arrived). `event` is `None` for the last two.
    `parent` is the place of the entry it lies in. `time_ns` is corrected by `shift_ns`, and `None` when nothing has
    a time. `duration_ns` is `None` for a log line and for a span whose end is not known.
    """

    event: Event | None
    state: str
    depth: int
    parent: int | None
    trace_id: str
    span_id: str
    service: str
    time_ns: int | None
    duration_ns: int | None
    shift_ns: int
    notes: tuple[Note, ...]

    @property
    def is_span(self) -> bool:
        """Whether it is a span, arrived or not."""
        return self.state != LINE

    @property
    def is_error(self) -> bool:
        """Whether it tells of something that went wrong."""
        return self.event is not None and (self.state == ABORTED or accessors.is_error(self.event))

    @property
    def title(self) -> str:
        """What it is called in a drawing."""
        return accessors.title(self.event) if self.event else f"{self.state} span {self.span_id}"


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that is known of one request.

    `entries` are the tree as it is read, top to bottom: each span before what happened in it, siblings in time
    order. `notes` concern the story as a whole. The ids and services come in the order they are first met.
    """

    entries: tuple[Entry, ...]
    notes: tuple[Note, ...]
    request_ids: tuple[str, ...]
    trace_ids: tuple[str, ...]
    services: tuple[str, ...]
    start_ns: int
    duration_ns: int

    @property
    def entry(self) -> Entry | None:
        """The span that answered the caller: the first served request, unless it lies in a span that never arrived."""
        cut_off: set[int | None] = set()
        for place, entry in enumerate(self.entries):
            if entry.state in {MISSING, UNFINISHED} or entry.parent in cut_off:
                cut_off.add(place)
            elif entry.is_span and entry.event and accessors.is_served(entry.event):
                return entry
        return None

    @property
    def outcome(self) -> str:
        """How it ended for the caller: `success`, `failure`, `aborted`, or `unknown` when no span tells."""
        entry = self.entry
        return accessors.outcome(entry.event) if entry and entry.event else "unknown"

    @property
    def errors(self) -> int:
        """How many of its events tell of something that went wrong."""
        return sum(entry.is_error for entry in self.entries)

    @property
    def faults(self) -> tuple[Note, ...]:
        """What keeps it from being one whole story, without what is said for information only."""
        notes = [*self.notes, *(note for entry in self.entries for note in entry.notes)]
        return tuple(note for note in notes if note.is_fault)


def build_story(events: Iterable[Event]) -> Story:
    """The story of some events, in any order; those with the same `event.id` count once."""
    tops, notes = build_tree(events)
    entries = tuple(_flatten(tops))
    timed = [entry for entry in entries if entry.time_ns is not None]
    start_ns = min((entry.time_ns or 0 for entry in timed), default=0)
    end_ns = max(((entry.time_ns or 0) + (entry.duration_ns or 0) for entry in timed), default=0)
    return Story(
        entries=entries,
        notes=tuple(notes),
        request_ids=_distinct(accessors.text(entry.event, "http.request.id") for entry in entries if entry.event),
        trace_ids=_distinct(entry.trace_id for entry in entries),
        services=_distinct(entry.service for entry in entries),
        start_ns=start_ns,
        duration_ns=end_ns - start_ns,
    )


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))


def _flatten(tops: list[Piece]) -> Iterator[Entry]:
    waiting: list[tuple[Piece, int, int | None]] = [(top, 0, None) for top in reversed(tops)]
    place = 0
    while waiting:
        piece, depth, parent = waiting.pop()
        yield _entry(piece, depth, parent)
        waiting += [(child, depth + 1, place) for child in reversed(piece.children)]
        place += 1


def _entry(piece: Piece, depth: int, parent: int | None) -> Entry:
    known = piece.state != LINE and piece.start_ns is not None and piece.end_ns is not None
    return Entry(
        event=piece.event,
        state=piece.state,
        depth=depth,
        parent=parent,
        trace_id=piece.key[0],
        span_id=piece.key[1],
        service=piece.service,
        time_ns=piece.start_ns,
        duration_ns=(piece.end_ns or 0) - (piece.start_ns or 0) if known else None,
        shift_ns=piece.shift_ns,
        notes=tuple(piece.notes),
    )


def as_json(story: Story) -> dict[str, Any]:
    """The story as one JSON object: what `dashcam trace --json` prints, but for its `links`.

    - `request_ids`, `trace_ids`, `services`: lists of text, in the order they are met
    - `start`: ISO 8601, UTC, or null when no event has a time
    - `duration_ns`; `outcome`: `success`, `failure`, `aborted` or `unknown`; `errors`: a count
    - `notes`: of the whole story, a list of `{"kind", "text"}`
    - `entries`: the tree from top to bottom, each span before what happened in it; every one with `state` (`line`,
      `finished`, `aborted`, `unfinished`, `missing`), `title`, `depth`, `parent` (place in this list, from 0, or null),
      `trace_id`, `span_id`, `service`, `time` (corrected by `shift_ns`, or null), `offset_ns` from the start,
      `duration_ns` (null for a line), `shift_ns`, `error` (true or false), `notes`, and `event` as it was shipped
      (null for a span that never arrived)
    """
    return {
        "request_ids": list(story.request_ids),
        "trace_ids": list(story.trace_ids),
        "services": list(story.services),
        "start": format_time(story.start_ns) if story.start_ns else None,
        "duration_ns": story.duration_ns,
        "outcome": story.outcome,
        "errors": story.errors,
        "notes": [_note_json(note) for note in story.notes],
        "entries": [_entry_json(entry, story.start_ns) for entry in story.entries],
    }


def _note_json(note: Note) -> dict[str, str]:
    return {"kind": note.kind, "text": note.text}


def _entry_json(entry: Entry, start_ns: int) -> dict[str, Any]:
    return {
        "state": entry.state,
        "title": entry.title,
        "depth": entry.depth,
        "parent": entry.parent,
        "trace_id": entry.trace_id,
        "span_id": entry.span_id,
        "service": entry.service,
        "time": None if entry.time_ns is None else format_time(entry.time_ns),
        "offset_ns": None if entry.time_ns is None else entry.time_ns - start_ns,
        "duration_ns": entry.duration_ns,
        "shift_ns": entry.shift_ns,
        "error": entry.is_error,
        "notes": [_note_json(note) for note in entry.notes],
        "event": entry.event.fields if entry.event else None,
    }
