"""The waterfall of a story: where the bar of each row begins and how long it is, and what fits a row."""

from dashcam.show import accessors
from dashcam.show.accessors import format_duration
from dashcam.show.node import Node
from dashcam.show.story import Story

SCALE = 1000  # units a time line is wide

MIN_BAR = 4  # units, so that the shortest span can be seen

SERVICE_TONES = 8  # tones the style sheet has for services

MAX_DEPTH = 12  # levels of indentation the style sheet has

MAX_LABELS = 8  # a row shows so many; the details have all

MAX_CHARACTERS = 300  # of one value or message in a row; the details have all


def service_tones(story: Story) -> dict[str, int]:
    """Return the number of the tone of each service, in the order the services come in."""
    return {service: index % SERVICE_TONES for index, service in enumerate(story.services)}


def bar(node: Node, story: Story) -> tuple[int, int]:
    """Return where a row's bar begins and how long it is, in units of `SCALE`; a length of 0 is a moment."""
    if node.start_ns is None or not story.duration_ns:
        return 0, SCALE if node.duration_ns is not None else 0
    left = min((node.start_ns - story.start_ns) * SCALE // story.duration_ns, SCALE - MIN_BAR)
    if node.duration_ns is None:
        return left, 0
    width = max(MIN_BAR, round(node.duration_ns * SCALE / story.duration_ns))
    return left, min(width, SCALE - left)


def anchor(node: Node) -> str:
    """Return the row's name in the address of the page."""
    return row_id((accessors.text(node.event, "event.id") if node.event else node.span_id) or str(node.index))


def row_id(name: str) -> str:
    """Return the `id` of a row; a stranger chooses the name, and another element of the page might have it."""
    return f"row-{name}"


def classes(node: Node) -> str:
    """Return the row's classes in the style sheet."""
    named = [node.state, f"d{min(node.depth, MAX_DEPTH)}"]
    return " ".join([*named, *["served"] * node.is_served, *["is-error"] * node.is_error])


def shorten(text: str) -> str:
    """Return a text that fits a row."""
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"


def ticks(story: Story) -> list[tuple[int, str]]:
    """Return five marks of the time line: per cent from the left, and the time since the start."""
    return [(quarter * 25, format_duration(story.duration_ns * quarter // 4)) for quarter in range(5)]
