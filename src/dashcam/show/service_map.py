"""The services, databases and outside hosts that call each other, with how often, how well and how fast."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from typing import Any
from urllib.parse import urlsplit

from dashcam.event import NS_PER_S, Event
from dashcam.find.aggregation import DURATION, Durations
from dashcam.find.newest import find_newest
from dashcam.find.query import And, Expression, Or, Query, Store, Term
from dashcam.find.requests import FINISHED
from dashcam.show import accessors
from dashcam.show.accessors import format_duration, format_rate, format_share

CALLING_KINDS = ("client", "producer")

CALLS = Or((*(Term("span.kind", kind) for kind in CALLING_KINDS), FINISHED, Term("event.action", "request-aborted")))
"""The spans of calls, at both of their ends."""

SERVICE, DATABASE, HOST = "service", "database", "host"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A node of the map; its `kind` is `service`, `database` or `host`."""

    kind: str
    name: str


@dataclass(slots=True)
class Calls:
    """An edge: the calls of one place to another; `unanswered` ones are failures that got no answer at all."""

    source: Place
    target: Place
    calls: int = 0
    failures: int = 0
    unanswered: int = 0
    durations: Durations = field(default_factory=Durations)

    @property
    def is_broken(self) -> bool:
        """Return whether a call got no answer."""
        return self.unanswered > 0


@dataclass(frozen=True, slots=True)
class ServiceMap:
    """The places, callers before those they call, and the calls between them, the most first.

    With `cut_ns` there are no calls from before that moment, though they were asked for.
    """

    places: tuple[Place, ...]
    calls: tuple[Calls, ...]
    period_s: float
    cut_ns: int | None = None

    def columns(self) -> dict[Place, int]:
        """Return the column of each place: one further than the furthest of its callers; circles are cut."""
        columns, rank = dict.fromkeys(self.places, 0), {place: at for at, place in enumerate(self.places)}
        calls = _by_source(self.calls)
        for place in self.places:
            for edge in calls.get(place, ()):
                if rank[edge.target] > rank[place]:
                    columns[edge.target] = max(columns[edge.target], columns[place] + 1)
        return columns


@dataclass(slots=True)
class _Call:
    source: str
    target: Place
    has_failed: bool
    is_unanswered: bool
    duration_ns: int | None


def build_map(store: Store, wanted: Expression, since_ns: int, until_ns: int, most: int = 0) -> ServiceMap:
    """Return the map of the calls of a period that an expression matches, by the newest `most` spans; 0 is all."""
    read = find_newest(store, Query(And((CALLS, wanted)), since_ns, until_ns), most)
    found = map_calls(read.events, (until_ns - read.since_ns) / NS_PER_S)
    return replace(found, cut_ns=read.since_ns) if read.is_cut else found


def map_calls(events: Iterable[Event], period_s: float) -> ServiceMap:
    """Return the map of some spans, in any order.

    A call leads to the service that served it. One that nobody served leads to the service that other calls of the same
    host reached, or else to that host.
    """
    calls: dict[tuple[str, str], _Call] = {}
    served: dict[tuple[str, str], str] = {}
    services: dict[str, None] = {}
    for event in events:
        if accessors.is_served(event):
            services.setdefault(accessors.service(event))
            served[accessors.text(event, "trace.id"), accessors.text(event, "parent.id")] = accessors.service(event)
        elif event.is_span and accessors.kind(event) in CALLING_KINDS:
            has_failed = accessors.is_error(event)
            is_answered = accessors.number(event, "http.response.status_code") or accessors.text(event, "db.system")
            outcome = has_failed, has_failed and not is_answered, accessors.number(event, DURATION)
            span = accessors.text(event, "trace.id"), accessors.text(event, "span.id")
            calls[span] = _Call(accessors.service(event), _target(event), *outcome)
    edges = _count_calls(calls, served)
    places = {Place(SERVICE, name) for name in services} | {end for edge in edges for end in (edge.source, edge.target)}
    return ServiceMap(tuple(_sort(places, edges)), tuple(edges), period_s)


def _target(event: Event) -> Place:
    if system := accessors.text(event, "db.system"):
        return Place(DATABASE, f"{system} {accessors.text(event, 'db.name')}".rstrip())
    address, port = accessors.text(event, "server.address"), accessors.text(event, "server.port")
    try:
        host = urlsplit(accessors.text(event, "url.full")).netloc.rpartition("@")[2]
        host = host or ":".join(filter(None, (address, port)))
    except ValueError:
        host = address
    return Place(HOST, host or accessors.text(event, "span.name") or "?")


