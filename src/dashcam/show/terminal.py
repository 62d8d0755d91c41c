"""A story, or one event, drawn for a terminal."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

from dashcam.event import Event, format_time
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
from dashcam.show.node import ABORTED, LINE, Note
from dashcam.show.story import Entry, Story

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
    """What every row of a story shares."""

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
    page = _lay_out(story, style)
    several = len({entry.trace_id for entry in story.entries}) > 1
    trace_id = None
    yield ""
    for entry, branch, below in _branch(story.entries, page):
        if several and entry.trace_id != trace_id:
            trace_id = entry.trace_id
            yield style.write([StyledText(f"trace {trace_id}" if trace_id else "no trace", BOLD)])
        yield from _draw_entry(page, entry, branch, below)


def _draw_head(story: Story, style: Style) -> Iterator[str]:
    summary = [_outcome(story, style), *_asked(story, style), StyledText(_sum_up(story), DIM)]
    yield from (style.write(line) for line in style.wrap(summary, style.width))
    when = f"{_when(story.start_ns)} UTC" if story.start_ns else "no time"
    ids = [when, *(f"request {one}" for one in story.request_ids), *(f"trace {one}" for one in story.trace_ids)]
    yield from (style.write([StyledText("  "), StyledText(one, DIM)]) for one in ids)
    for note in story.notes:
        yield from _draw_note(note, style, style.width)


def _outcome(story: Story, style: Style) -> StyledText:
    if story.outcome == "success":
        return StyledText(style.pick("✓ ", "+ "), GREEN)
    return (
        StyledText(style.pick("✗ ", "x "), f"{BOLD};{RED}") if story.outcome != "unknown" else StyledText("? ", YELLOW)
    )


def _asked(story: Story, style: Style) -> Iterator[StyledText]:
    entry = story.entry
    if entry is None:
        yield StyledText("no answer recorded", BOLD)
        return
    yield StyledText(entry.title, BOLD)
    yield from _answer(entry, style)
    if entry.duration_ns is not None:
        yield StyledText(f" {'after' if entry.state == ABORTED else 'in'} {format_duration(entry.duration_ns)}")


def _sum_up(story: Story) -> str:
    shown = sum(entry.event is not None for entry in story.entries)
    counts = [_count(shown, "event"), _count(story.errors, "error") if story.errors else "no errors"]
    if story.entry is None or story.entry.duration_ns != story.duration_ns:
        counts.append(f"{format_duration(story.duration_ns)} in all")
    return "  " + ", ".join([*story.services, *counts])


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _answer(entry: Entry, style: Style) -> Iterator[StyledText]:
    if entry.state == ABORTED:
        yield StyledText(f" {entry.state}", f"{BOLD};{RED}")
    elif entry.event:
        yield from _status(entry.event, style)


def _status(event: Event, style: Style) -> Iterator[StyledText]:
    status = accessors.number(event, "http.response.status_code") if event.is_span else None
    if status is not None:
        yield StyledText(style.pick(" → ", " -> "), DIM)
        yield StyledText(
            str(status), f"{BOLD};{RED}" if accessors.is_error(event) else YELLOW if status >= 400 else GREEN
        )


def _lay_out(story: Story, style: Style) -> _Page:
    width = style.width or BARS[0][0]
    bar = next((bar for least, bar in BARS if width >= least), 0)
    service = min(SERVICE_COLUMNS, max((columns(style.clean(name)) for name in story.services), default=0))
    return _Page(
        style=style,
        start_ns=story.start_ns,
        duration_ns=story.duration_ns,
        bar=bar,
        service=service if width >= 60 else 0,
        paints=service_paints(story.services),
    )


def _branch(entries: Sequence[Entry], page: _Page) -> Iterator[tuple[Entry, str, str]]:
    """Each entry, the branches before its first line, and those before its other lines."""
    last = {entry.parent: place for place, entry in enumerate(entries)}
    style, deepest = page.style, page.deepest
    pipe, fork, end = style.pick("│ ", "| "), style.pick("├╴", "|-"), style.pick("└╴", "`-")
    levels: list[str] = []  # what the lines above hand down to those below, one for each level
    for place, entry in enumerate(entries):
        del levels[max(0, entry.depth - 1) :]
        above = "".join(levels[: deepest - 1])
        is_last = last[entry.parent] == place
        branch = (above + (end if is_last else fork)) if entry.depth else ""
        levels += ["  " if is_last else pipe] if entry.depth else []
        below = "".join(levels[:deepest]) + (pipe if place in last else "  ")
        yield entry, branch, below


def _draw_entry(page: _Page, entry: Entry, branch: str, below: str) -> Iterator[str]:
    style = page.style
    before = [*_times(page, entry), *_bar(page, entry), *_service(page, entry), StyledText(branch, DIM)]
    for line in _lines(page, entry, columns(below)):
        yield style.write([*before, *line])
        before = [StyledText(" " * page.margin), StyledText(below, DIM)]
    indent = page.margin + columns(below)
    if style.width and style.width - indent < MIN_STACK:
        before, indent = [StyledText("    ")], 4
    for line in _trace_back(entry, style, style.width - indent if style.width else None):
        yield style.write([*before, *line])


def _times(page: _Page, entry: Entry) -> Iterator[StyledText]:
    offset = "?" if entry.time_ns is None else format_duration(entry.time_ns - page.start_ns)
    mark = "~" if entry.shift_ns else ""
    took = "" if entry.duration_ns is None else format_duration(entry.duration_ns)
    yield StyledText(f"{mark + offset:>{TIME_COLUMNS}}  ", DIM)
    yield StyledText(f"{took:>{TIME_COLUMNS}}  ")


def _bar(page: _Page, entry: Entry) -> Iterator[StyledText]:
    if not page.bar:
        return
    drawn = " " * page.bar if entry.time_ns is None else _scale(page, entry, entry.time_ns - page.start_ns)
    paint = RED if entry.is_error else page.paints.get(entry.service, "")
    yield StyledText(drawn + "  ", paint)


def _scale(page: _Page, entry: Entry, offset_ns: int) -> str:
    # Two halves to a column: a span fills each half that it touches, and at least one.
    halves, total_ns = 2 * page.bar, max(1, page.duration_ns)
    first = min(halves - 1, offset_ns * halves // total_ns)
    if entry.duration_ns is None:
        sign = "?" if entry.is_span else page.style.pick("·", ".")
        return (" " * (first // 2) + sign).ljust(page.bar)
    end = max(first + 1, -(-(offset_ns + entry.duration_ns) * halves // total_ns))
    return "".join(_cell(page.style, first <= half < end, first <= half + 1 < end) for half in range(0, halves, 2))


def _cell(style: Style, left: bool, right: bool) -> str:  # noqa: FBT001  a cell is just its two halves
    if left and right:
        return style.pick("━", "=")
    return style.pick("╸", "-") if left else style.pick("╺", "-") if right else " "


def _service(page: _Page, entry: Entry) -> Iterator[StyledText]:
    if page.service:
        name = fit(page.style.clean(entry.service), page.service)
        yield StyledText(name + "  ", page.paints.get(entry.service, ""))


def _lines(page: _Page, entry: Entry, indent: int) -> Iterator[list[StyledText]]:
    style = page.style
    width = max(MIN_TEXT, style.width - page.margin - indent) if style.width else None
    first, *more = entry.title.replace("\r\n", "\n").rstrip("\n").split("\n")
    yield from _fold(style.wrap(_text(entry, first, style), width), style)
    yield from _fold((line for text in more for line in style.wrap([StyledText(text)], width)), style)
    for note in entry.notes:
        yield from style.wrap(_note(note, style), width)


def _text(entry: Entry, first: str, style: Style) -> Iterator[StyledText]:
    level = accessors.level(entry.event) if entry.event else "info"
    if entry.state == LINE:
        yield LEVEL_SIGNS.get(level, StyledText(f"{level.upper():5}"))
        yield StyledText(" ")
    elif entry.is_error:
        yield StyledText(style.pick("✗ ", "x "), f"{BOLD};{RED}")
    yield StyledText(first, BOLD if entry.is_span and entry.event and accessors.is_served(entry.event) else "")
    if entry.is_span:
        yield from _answer(entry, style)
    yield from _labels(entry.event)


def _labels(event: Event | None) -> Iterator[StyledText]:
    for name, value in accessors.labels(event) if event else ():
        yield StyledText(f"  {name}=", DIM)
        yield StyledText(value)


def _fold(lines: Iterable[list[StyledText]], style: Style) -> Iterator[list[StyledText]]:
    rest = 0
    for place, line in enumerate(lines):
        if style.width is None or place < style.fold:
            yield line
        else:
            rest += 1
    if rest:
        yield [StyledText(f"… {_count(rest, 'more line')}", DIM)]


def _draw_note(note: Note, style: Style, width: int | None) -> Iterator[str]:
    inner = max(MIN_TEXT, width - 2) if width else None
    yield from (style.write([StyledText("  "), *line]) for line in style.wrap(_note(note, style), inner))


def _note(note: Note, style: Style) -> Iterator[StyledText]:
    yield StyledText(style.pick("⚠ ", "! ") if note.is_fault else style.pick("· ", "- "), YELLOW)
    yield StyledText(note.text, YELLOW if note.is_fault else DIM)


def _trace_back(entry: Entry, style: Style, width: int | None) -> Iterator[list[StyledText]]:
    if entry.event is None or not (stack := _stack(entry.event)):
        return
    # The end of a stack trace says what happened, its beginning how the server called the application.
    shown = stack if style.width is None else stack[-style.fold :]
    bar = StyledText(style.pick("┆ ", ": "), RED)
    if len(shown) < len(stack):
        yield [bar, StyledText(f"… {_count(len(stack) - len(shown), 'line')} above", DIM)]
    for text in shown:
        for line in style.wrap([StyledText(text)], max(MIN_TEXT, width - 2) if width else None):
            yield [bar, *line]


def _stack(event: Event) -> list[str]:
    if stack := accessors.text(event, "error.stack_trace").strip("\n"):
        return stack.split("\n")
    said = accessors.error(event)
    return said.split("\n") if said else []


def draw_event(event: Event, style: Style) -> str:
    """One event on one line: when, level, service, what happened, what was added, and the request ID to go on with."""
    moment, level, service = accessors.time_ns(event), accessors.level(event), accessors.service(event)
    when = "no time" if moment is None else _when(moment)
    texts = [
        StyledText(f"{when:23}  ", DIM),
        LEVEL_SIGNS.get(level, StyledText(f"{level.upper():5}")),
        StyledText(f"  {service:8}  ", SERVICE_PAINTS[crc32(service.encode()) % len(SERVICE_PAINTS)]),
        StyledText(accessors.title(event)),
        *_status(event, style),
        *_ended(event),
        *_labels(event),
    ]
    if request_id := accessors.text(event, "http.request.id"):
        texts += [StyledText("  request=", DIM), StyledText(request_id, DIM)]
    return style.write(texts)


def _ended(event: Event) -> Iterator[StyledText]:
    if accessors.is_aborted(event):
        yield StyledText(f" aborted after {format_duration(accessors.duration_ns(event))}", f"{BOLD};{RED}")
    elif event.is_span:
        yield StyledText(f" in {format_duration(accessors.duration_ns(event))}")
    elif said := accessors.error(event):
        yield StyledText(f"  {said}", RED)


def _when(moment_ns: int) -> str:
    return format_time(moment_ns)[:-4].replace("T", " ")
