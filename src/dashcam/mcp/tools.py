"""The five tools: overview, errors, story, search and doctor; each answer ends with how to get more."""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from dashcam.event import Event, format_time
from dashcam.find.fields import SHORT
from dashcam.find.query import And, Exists, Expression, Not, Query, Store, Term
from dashcam.find.related import find_related_events, find_stories
from dashcam.find.requests import FINISHED
from dashcam.find.values import leaves_of, text_of
from dashcam.mcp.protocol import Tool, ToolError
from dashcam.mcp.text import MAX_DETAIL_TOKENS, MAX_LINE, MAX_TOKENS, clean, cut, fence, fit
from dashcam.show import accessors
from dashcam.show.accessors import format_duration
from dashcam.show.comparison import compare, find_partner
from dashcam.show.errors import draw_errors, find_errors
from dashcam.show.findings import rank_causes
from dashcam.show.fingerprint import place_of
from dashcam.show.node import Node
from dashcam.show.overview import Overview, build_overview, draw_overview
from dashcam.show.recent import story_id
from dashcam.show.story import Story, build_story

INSTRUCTIONS = (
    "Dashcam holds what services logged: lines and spans of each request. Begin with overview (what fails or is slow"
    " now) or errors (failures in groups), take the ID of a story from there, and read it with story: its likely causes"
    " come first, and rows=... gives the details of single rows. search finds events by any field. Nothing here changes"
    " data."
)

MAX_CAUSES = 14
MAX_DIFFERENCES = 8
MAX_EXAMPLES = 3
MAX_ROWS = 40  # whose details are given at once
MAX_HITS = 100
MAX_TABLE = 30  # lines of an overview

_QUERY = ("string", 'a search such as level:error service:cars "timed out"; empty for everything')
_SINCE = ("string", "an age such as 15m, 24h or 7d, or a time such as 2026-11-24T01:35:00Z")
_SKIP = ("integer", "the number of groups to skip, as given by the previous answer")
_STORY = {
    "id": ("string", "a request, trace or span ID, its first characters, or a label as car_id=7"),
    "rows": ("string", "the numbers of rows to show in detail, such as 12 or 3,7-9"),
    "skip": ("integer", "the number of rows to skip, as given by the previous answer"),
}


@dataclass(frozen=True, slots=True)
class Source:
    """The ways to look things up: a store, the language of searches, ages and times, and the doctor's lines."""

    open_store: Callable[[], Store]
    parse: Callable[[str], Expression]
    read_time: Callable[[str], int]
    examine: Callable[[], Iterable[str]]
    clock: Callable[[], int] = time.time_ns


def make_tools(source: Source) -> list[Tool]:
    """Return the tools over a source."""
    tools = Tools(source)
    return [
        Tool(
            "overview",
            "Requests by service and route: how many, how many failed, p50/p95/p99, and what changed since the"
            " period before. Start here.",
            {"query": _QUERY, "since": _SINCE},
            tools.overview,
        ),
        Tool(
            "errors",
            "Errors in groups by type, place in the code and message: count, trend, affected routes, whether a"
            " deployment brought it, and the ID of the newest story with it.",
            {"query": _QUERY, "since": _SINCE, "skip": _SKIP},
            tools.errors,
        ),
        Tool(
            "story",
            "One request in every service: first the rows that may be the cause, the differences from a good"
            " request of the same route, then its rows in order. Use rows for details and stack traces.",
            _STORY,
            tools.story,
            required=("id",),
        ),
        Tool(
            "search",
            "Events that match, the newest first, one line each with the ID of its story.",
            {
                "query": _QUERY,
                "since": _SINCE,
                "until": ("string", "like since; to continue, the time given by the previous answer"),
                "limit": ("integer", f"events, at most {MAX_HITS}"),
            },
            tools.search,
        ),
        Tool("doctor", "Whether events reach this store: each step to it and back, with the fix.", {}, tools.doctor),
    ]