def _count_calls(calls: dict[tuple[str, str], _Call], served: dict[tuple[str, str], str]) -> list[Calls]:
    behind: dict[Place, Counter[str]] = {}
    for span, call in calls.items():
        if span in served:
            behind.setdefault(call.target, Counter())[served[span]] += 1
    edges: dict[tuple[Place, Place], Calls] = {}
    for span, call in calls.items():
        known = served.get(span) or next(iter(behind.get(call.target, Counter()).most_common(1)), ("",))[0]
        ends = Place(SERVICE, call.source), Place(SERVICE, known) if known else call.target
        edge = edges.setdefault(ends, Calls(*ends))
        edge.calls += 1
        edge.failures += call.has_failed
        edge.unanswered += call.is_unanswered
        if call.duration_ns is not None:
            edge.durations.add(call.duration_ns)
    return sorted(edges.values(), key=lambda edge: (-edge.calls, edge.source.name, edge.target.name))


def _sort(places: Iterable[Place], edges: Sequence[Calls]) -> Iterator[Place]:
    """Yield callers before those they call; where they call in a circle, the one that is called least."""
    calls = _by_source(edge for edge in edges if edge.source != edge.target)
    called = Counter(edge.target for found in calls.values() for edge in found)
    waiting = {place: (called[place], place.kind != SERVICE, place) for place in places}
    heap = sorted(waiting.values())
    while heap:
        turn = heappop(heap)
        place = turn[2]
        if waiting.get(place) != turn:  # it has been yielded, or is called less by now
            continue
        del waiting[place]
        yield place
        for edge in calls.get(place, ()):
            if edge.target in waiting:
                count, is_outside, target = waiting[edge.target]
                waiting[target] = count - 1, is_outside, target
                heappush(heap, waiting[target])


def _by_source(edges: Iterable[Calls]) -> dict[Place, list[Calls]]:
    found: dict[Place, list[Calls]] = {}
    for edge in edges:
        found.setdefault(edge.source, []).append(edge)
    return found


def as_json(edge: Calls) -> dict[str, Any]:
    """Return an edge as `dashcam map --json` prints it; percentiles are in nanoseconds."""
    return {
        "source": edge.source.name,
        "target": edge.target.name,
        "target_kind": edge.target.kind,
        "calls": edge.calls,
        "failures": edge.failures,
        "unanswered": edge.unanswered,
        **{f"p{percent}": edge.durations.percentile_ns(percent) for percent in (50, 95, 99)},
    }


def draw_map(found: ServiceMap, *, ascii_only: bool = False) -> Iterator[str]:
    """Yield the lines of a drawing, each call under its caller, then those of a table."""
    yield from _draw_tree(found, ascii_only=ascii_only)
    if found.calls:
        yield ""
        names = max([len("from"), *(len(edge.source.name) for edge in found.calls)])
        targets = max([len("to"), *(len(edge.target.name) for edge in found.calls)])
        yield f"{'from':{names}}  {'to':{targets}}     calls       /s  failed  no answer      p95"
        for edge in found.calls:
            p95_ns = edge.durations.percentile_ns(95)
            yield (
                f"{edge.source.name:{names}}  {edge.target.name:{targets}}  {edge.calls:8,}  "
                f"{format_rate(edge.calls, found.period_s):>7}  {format_share(edge.failures, edge.calls):>6}  "
                f"{edge.unanswered:9,}  "
                f"{'?' if p95_ns is None else format_duration(p95_ns):>7}"
            )


def _draw_tree(found: ServiceMap, *, ascii_only: bool) -> Iterator[str]:
    forth, broken = ("--> ", "--x ") if ascii_only else ("──▶ ", "──✗ ")
    calls, drawn = _by_source(found.calls), set[Place]()
    waiting = [(place, 0, "") for place in reversed(found.places) if place.kind == SERVICE]
    while waiting:
        place, depth, arrow = waiting.pop()
        if not depth and place in drawn:
            continue
        edges = calls.get(place, [])
        is_known = place in drawn and bool(edges)
        yield f"{'    ' * depth}{arrow}{place.name}{' (above)' if is_known else ''}"
        drawn.add(place)
        if not is_known:
            waiting += [(edge.target, depth + 1, broken if edge.is_broken else forth) for edge in reversed(edges)]
