"""The tree of events: each span under its parent, each log entry in its span, in the order things happened.

No function recurses and none is worse than sorting: a story may hold thousands of events, nested as deep as it likes.
"""

from collections.abc import Iterable, Iterator

from dashcam.event import Event
from dashcam.show import accessors
from dashcam.show.node import (
    LINE,
    MISSING,
    UNFINISHED,
    Key,
    Node,
    Note,
    read_line,
    read_span,
    read_unended,
)
from dashcam.show.skew import align

Spans = dict[Key, Node]


def build_tree(events: Iterable[Event]) -> tuple[list[Node], list[Note]]:
    """Return the nodes at the top of the tree, trace by trace, and the remarks on the whole.

    Events may come in any order; those with the same `event.id` count once.
    """
    spans: Spans = {}
    nodes = _read(events, spans)
    for line in [node for node in nodes if node.state == LINE and node.span_id]:
        if line.event is not None:
            line.parent = spans.get(line.key) or _stand_in(line.key, UNFINISHED, line.event, spans)
    for span in (node for node in nodes if node.is_span):
        span.parent = _find_caller(span, spans)
    nodes += (node for node in spans.values() if node.event is None)
    _cut_circles(nodes)
    notes = align(nodes)
    # A span that never arrived begins no later than what happened within it.
    for node in nodes:
        start_ns, at = node.start_ns, node.parent
        while start_ns is not None and at is not None and at.event is None and start_ns < (at.start_ns or start_ns + 1):
            at.start_ns = start_ns
            at = at.parent
    traces: dict[str, list[Node]] = {}
    for node in sorted(nodes, key=_by_time):
        siblings = node.parent.children if node.parent else traces.setdefault(node.trace_id, [])
        siblings.append(node)
    tops = [top for trace in traces.values() for top in _open_outside(trace)]
    return tops, [*_remarks(nodes, tops), *notes]


def _read(events: Iterable[Event], spans: Spans) -> list[Node]:
    unique, seen = [], set()
    for event in events:
        event_id = accessors.text(event, "event.id")
        if not event_id or event_id not in seen:
            seen.add(event_id)
            unique.append(event)
    finished = sorted((read_span(event) for event in unique if event.is_span), key=_by_time)
    for node in finished:
        _enter(node, spans)
    others = sorted((_read_other(event, spans) for event in unique if not event.is_span), key=_by_time)
    return finished + others


def _by_time(node: Node) -> tuple[bool, int, bool, str]:
    return node.order


def _enter(node: Node, spans: Spans) -> None:
    if node.span_id and spans.setdefault(node.key, node) is not node:
        node.note("span-id-twice", "another span of this trace has the same ID")


def _read_other(event: Event, spans: Spans) -> Node:
    line = read_line(event)
    if not accessors.is_unended(event) or line.key in spans:
        return line
    unended = read_unended(event)
    _enter(unended, spans)
    return unended


def _find_caller(span: Node, spans: Spans) -> Node | None:
    if span.event is None:
        return span.parent
    trace_id, span_id = span.key
    parent_id = accessors.text(span.event, "parent.id")
    if not parent_id and not span.is_served:
        request_id = accessors.text(span.event, "transaction.id")
        parent_id = "" if request_id == span_id else request_id
    key = (trace_id, parent_id)
    return (spans.get(key) or _stand_in(key, MISSING, span.event, spans)) if parent_id else None


def _stand_in(key: Key, state: str, witness: Event, spans: Spans) -> Node:
    # A process names its own request in every event (`transaction.id`), which tells where a lost span of it belongs.
    # Of a lost span in the calling process the called one knows the id alone.
    node = spans[key] = Node(key, state)
    node.notes.append(STAND_IN_NOTES[state])
    if state == UNFINISHED or not accessors.is_served(witness):
        node.service, node.clock = accessors.service(witness), accessors.clock(witness)
        request = (key[0], accessors.text(witness, "transaction.id"))
        if request[1] and request != key:
            node.parent = spans.get(request) or _stand_in(request, state, witness, spans)
    return node


STAND_IN_NOTES = {
    UNFINISHED: Note("unfinished", "its log lines arrived, but not the span"),
    MISSING: Note("missing-parent", "it never arrived, but its children did"),
}


def _cut_circles(nodes: Iterable[Node]) -> None:
    safe: set[Node] = set()
    for node in nodes:
        path: set[Node] = set()
        at: Node | None = node
        while at is not None and at not in safe and at not in path:
            path.add(at)
            at = at.parent
        if at is not None and at in path:
            at.parent = None
            at.note("circle", "its parents form a circle, which is broken here")
        safe |= path


def _open_outside(tops: list[Node]) -> list[Node]:
    # A trace that begins with a served request whose parent nobody knows was called by somebody who records elsewhere.
    first, *rest = tops
    called = first.state == MISSING and all(child.is_served for child in first.children)
    if not called or any(top.state not in {LINE, MISSING} for top in rest):
        return tops
    for child in first.children:
        child.parent = None
        child.note("called-from-outside", f"called from outside, by span {first.span_id}")
    return first.children + rest


def _remarks(nodes: Iterable[Node], tops: Iterable[Node]) -> Iterator[Note]:
    """Yield what is unusual about the traces and their roots."""
    traces = {node.trace_id for node in nodes if node.trace_id}
    if len(traces) > 1:
        yield Note("several-traces", f"{len(traces)} traces are shown together")
    if strays := sum(not node.trace_id for node in nodes):
        yield Note("no-trace", f"{strays} of the events belong to no trace")
    roots: dict[str, int] = {}
    for top in tops:
        outside = any(note.kind == "called-from-outside" for note in top.notes)
        if top.state != LINE and top.event is not None and not outside:
            roots[top.trace_id] = roots.get(top.trace_id, 0) + 1
    for trace_id, count in roots.items():
        if count > 1:
            yield Note("several-roots", f"trace {trace_id} has {count} roots")
