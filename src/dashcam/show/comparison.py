"""Two stories side by side: which of their spans and lines are the same, and what differs."""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from dashcam.event import Event, format_time
from dashcam.find.query import And, Or, Query, Store, Term
from dashcam.find.requests import ABORTED, FINISHED
from dashcam.show import accessors
from dashcam.show.accessors import format_duration
from dashcam.show.fingerprint import pattern_of
from dashcam.show.node import Node
from dashcam.show.recent import story_id
from dashcam.show.story import Story

SLOWER = 1.5  # times the duration of the other one
MIN_SLOWER_NS = 1_000_000  # a difference below is no difference

MAX_LINES = 20_000  # of one story that are compared
MAX_PAIRS = 250_000  # of siblings with one name, before the longest run of them costs too much to find

COMPARED = ("http.response.status_code", "error.type", "error.message", "service.version")
"""The fields that, beside the labels, are compared."""

_Name = tuple[bool, str, str]


@dataclass(frozen=True, slots=True)
class Pair:
    """A row of both stories, or of one of them; `marks` says what differs.

    Marks are `missing` (only the first story has it), `added` (only the second), `slower` and `faster` (of the second),
    `failed` (only one of them failed) and `values`, which `values` names: field, in the first, in the second.
    """

    first: Node | None
    second: Node | None
    marks: tuple[str, ...] = ()
    values: tuple[tuple[str, str, str], ...] = ()

    @property
    def node(self) -> Node:
        """The row, of whichever story has it."""
        node = self.first or self.second
        assert node is not None  # noqa: S101 - a pair has one of them
        return node


def compare(first: Story, second: Story) -> list[Pair]:
    """Return the rows of both stories in the order of the tree, the same ones together."""
    pairs: list[Pair] = []
    waiting = list(reversed(_match(_tops(first), _tops(second))))
    while waiting:
        one, two = waiting.pop()
        pairs.append(_pair(one, two))
        waiting += reversed(_match(one.children if one else (), two.children if two else ()))
    return pairs


def _tops(story: Story) -> list[Node]:
    return [node for node in story.entries[:MAX_LINES] if node.parent is None]


def _match(first: Sequence[Node], second: Sequence[Node]) -> list[tuple[Node | None, Node | None]]:
    """Match siblings by name, in their order; those that stand in another order are missing, and added."""
    matched: list[tuple[Node | None, Node | None]] = []
    ones, twos = [_name(node) for node in first], [_name(node) for node in second]
    done1 = done2 = 0
    for at1, at2, size in _runs(ones, twos):
        matched += [(node, None) for node in first[done1:at1]]
        matched += [(None, node) for node in second[done2:at2]]
        done1, done2 = at1 + size, at2 + size
        matched += zip(first[at1:done1], second[at2:done2], strict=True)
    return matched


def _runs(ones: Sequence[_Name], twos: Sequence[_Name]) -> Iterator[tuple[int, int, int]]:
    """Yield the runs of equal names, in order, by where they begin in both and how long they are; an empty one is last.

    Where many names are equal, what both begin and end with are runs. Between them the nth of a name in one is matched
    with the nth in the other: the most of these pairs that are in order in both.
    """
    counts = Counter(twos)
    if sum(count * counts[name] for name, count in Counter(ones).items()) <= MAX_PAIRS:
        yield from SequenceMatcher(None, ones, twos, autojunk=False).get_matching_blocks()
        return
    begin = _common(ones, twos)
    end = _common(ones[begin:][::-1], twos[begin:][::-1])
    yield 0, 0, begin
    places: dict[_Name, deque[int]] = {}
    for at, name in enumerate(twos[begin : len(twos) - end], begin):
        places.setdefault(name, deque()).append(at)
    middle = enumerate(ones[begin : len(ones) - end], begin)
    pairs = [(at, places[name].popleft()) for at, name in middle if places.get(name)]
    yield from ((at1, at2, 1) for at1, at2 in _longest_rise(pairs))
    yield len(ones) - end, len(twos) - end, end
    yield len(ones), len(twos), 0


def _common(ones: Sequence[_Name], twos: Sequence[_Name]) -> int:
    """Return how many names both begin with."""
    pairs = enumerate(zip(ones, twos, strict=False))
    return next((at for at, (one, two) in pairs if one != two), min(len(ones), len(twos)))


