"""A story, or one event, drawn for a terminal."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from zlib import crc32

from dashcam.event import NS_PER_S, Event, format_time
from dashcam.show import accessors
from dashcam.show.accessors import format_duration
from dashcam.show.ansi import (
    ALARM,
    BOLD,
    DIM,
    GREEN,
    RED,
    SERVICE_PAINTS,
    YELLOW,
    Style,
    StyledText,
    columns,
    fit,
    service_paints,
)
from dashcam.show.node import ABORTED, LINE, UNKNOWN, Node, Note
from dashcam.show.story import Story

LEVEL_SIGNS = {
    "debug": StyledText("DEBUG", DIM),
    "info": StyledText("INFO "),
    "warning": StyledText("WARN ", YELLOW),
    "error": StyledText("ERROR", f"{BOLD};{RED}"),
    "critical": StyledText("CRIT ", ALARM),
}

MAX_DEPTH = 16  # levels of indentation, at most; what lies deeper is drawn at this depth

TIME_COLUMNS = 8  # the longest offset: "~99.9 ms", with its mark of a clock set right

SERVICE_COLUMNS = 14

BARS = ((120, 24), (96, 16), (76, 10))  # from so many columns on, so many for the bars

MIN_TEXT = 20  # columns a text keeps: where it would get less, nothing is indented deeper

MIN_STACK = 60  # columns a stack trace needs to be read; where it has less it begins at the left


@dataclass(frozen=True, slots=True)
class _Page:
    """The properties that all rows of a story share."""

    style: Style
    start_ns: int
    duration_ns: int
    bar: int
    service: int
    paints: dict[str, str]

    @property
    def margin(self) -> int:
        return 2 * TIME_COLUMNS + 4 + (self.bar + 2 if self.bar else 0) + (self.service + 2 if self.service else 0)

    @property
    def deepest(self) -> int:
        room = (self.style.width - self.margin - MIN_TEXT) // 2 - 1 if self.style.width else MAX_DEPTH
        return max(1, min(MAX_DEPTH, room))


def draw(story: Story, style: Style) -> Iterator[str]:
    """The lines of a story: what it is, what is wrong with it, and its tree on a time line.

    Nothing that an event holds can act on the terminal. Where there is a width, long texts fold (`Style.fold`).
    """
    yield from _draw_head(story, style)
    width = style.width or BARS[0][0]
    bar = next((bar for least, bar in BARS if width >= least), 0)
    service = min(SERVICE_COLUMNS, max((columns(style.clean(name)) for name in story.services), default=0))
    page = _Page(
        style=style,
        start_ns=story.start_ns,
        duration_ns=story.duration_ns,
        bar=bar,
        service=service if width >= 60 else 0,
        paints=service_paints(story.services),
    )
    several = len({node.trace_id for node in story.entries}) > 1
    trace_id = None
    yield ""
    for node, branch, below in _branch(story.entries, page):
        if several and node.trace_id != trace_id:
            trace_id = node.trace_id
            yield style.write([StyledText(f"trace {trace_id}" if trace_id else "no trace", BOLD)])
        yield from _draw_node(page, node, branch, below)


def _draw_head(story: Story, style: Style) -> Iterator[str]:
    shown = sum(node.event is not None for node in story.entries)
    counts = [_count(shown, "event"), _count(story.errors, "error") if story.errors else "no errors"]
    if story.server_span is None or story.server_span.duration_ns != story.duration_ns:
        counts.append(f"{format_duration(story.duration_ns)} in all")
    parts = StyledText("  " + ", ".join([*story.services, *counts]), DIM)
    summary = [_outcome(story, style), *_asked(story, style), parts]
    yield from (style.write(line) for line in style.wrap(summary, style.width))
    when = _when(story.start_ns, style) if story.start_ns else "no time"
    ids = [when, *(f"request {one}" for one in story.request_ids), *(f"trace {one}" for one in story.trace_ids)]
    yield from (style.write([StyledText("  "), StyledText(one, DIM)]) for one in ids)
    for note in story.notes:
        inner = max(MIN_TEXT, style.width - 2) if style.width else None
        yield from (style.write([StyledText("  "), *line]) for line in style.wrap(_note(note, style), inner))


def _outcome(story: Story, style: Style) -> StyledText:
    span = story.server_span
    status = accessors.number(span.event, "http.response.status_code") if span and span.event else None
    match story.outcome:
        case "success" if status is not None and status >= 400:
            return StyledText("! ", YELLOW)  # the service did what it had to; the caller did not get what it asked for
        case "success":
            return StyledText(style.pick("✓ ", "+ "), GREEN)
        case "unknown":
            return StyledText("? ", YELLOW)
    return StyledText(style.pick("✗ ", "x "), f"{BOLD};{RED}")


def _asked(story: Story, style: Style) -> Iterator[StyledText]:
    node = story.server_span
    if node is None:
        yield StyledText("no answer recorded", BOLD)
        return
    yield StyledText(node.title, BOLD)
    yield from _answer(node, style)
    if node.duration_ns is not None:
        yield StyledText(
            f" {'after at least' if node.state in {ABORTED, UNKNOWN} else 'in'} {format_duration(node.duration_ns)}"
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _answer(node: Node, style: Style) -> Iterator[StyledText]:
    if node.state == ABORTED:
        yield StyledText(f" {node.state}", f"{BOLD};{RED}")
    elif node.state == UNKNOWN:
        yield StyledText(" with an unknown end", f"{BOLD};{YELLOW}")
    elif node.event:
        yield from _status(node.event, style)


def _status(event: Event, style: Style) -> Iterator[StyledText]:
    status = accessors.number(event, "http.response.status_code") if event.is_span else None
    if status is not None:
        yield StyledText(style.pick(" → ", " -> "), DIM)
        yield StyledText(
            str(status), f"{BOLD};{RED}" if accessors.is_error(event) else YELLOW if status >= 400 else GREEN
        )


def _branch(entries: Sequence[Node], page: _Page) -> Iterator[tuple[Node, str, str]]:
    """Each node, the branches before its first line, and those before its other lines."""
    last = {node.parent: node for node in entries}
    style, deepest = page.style, page.deepest
    pipe, fork, end = style.pick("│ ", "| "), style.pick("├╴", "|-"), style.pick("└╴", "`-")
    levels: list[str] = []  # what the lines above hand down to those below, one for each level
    for node in entries:
        del levels[max(0, node.depth - 1) :]
        above = "".join(levels[: deepest - 1])
        is_last = last[node.parent] is node
        branch = (above + (end if is_last else fork)) if node.depth else ""
        levels += ["  " if is_last else pipe] if node.depth else []
        below = "".join(levels[:deepest]) + (pipe if node.children else "  ")
        yield node, branch, below


def _draw_node(page: _Page, node: Node, branch: str, below: str) -> Iterator[str]:
    style = page.style
    before = [*_margin(page, node), StyledText(branch, DIM)]
    for line in _lines(page, node, columns(below)):
        yield style.write([*before, *line])
        before = [StyledText(" " * page.margin), StyledText(below, DIM)]
    indent = page.margin + columns(below)
    if style.width and style.width - indent < MIN_STACK:
        before, indent = [StyledText("    ")], 4
    for line in _trace_back(node, style, style.width - indent if style.width else None):
        yield style.write([*before, *line])


def _margin(page: _Page, node: Node) -> Iterator[StyledText]:
    """Yield when a row began, how long it took, its bar and its service."""
    offset = "?" if node.start_ns is None else format_duration(node.start_ns - page.start_ns)
    mark = "~" if node.shift_ns else ""
    took = "" if node.duration_ns is None else format_duration(node.duration_ns)
    if node.state in {ABORTED, UNKNOWN} and took:
        took = page.style.pick("≥", ">") + took  # how much longer it was open is unknown
    yield StyledText(f"{mark + offset:>{TIME_COLUMNS}}  ", DIM)
    yield StyledText(f"{took:>{TIME_COLUMNS}}  ")
    paint = page.paints.get(node.service, "")
    if page.bar:
        drawn = " " * page.bar if node.start_ns is None else _scale(page, node, node.start_ns - page.start_ns)
        yield StyledText(drawn + "  ", RED if node.is_error else paint)
    if page.service:
        yield StyledText(fit(page.style.clean(node.service), page.service) + "  ", paint)


def _scale(page: _Page, node: Node, offset_ns: int) -> str:
    # Two halves to a column: a span fills each half that it touches, and at least one.
    halves, total_ns = 2 * page.bar, max(1, page.duration_ns)
    first = min(halves - 1, offset_ns * halves // total_ns)
    if node.duration_ns is None:
        sign = "?" if node.is_span else page.style.pick("·", ".")
        return (" " * (first // 2) + sign).ljust(page.bar)
    end = max(first + 1, -(-(offset_ns + node.duration_ns) * halves // total_ns))
    return "".join(_cell(page.style, first <= half < end, first <= half + 1 < end) for half in range(0, halves, 2))


def _cell(style: Style, left: bool, right: bool) -> str:  # noqa: FBT001  a cell is just its two halves
    if left and right:
        return style.pick("━", "=")
    return style.pick("╸", "-") if left else style.pick("╺", "-") if right else " "


def _lines(page: _Page, node: Node, indent: int) -> Iterator[list[StyledText]]:
    style = page.style
    width = max(MIN_TEXT, style.width - page.margin - indent) if style.width else None
    first, *more = node.title.replace("\r\n", "\n").rstrip("\n").split("\n")
    yield from _fold(style.wrap(_text(node, first, style), width), style)
    yield from _fold((line for text in more for line in style.wrap([StyledText(text)], width)), style)
    for note in node.notes:
        yield from style.wrap(_note(note, style), width)


def _text(node: Node, first: str, style: Style) -> Iterator[StyledText]:
    level = accessors.level(node.event) if node.event else "info"
    if node.state == LINE:
        yield LEVEL_SIGNS.get(level, StyledText(f"{level.upper():5}"))
        yield StyledText(" ")
    elif node.is_error:
        yield StyledText(style.pick("✗ ", "x "), f"{BOLD};{RED}")
    yield StyledText(first, BOLD if node.is_served else "")
    if node.is_span:
        yield from _answer(node, style)
    yield from _labels(node.event)
    if node.came_with_clip:
        yield CLIP


CLIP = StyledText("  [clip]", DIM)  # it was held, and came because its request was kept


def _labels(event: Event | None) -> Iterator[StyledText]:
    for name, value in accessors.labels(event) if event else ():
        yield StyledText(f"  {name}=", DIM)
        yield StyledText(value)


def _fold(lines: Iterable[list[StyledText]], style: Style) -> Iterator[list[StyledText]]:
    rest = 0
    for index, line in enumerate(lines):
        if style.width is None or index < style.fold:
            yield line
        else:
            rest += 1
    if rest:
        yield [StyledText(f"… {_count(rest, 'more line')}", DIM)]


def _note(note: Note, style: Style) -> Iterator[StyledText]:
    yield StyledText(style.pick("⚠ ", "! ") if note.is_fault else style.pick("· ", "- "), YELLOW)
    yield StyledText(note.text, YELLOW if note.is_fault else DIM)


def _trace_back(node: Node, style: Style, width: int | None) -> Iterator[list[StyledText]]:
    if node.event is None:
        return
    said = accessors.text(node.event, "error.stack_trace").strip("\n") or accessors.error(node.event)
    if not said:
        return
    stack = said.split("\n")
    # The end of a stack trace says what happened, its beginning how the server called the application.
    shown = stack if style.width is None else stack[-style.fold :]
    bar = StyledText(style.pick("┆ ", ": "), RED)
    if len(shown) < len(stack):
        yield [bar, StyledText(f"… {_count(len(stack) - len(shown), 'line')} above", DIM)]
    for text in shown:
        for line in style.wrap([StyledText(text)], max(MIN_TEXT, width - 2) if width else None):
            yield [bar, *line]


def draw_event(event: Event, style: Style) -> str:
    """One event on one line: when, level, service, what happened, what was added, and the request ID to go on with."""
    moment, level, service = accessors.time_ns(event), accessors.level(event), accessors.service(event)
    when = "no time" if moment is None else _when(moment, style)
    texts = [
        StyledText(f"{when:27}  ", DIM),
        LEVEL_SIGNS.get(level, StyledText(f"{level.upper():5}")),
        StyledText(f"  {service:8}  ", SERVICE_PAINTS[crc32(service.encode()) % len(SERVICE_PAINTS)]),
        StyledText(accessors.title(event)),
        *_status(event, style),
        *_ended(event),
        *_labels(event),
        *([CLIP] if accessors.came_with_clip(event) else []),
    ]
    if request_id := accessors.text(event, "http.request.id"):
        texts += [StyledText("  request=", DIM), StyledText(request_id, DIM)]
    return style.write(texts)


def _ended(event: Event) -> Iterator[StyledText]:
    if accessors.is_aborted(event):
        yield StyledText(f" aborted after at least {format_duration(accessors.duration_ns(event))}", f"{BOLD};{RED}")
    elif accessors.is_unended(event):
        yield StyledText(f" unknown after at least {format_duration(accessors.duration_ns(event))}", f"{BOLD};{YELLOW}")
    elif event.is_span:
        yield StyledText(f" in {format_duration(accessors.duration_ns(event))}")
    elif said := accessors.error(event):
        yield StyledText(f"  {said}", RED)


def _when(moment_ns: int, style: Style) -> str:
    if not style.local_time:
        return f"{format_time(moment_ns)[:-4].replace('T', ' ')} UTC"
    return (
        datetime.fromtimestamp(moment_ns // NS_PER_S)
        .astimezone()
        .strftime(f"%Y-%m-%d %H:%M:%S.{moment_ns // 1_000_000 % 1000:03} %z")
    )
