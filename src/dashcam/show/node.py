"""A row of a story: a span or a log entry, and its place in the tree."""

from dataclasses import dataclass, field

from dashcam.event import Event
from dashcam.show import accessors

FINISHED, ABORTED, UNKNOWN = "finished", "aborted", "unknown"
UNFINISHED, MISSING, LINE = "unfinished", "missing", "line"

FOR_INFORMATION = frozenset({"called-from-outside", "clock-skew", "cut", "kept", "mended", "outlived-caller"})

TAGS = {
    "cut": "a value was too long and was cut",
    "mended": "a value could not be kept as it was and was replaced",
}

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Note:
    """A remark on a row or a story: a word for programs and a sentence for people."""

    kind: str
    text: str

    @property
    def is_fault(self) -> bool:
        """Return whether it keeps the story from being whole."""
        return self.kind not in FOR_INFORMATION


@dataclass(slots=True, eq=False)
class Node:
    """A span or a log entry in the tree of a story; it does not change once the story is built.

    `key` is the trace ID and the span ID: of the span that it is, or, for a log entry, lies in. `state` is `line` for a
    log entry and, for a span, `finished`, `aborted` (its process died), `unknown` (damage may hide its end),
    `unfinished` (its log entries arrived, the span did not) or `missing` (only what happened in it arrived). `event` is
    `None` for the last two.

    `start_ns` and `end_ns` are corrected by `shift_ns`, and `None` where nothing has a time. `index` is its number in
    `Story.entries`, `size` counts the rows inside it, `errors` those of them that report a failure.
    """

    key: Key
    state: str
    event: Event | None = None
    service: str = ""
    clock: str = ""
    start_ns: int | None = None
    end_ns: int | None = None
    shift_ns: int = 0
    parent: "Node | None" = None
    children: "list[Node]" = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    index: int = 0
    depth: int = 0
    size: int = 0
    errors: int = 0

    @property
    def trace_id(self) -> str:
        """The ID of its trace, empty without one."""
        return self.key[0]

    @property
    def span_id(self) -> str:
        """The ID of the span that it is, or lies in; empty without one."""
        return self.key[1]

    @property
    def is_span(self) -> bool:
        """Return whether it is a span, arrived or not."""
        return self.state != LINE

    @property
    def is_served(self) -> bool:
        """Return whether it is the span of a request that was served, not one a process began by itself."""
        return self.event is not None and self.is_span and accessors.is_served(self.event)

    @property
    def is_error(self) -> bool:
        """Return whether it reports a failure."""
        return self.event is not None and (self.state == ABORTED or accessors.is_error(self.event))

    @property
    def came_with_clip(self) -> bool:
        """Return whether it was held because of its level, and shipped because its request was kept."""
        return self.event is not None and accessors.came_with_clip(self.event)

    @property
    def title(self) -> str:
        """The name of the row."""
        return accessors.title(self.event) if self.event else f"{self.state} span {self.span_id}"

    @property
    def duration_ns(self) -> int | None:
        """The time that a span took; `None` for a log entry and for a span whose end is not known."""
        if not self.is_span or self.start_ns is None or self.end_ns is None:
            return None
        return self.end_ns - self.start_ns

    @property
    def order(self) -> tuple[bool, int, bool, str]:
        """Sorts by time; what has no time comes last, a span that never arrived before what happened in it."""
        event_id = accessors.text(self.event, "event.id") if self.event else ""
        return self.start_ns is None, self.start_ns or 0, self.event is not None, event_id

    def note(self, kind: str, text: str) -> None:
        """Add a remark."""
        self.notes.append(Note(kind, text))


def read_span(event: Event) -> Node:
    """Return the node of a finished span."""
    node = _read(event, FINISHED, accessors.text(event, "span.id"))
    if node.start_ns is not None:
        node.end_ns = node.start_ns + accessors.duration_ns(event)
    if accessors.text(event, "event.action") == "client-disconnected":
        node.note("client-disconnected", "the client hung up before the end of the response")
    return node


def read_line(event: Event) -> Node:
    """Return the node of a log entry; one without a span ID lies in the span of the request."""
    return _read(event, LINE, accessors.text(event, "span.id") or accessors.text(event, "transaction.id"))


def read_unended(event: Event) -> Node:
    """Return the node of a request without an end: its event comes at the end and says how old the request was."""
    state = accessors.UNENDED[accessors.text(event, "event.action")]
    node = _read(event, state, accessors.text(event, "span.id"))
    if node.end_ns is not None:
        node.start_ns = node.end_ns - accessors.duration_ns(event)
    node.note(state, accessors.text(event, "message") or "its end is missing")
    return node


def _read(event: Event, state: str, span_id: str) -> Node:
    time_ns = accessors.time_ns(event)
    key = (accessors.text(event, "trace.id"), span_id)
    node = Node(key, state, event, accessors.service(event), accessors.clock(event), time_ns, time_ns)
    if time_ns is None:
        node.note("no-time", "its time cannot be read")
    tags = event.get("tags")
    for tag, sentence in TAGS.items():
        if isinstance(tags, list) and tag in tags:
            node.note(tag, sentence)
    return node