def _longest_rise(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the most of some pairs, which rise by their first, that rise by their second too."""
    ends: list[int] = []  # the least second that a rise of each length ends with
    last: list[int] = []  # the index of its pair
    before: list[int] = []  # of each pair, the index of the one before it in its rise
    for index, (_, at2) in enumerate(pairs):
        length = bisect_left(ends, at2)
        ends[length : length + 1] = [at2]
        last[length : length + 1] = [index]
        before.append(last[length - 1] if length else -1)
    rise = []
    index = last[-1] if last else -1
    while index >= 0:
        rise.append(pairs[index])
        index = before[index]
    return rise[::-1]


def _name(node: Node) -> _Name:
    return node.is_span, node.service, pattern_of(node.title)


def _pair(one: Node | None, two: Node | None) -> Pair:
    if one is None or two is None:
        return Pair(one, two, ("missing" if two is None else "added",))
    values = tuple(_differences(one.event, two.event))
    marks = [*_time_marks(one, two), *(["failed"] if one.is_error != two.is_error else [])]
    return Pair(one, two, (*marks, "values") if values else tuple(marks), values)


def _time_marks(one: Node, two: Node) -> Iterator[str]:
    if one.duration_ns is None or two.duration_ns is None:
        return
    if abs(two.duration_ns - one.duration_ns) >= MIN_SLOWER_NS:
        if two.duration_ns > SLOWER * one.duration_ns:
            yield "slower"
        elif one.duration_ns > SLOWER * two.duration_ns:
            yield "faster"


def _differences(one: Event | None, two: Event | None) -> Iterator[tuple[str, str, str]]:
    if one is None or two is None:
        return
    first, second = _values(one), _values(two)
    for name in dict.fromkeys([*first, *second]):
        if first.get(name) != second.get(name):
            yield name, first.get(name, ""), second.get(name, "")


def _values(event: Event) -> dict[str, str]:
    fields = {name: accessors.text(event, name) for name in COMPARED}
    return {name: value for name, value in fields.items() if value} | dict(accessors.labels(event))


def find_partner(store: Store, story: Story) -> str | None:
    """Return the ID of the nearest story of the same route that ended otherwise: a good one for a failed one.

    It is the newest before, or else the first after; `None` where there is none, or where no request was served.
    """
    span = story.server_span
    if span is None or span.event is None:
        return None
    names = ("service.name", "http.route", "http.request.method")
    alike = tuple(Term(name, text) for name in names if (text := accessors.text(span.event, name)))
    well = And((FINISHED, Term("event.outcome", "success")))
    badly = Or((ABORTED, And((FINISHED, Term("event.outcome", "failure")))))
    wanted = And((*alike, badly if story.outcome == "success" else well))
    before = next(store.find(Query(wanted, None, story.start_ns, limit=1)), None)
    event = before or next(store.find(Query(wanted, story.start_ns)), None)
    return story_id(event) if event else None


def as_json(pair: Pair) -> dict[str, Any]:
    """Return a row as `dashcam compare --json` prints it."""
    return {
        "service": pair.node.service,
        "title": pair.node.title,
        "depth": pair.node.depth,
        "marks": list(pair.marks),
        "durations_ns": [node.duration_ns if node else None for node in (pair.first, pair.second)],
        "events": [node.event.id if node and node.event else None for node in (pair.first, pair.second)],
        "values": [{"field": name, "first": one, "second": two} for name, one, two in pair.values],
    }


def draw_comparison(first: Story, second: Story, pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield a line for each story, then one for each row, with its durations in both, and for each value."""
    for side, story in (("left ", first), ("right", second)):
        ids = story.request_ids or story.trace_ids or ("(no id)",)
        yield f"{side}  {ids[0]}  {story.outcome}  {format_duration(story.duration_ns)}  {format_time(story.start_ns)}"
    yield ""
    for pair in pairs:
        took = "  ".join(f"{_took(node):>8}" for node in (pair.first, pair.second))
        marks = f"  ({', '.join(mark for mark in pair.marks if mark != 'values')})"
        sign = {"missing": "-", "added": "+"}.get(pair.marks[0] if pair.marks else "", "!" if pair.marks else " ")
        indent = "  " * min(pair.node.depth, 16)
        title = pair.node.title.split("\n", 1)[0]
        yield f"{sign} {took}  {indent}{pair.node.service}  {title}{marks if marks != '  ()' else ''}"
        for name, one, two in pair.values:
            yield f"  {'':18}  {indent}  {name}: {one or '(none)'} -> {two or '(none)'}"


def _took(node: Node | None) -> str:
    if node is None:
        return ""
    return "·" if node.duration_ns is None else format_duration(node.duration_ns)
