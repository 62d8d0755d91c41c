"""The story of a request: its spans as a tree with the log entries inside them, and whatever is wrong with it.

Events come in any order, from any store, of one trace or of several. Nothing is left out and nothing is guessed
silently: a span that never arrived is shown as missing, a clock that was set right is named.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dashcam.event import Event, format_time
from dashcam.show import accessors
from dashcam.show.node import MISSING, UNFINISHED, Node, Note
from dashcam.show.tree import build_tree


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that is known of one request.

    `entries` are the tree as it is read, top to bottom: each span before what happened in it, siblings in time
    order. `notes` concern the story as a whole. The ids and services come in the order they are first met.
    """

    entries: tuple[Node, ...]
    notes: tuple[Note, ...]
    request_ids: tuple[str, ...]
    trace_ids: tuple[str, ...]
    services: tuple[str, ...]
    start_ns: int
    duration_ns: int

    @property
    def server_span(self) -> Node | None:
        """The span that answered the caller: the first served request, unless it lies in a span that never arrived."""
        cut_off: set[Node | None] = set()
        for node in self.entries:
            if node.state in {MISSING, UNFINISHED} or node.parent in cut_off:
                cut_off.add(node)
            elif node.is_served:
                return node
        return None

    @property
    def outcome(self) -> str:
        """The outcome for the caller: `success`, `failure`, `aborted`, or `unknown` without a server span."""
        span = self.server_span
        return accessors.outcome(span.event) if span and span.event else "unknown"

    @property
    def errors(self) -> int:
        """The number of its events that report a failure."""
        return sum(entry.is_error for entry in self.entries)

    @property
    def faults(self) -> tuple[Note, ...]:
        """The remarks that keep it from being one whole story."""
        notes = [*self.notes, *(note for entry in self.entries for note in entry.notes)]
        return tuple(note for note in notes if note.is_fault)


def build_story(events: Iterable[Event]) -> Story:
    """Return the story of some events, in any order; those with the same `event.id` count once."""
    whole = list(events)
    tops, notes = build_tree(event for event in whole if not accessors.is_kept_report(event))
    nodes: list[Node] = []
    waiting = tops[::-1]
    while waiting:
        node = waiting.pop()
        node.index, node.depth = len(nodes), node.parent.depth + 1 if node.parent else 0
        nodes.append(node)
        waiting += reversed(node.children)
    notes += _clip_notes(nodes, whole)
    for node in reversed(nodes):
        if node.parent:
            node.parent.size += 1 + node.size
            node.parent.errors += node.is_error + node.errors
    timed = [(node.start_ns, node.duration_ns or 0) for node in nodes if node.start_ns is not None]
    start_ns = min((start_ns for start_ns, _ in timed), default=0)
    end_ns = max((start_ns + duration_ns for start_ns, duration_ns in timed), default=0)
    return Story(
        entries=tuple(nodes),
        notes=tuple(notes),
        request_ids=_distinct(accessors.text(node.event, "http.request.id") for node in nodes if node.event),
        trace_ids=_distinct(node.trace_id for node in nodes),
        services=_distinct(node.service for node in nodes),
        start_ns=start_ns,
        duration_ns=end_ns - start_ns,
    )


def _clip_notes(nodes: Sequence[Node], events: Iterable[Event]) -> Iterator[Note]:
    """Yield why the request was kept, once for each rule, and what its clip lacks."""
    reports = [event for event in events if accessors.is_kept_report(event)]
    count = sum(node.came_with_clip for node in nodes)
    lines = f"{count:,} held line{'' if count == 1 else 's'} came with it"
    for reason in _distinct(accessors.text(event, "event.reason") for event in reports):
        yield Note("kept", f"kept: {reason}; {lines}")
    for missing in _distinct(accessors.text(event, "message").partition("; ")[2] for event in reports):
        yield Note("clip-incomplete", missing)


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))


def as_json(story: Story) -> dict[str, Any]:
    """Return the story as one JSON object: what `dashcam trace --json` prints, but for its `links`.

    - `request_ids`, `trace_ids`, `services`: lists of text, in the order they are met
    - `start`: ISO 8601, UTC, or null when no event has a time
    - `duration_ns`; `outcome`: `success`, `failure`, `aborted` or `unknown`; `errors`: a count
    - `notes`: of the whole story, a list of `{"kind", "text"}`
    - `entries`: the tree from top to bottom, each span before what happened in it; every one with `state` (`line`,
      `finished`, `aborted`, `unknown`, `unfinished`, `missing`), `title`, `depth`, `parent` (index in this list,
      or null), `trace_id`, `span_id`, `service`, `time` (corrected by `shift_ns`, or null), `offset_ns` from the start,
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
        "entries": [_node_json(node, story.start_ns) for node in story.entries],
    }


def _note_json(note: Note) -> dict[str, str]:
    return {"kind": note.kind, "text": note.text}


def _node_json(node: Node, start_ns: int) -> dict[str, Any]:
    return {
        "state": node.state,
        "title": node.title,
        "depth": node.depth,
        "parent": node.parent.index if node.parent else None,
        "trace_id": node.trace_id,
        "span_id": node.span_id,
        "service": node.service,
        "time": None if node.start_ns is None else format_time(node.start_ns),
        "offset_ns": None if node.start_ns is None else node.start_ns - start_ns,
        "duration_ns": node.duration_ns,
        "shift_ns": node.shift_ns,
        "error": node.is_error,
        "notes": [_note_json(note) for note in node.notes],
        "event": node.event.fields if node.event else None,
    }
