"""The rows of a story's waterfall: where each bar begins and how long it is, and what a row says."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from dashcam.show import accessors
from dashcam.show.accessors import format_duration
from dashcam.show.story import Entry, Story

SCALE = 1000  # units a time line is wide

MIN_BAR = 4  # units, so that the shortest span can be seen

SERVICE_TONES = 8  # tones the style sheet has for services

MAX_DEPTH = 12  # levels of indentation the style sheet has

MAX_LABELS = 8  # a row shows so many; the details have all

MAX_CHARACTERS = 300  # of one value or message in a row; the details have all


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its entry, and how it is drawn.

    `left` and `width` are in units of `SCALE`; a `width` of 0 is a moment. `tone` is the number of the service's tone,
    `size` how many rows lie in it.
    """

    anchor: str
    entry: Entry
    classes: str
    is_error: bool
    level: str
    title: str
    status: int | None
    at: str
    took: str
    left: int
    width: int
    tone: int
    size: int

    @property
    def labels(self) -> list[tuple[str, str]]:
        """The first labels, shortened."""
        labels = accessors.labels(self.entry.event) if self.entry.event else ()
        return [(shorten(name), shorten(value)) for name, value in islice(labels, MAX_LABELS)]

    @property
    def more_labels(self) -> int:
        """How many labels are left out."""
        return max(0, len(self.entry.event.labels) - MAX_LABELS) if self.entry.event else 0

    @property
    def error(self) -> str:
        """What went wrong, in one line."""
        return accessors.error(self.entry.event) if self.entry.event else ""

    @property
    def stack(self) -> str:
        """Its stack trace."""
        return accessors.text(self.entry.event, "error.stack_trace") if self.entry.event else ""


def tones(story: Story) -> dict[str, int]:
    """The number of the tone of each service, in the order the services come in."""
    return {service: place % SERVICE_TONES for place, service in enumerate(story.services)}


def rows(story: Story) -> Iterator[Row]:
    """The rows of a story, top to bottom."""
    tone_of, sizes = tones(story), _sizes(story)
    for place, entry in enumerate(story.entries):
        event, is_error = entry.event, entry.is_error
        left, width = _extent(story, entry)
        yield Row(
            anchor=(accessors.text(event, "event.id") if event else entry.span_id) or f"row-{place}",
            entry=entry,
            classes=_classes(entry, is_error=is_error),
            is_error=is_error,
            level=accessors.level(event) if event else "",
            title=shorten(entry.title),
            status=accessors.number(event, "http.response.status_code") if event and event.is_span else None,
            at="" if entry.time_ns is None else format_duration(entry.time_ns - story.start_ns),
            took="" if entry.duration_ns is None else format_duration(entry.duration_ns),
            left=left,
            width=width,
            tone=tone_of.get(entry.service, 0),
            size=sizes[place],
        )


def _sizes(story: Story) -> list[int]:
    sizes = [0] * len(story.entries)
    for place in range(len(sizes) - 1, -1, -1):
        parent = story.entries[place].parent
        if parent is not None:
            sizes[parent] += 1 + sizes[place]
    return sizes


def _extent(story: Story, entry: Entry) -> tuple[int, int]:
    if entry.time_ns is None or not story.duration_ns:
        return 0, SCALE if entry.duration_ns is not None else 0
    left = (entry.time_ns - story.start_ns) * SCALE // story.duration_ns
    if entry.duration_ns is None:
        return min(left, SCALE - MIN_BAR), 0
    width = max(MIN_BAR, round(entry.duration_ns * SCALE / story.duration_ns))
    return min(left, SCALE - MIN_BAR), min(width, SCALE - min(left, SCALE - MIN_BAR))


def _classes(entry: Entry, *, is_error: bool) -> str:
    served = entry.is_span and entry.event is not None and accessors.is_served(entry.event)
    named = [entry.state, f"d{min(entry.depth, MAX_DEPTH)}"]
    named += ["served"] * served + ["is-error"] * is_error
    return " ".join(named)


def shorten(text: str) -> str:
    """A text that fits a row."""
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"


def ticks(story: Story) -> list[tuple[int, str]]:
    """Five marks of the time line: per cent from the left, and the time since the start."""
    return [(quarter * 25, format_duration(story.duration_ns * quarter // 4)) for quarter in range(5)]
