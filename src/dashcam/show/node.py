"""One span or log line on its way into a story, and what is to be known of it."""

from dataclasses import dataclass, field

from dashcam.event import Event
from dashcam.show import accessors

FINISHED, ABORTED, UNFINISHED, MISSING, LINE = "finished", "aborted", "unfinished", "missing", "line"

FOR_INFORMATION = frozenset({"called-from-outside", "clock-skew", "cut", "mended", "outlived-caller"})

TAGS = {
    "cut": "a value was too long and was cut",
    "mended": "a value could not be kept as it was and was replaced",
}

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Note:
    """What is to be known of an entry or a story beside its events: a word for programs and a sentence for people."""

    kind: str
    text: str

    @property
    def is_fault(self) -> bool:
        """Whether it keeps the story from being whole."""
        return self.kind not in FOR_INFORMATION


@dataclass(slots=True, eq=False)
class Piece:
    """A span or a log line; `key` is the trace and the span that it is, or lies in.

    `event` is `None` for a span that never arrived. The times are corrected by `shift_ns`.
    """

    key: Key
    state: str
    event: Event | None = None
    service: str = ""
    clock: str = ""
    start_ns: int | None = None
    end_ns: int | None = None
    shift_ns: int = 0
    parent: "Piece | None" = None
    children: "list[Piece]" = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    @property
    def is_served(self) -> bool:
        """Whether it is the span of a request that was served, not one a process began by itself."""
        return self.event is not None and self.state != LINE and accessors.is_served(self.event)

    @property
    def order(self) -> tuple[bool, int, bool, str]:
        """Sorts by time; what has no time comes last, a span that never arrived before what happened in it."""
        event_id = accessors.text(self.event, "event.id") if self.event else ""
        return self.start_ns is None, self.start_ns or 0, self.event is not None, event_id

    def note(self, kind: str, text: str) -> None:
        """Add what is to be known of it."""
        self.notes.append(Note(kind, text))


def read_span(event: Event) -> Piece:
    """The piece of a finished span."""
    piece = _read(event, FINISHED, accessors.text(event, "span.id"))
    if piece.start_ns is not None:
        piece.end_ns = piece.start_ns + accessors.duration_ns(event)
    return piece


def read_line(event: Event) -> Piece:
    """The piece of a log line; one that knows no span lies in the span of the request."""
    return _read(event, LINE, accessors.text(event, "span.id") or accessors.text(event, "transaction.id"))


def read_aborted(event: Event) -> Piece:
    """The piece of a request whose process died: its event comes at the end and says how old the request was."""
    piece = _read(event, ABORTED, accessors.text(event, "span.id"))
    if piece.end_ns is not None:
        piece.start_ns = piece.end_ns - accessors.duration_ns(event)
    piece.note("aborted", accessors.text(event, "message") or "its process died before the answer")
    return piece


def _read(event: Event, state: str, span_id: str) -> Piece:
    time_ns = accessors.time_ns(event)
    key = (accessors.text(event, "trace.id"), span_id)
    piece = Piece(key, state, event, accessors.service(event), accessors.clock(event), time_ns, time_ns)
    if time_ns is None:
        piece.note("no-time", "it has no time that can be read")
    tags = event.get("tags")
    for tag, sentence in TAGS.items():
        if isinstance(tags, list) and tag in tags:
            piece.note(tag, sentence)
    return piece