class Tools:
    """Each method is a tool, and its result the text of the answer."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def overview(self, query: str = "", since: str = "1h") -> str:
        """Return the routes, and the newest failed request of those that fail most."""
        since_ns, until_ns = self._period(since)
        wanted = self._source.parse(query)
        with closing(self._source.open_store()) as store:
            found = build_overview(store, wanted, since_ns, until_ns)
            examples = list(_examples(store, wanted, found))
        table = list(draw_overview(found))
        lines = _lines([*(f"example of a failure: {line}" for line in examples), *table], MAX_TABLE)
        following = "Next: story(id) for one of the examples, errors() for failures in groups."
        if len(lines) < len(examples) + len(table):
            following = f"{len(examples) + len(table) - len(lines)} more routes: narrow with query. {following}"
        return fence(f"Requests since {format_time(since_ns)}, the most failures first.", lines, following)

    def errors(self, query: str = "", since: str = "24h", skip: int = 0) -> str:
        """Return the groups, the most frequent first."""
        since_ns, until_ns = self._period(since)
        with closing(self._source.open_store()) as store:
            groups = find_errors(store, self._source.parse(query), since_ns, until_ns)
        shown = groups[max(0, skip) :]
        lines = _lines(draw_errors(shown, until_ns, ascii_only=True))
        lines = lines[: len(lines) // 3 * 3]
        left = len(shown) - len(lines) // 3
        more = f"{left} more groups: errors(skip={max(0, skip) + len(lines) // 3}). " if left else ""
        head = f"{len(groups)} groups of errors since {format_time(since_ns)}, the most frequent first."
        return fence(head, lines, f"{more}Next: story(id) with the ID of a newest story.")

    def story(self, id: str, rows: str = "", skip: int = 0) -> str:  # noqa: A002 - the parameter's name for agents
        """Return the causes, the differences from a good story, and the rows; or the details of rows."""
        with closing(self._source.open_store()) as store:
            story = self._build(store, id)
            if rows:
                return _details(story, _read_rows(rows, len(story.entries)))
            differences = list(_differences(store, story)) if story.outcome != "success" and not skip else []
        causes = [] if skip else list(_causes(story))
        shown = story.entries[max(0, skip) :]
        before = [*causes, *differences, *(["Rows:"] if causes else [])]
        lines = _lines([*before, *(_row(node, story) for node in shown)])
        left = len(shown) - max(0, len(lines) - len(before))
        more = f"{left} more rows: story(id, skip={max(0, skip) + len(shown) - left}). " if left else ""
        return fence(_head(story), lines, f"{more}Next: story(id, rows='N') for all fields of a row, stack trace too.")

    def search(self, query: str = "", since: str = "24h", until: str = "", limit: int = 20) -> str:
        """Return events, the newest first."""
        since_ns, until_ns = self._period(since, until)
        wanted = Query(self._source.parse(query), since_ns, until_ns, min(max(1, limit), MAX_HITS))
        with closing(self._source.open_store()) as store:
            events = list(store.find(wanted))[::-1]
        lines = _lines(map(_event_line, events))
        following = "Next: story(id) for the request of an event."
        if events and (len(lines) < len(events) or len(events) == wanted.limit):
            last = events[max(0, len(lines) - 1)]
            following = f"Older ones: search(until='{format_time(last.time_ns)}'). {following}"
        return fence(f"{len(lines)} events since {format_time(since_ns)}, the newest first.", lines, following)

    def doctor(self) -> str:
        """Return what the doctor found."""
        lines = _lines(self._source.examine())
        return fence("Each step to the store and back.", lines, "Next: dashcam doctor --help, docs/troubleshooting.md.")

    def _period(self, since: str, until: str = "") -> tuple[int, int]:
        since_ns = self._read_time("since", since)
        until_ns = self._read_time("until", until) if until else self._source.clock()
        if since_ns >= until_ns:
            raise ToolError(f"The period is empty: since={since!r} is not before {until or 'now'!r}.")
        return since_ns, until_ns

    def _read_time(self, name: str, text: str) -> int:
        try:
            return self._source.read_time(text)
        except ValueError as fault:
            raise ToolError(f"{name}: {fault}.") from None

    def _build(self, store: Store, any_id: str) -> Story:
        events = find_related_events(store, any_id)
        ids = [] if events else find_stories(store, any_id)
        if len(ids) > 1:
            raise ToolError(f"{any_id!r} begins the IDs of {len(ids)} requests: {', '.join(map(clean, ids[:5]))}.")
        events = events or (find_related_events(store, ids[0]) if ids else [])
        if not events:
            raise ToolError(f"No event has the ID {clean(any_id)!r}: search() and errors() return IDs.")
        return build_story(events)


def _lines(lines: Iterable[str], most: int | None = None) -> list[str]:
    return fit([cut(line) for line in lines][:most], MAX_TOKENS)


def _examples(store: Store, wanted: Expression, found: Overview) -> Iterator[str]:
    failing = [row for row in found.rows if row.failures][:MAX_EXAMPLES]
    for row in failing:
        named = [(SHORT.get(name, name), value) for name, value in row.fields]
        route = [Term(name, value) if value else Not(Exists(name)) for name, value in named]
        failed = And((FINISHED, wanted, *route, Term("event.outcome", "failure")))
        for event in store.find(Query(failed, found.since_ns, found.until_ns, limit=1)):
            yield f"{row.name} {story_id(event)}"


def _head(story: Story) -> str:
    ids = cut(", ".join(story.request_ids[:2] or story.trace_ids[:2]), 120)
    return (
        f"Story {ids}: {story.outcome}, {format_duration(story.duration_ns)}, {story.errors} errors, "
        f"{len(story.entries)} rows, services {cut(', '.join(story.services), 120)}, {format_time(story.start_ns)}."
    )


def _causes(story: Story) -> Iterator[str]:
    ranked = rank_causes(story)[:MAX_CAUSES]
    if ranked:
        yield "Likely causes, the likeliest first:"
    for word, node in ranked:
        has_error = node.event is not None and accessors.error(node.event)
        place, line = place_of(node.event) if node.event and has_error else ("", "")
        at = f"  at {place}{f':{line}' if line else ''}" if place else ""
        yield f"{word} {_row(node, story)}{at}"


def _row(node: Node, story: Story) -> str:
    event = node.event
    offset = "" if node.start_ns is None else f"+{format_duration(max(0, node.start_ns - story.start_ns))}"
    took = "" if node.duration_ns is None else f" took {format_duration(node.duration_ns)}"
    said = accessors.error(event) if event else ""
    level = accessors.level(event).upper() if event and not node.is_span else "SPAN" if node.is_span else ""
    status = accessors.text(event, "http.response.status_code") if event and node.is_span else ""
    labels = " ".join(f"{name}={value}" for name, value in accessors.labels(event)) if event else ""
    notes = "; ".join(note.text for note in node.notes)
    parts = (f"→ {status}" if status else "", "FAILED" if node.is_error and node.is_span else "", said, labels, notes)
    rest = " ".join(filter(None, parts))
    indent = " " * min(node.depth, 12)
    return f"[{node.index}] {offset}{took} {indent}{node.service} {level} {cut(node.title, 120)} {rest}".rstrip()


def _differences(store: Store, story: Story) -> Iterator[str]:
    """Yield what a good story of the same route has that this one lacks, or has otherwise."""
    partner = find_partner(store, story)
    if partner is None:
        return
    pairs = compare(build_story(find_related_events(store, partner)), story)
    yield f"Against the good story {partner}:"
    marked = [pair for pair in pairs if {"missing", "slower"} & set(pair.marks)]
    for pair in marked[:MAX_DIFFERENCES]:
        marks = ", ".join(mark for mark in pair.marks if mark != "values")
        yield f"{marks}: {pair.node.service} {cut(pair.node.title, 120)}"


def _read_rows(text: str, count: int) -> list[int]:
    if not re.fullmatch(r"\s*\d+(-\d+)?(\s*,\s*\d+(-\d+)?)*\s*", text):
        raise ToolError(f"rows={clean(text)!r} cannot be read: expected numbers of rows, such as 12 or 3,7-9.")
    found: dict[int, None] = {}
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        found |= dict.fromkeys(range(int(first), min(int(last or first), int(first) + MAX_ROWS) + 1))
    known = [number for number in found if number < count][:MAX_ROWS]
    if not known:
        raise ToolError(f"The story has rows 0 to {count - 1}.")
    return known


def _details(story: Story, numbers: list[int]) -> str:
    lines: list[str] = []
    for node in (story.entries[number] for number in numbers):
        lines.append(cut(_row(node, story)))
        for name, value in leaves_of(node.event) if node.event else ():
            for number, line in enumerate(text_of(value).strip("\n").split("\n")[-60:]):
                lines.append(f"  {cut(name) if not number else ''}: {cut(line, 2 * MAX_LINE)}")
    shown = fit(lines, MAX_DETAIL_TOKENS)
    more = "" if len(shown) == len(lines) else "Cut: ask for fewer rows. "
    return fence(_head(story), shown, f"{more}Next: story(id) for the rows, search() for other stories.")


def _event_line(event: Event) -> str:
    labels = " ".join(f"{name}={value}" for name, value in accessors.labels(event))
    took = f"took {format_duration(accessors.duration_ns(event))}" if event.is_span else ""
    parts: list[Any] = [format_time(event.time_ns), accessors.level(event).upper(), accessors.service(event)]
    parts += [cut(accessors.title(event), 140), took, cut(accessors.error(event), 140), cut(labels, 100)]
    return " ".join(filter(None, [*parts, f"id={story_id(event)}"]))
