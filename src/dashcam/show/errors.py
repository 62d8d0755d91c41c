"""Errors in groups: those of one type, raised in one place, with one message but for its numbers and ids."""

import hashlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dashcam.event import NS_PER_S, Event, format_time
from dashcam.find.newest import find_newest
from dashcam.find.query import And, Exists, Expression, Not, Or, Query, Store, Term
from dashcam.find.requests import FINISHED
from dashcam.show import accessors
from dashcam.show.accessors import format_duration
from dashcam.show.fingerprint import message_of, pattern_of, place_of, type_of
from dashcam.show.recent import story_id

ERROR_LINES = And(
    (
        Or(
            (
                *(Term("log.level", level) for level in sorted(accessors.ERROR_LEVELS)),
                And((Term("log.level", "warning"), Exists("error.type"))),
            )
        ),
        Not(Or((Term("processor.event", "transaction"), Term("processor.event", "span")))),
    )
)
"""The log lines of level error and above, and warnings with an exception."""

TREND_STEPS = 24
MAX_TRACED = 100  # events of a group whose route is looked up
MAX_FORMER = 1_000  # errors of the version before that a new one is held against

_AT_ONCE = 100
_AGES_NS = tuple(900 * NS_PER_S * 4**step for step in range(7))  # at which another version is looked for: to 42 days


@dataclass(slots=True)
class ErrorGroup:
    """The errors of one service with the same fingerprint; the message is that of the newest, `pattern` of all.

    `trend` counts them in equal steps of the period. `routes` has the affected routes of the newest, the commonest
    first. `is_new`: none is of a version before the last deployment.
    """

    service: str
    type: str
    place: str
    pattern: str
    trend: list[int]
    count: int = 0
    first_ns: int = 0
    last_ns: int = 0
    line: int | None = None
    message: str = ""
    story: str = ""
    versions: Counter[str] = field(default_factory=Counter)
    routes: tuple[str, ...] = ()
    is_new: bool = False
    traced: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=MAX_TRACED))

    @property
    def fingerprint(self) -> str:
        """Twelve characters that name the group, the same in every period."""
        parts = f"{self.service}\0{self.type}\0{self.place}\0{self.pattern}"
        return hashlib.sha256(parts.encode()).hexdigest()[:12]

    @property
    def title(self) -> str:
        """The type and the newest message."""
        first = self.message.strip().split("\n", 1)[0]
        return ": ".join(filter(None, (self.type, first)))

    @property
    def direction(self) -> str:
        """The trend in a word: `rising`, `falling` or `steady`, as the later half of the period is to the first."""
        middle = len(self.trend) // 2
        first, later = sum(self.trend[:middle]), sum(self.trend[middle:])
        if max(first, later) < 5 or max(first, later) < 2 * min(first, later):
            return "steady"
        return "rising" if later > first else "falling"


class Errors(NamedTuple):
    """Groups of errors; with `cut_ns` there are none from before that moment, though they were asked for."""

    groups: list[ErrorGroup]
    cut_ns: int | None = None


def find_errors(store: Store, wanted: Expression, since_ns: int, until_ns: int) -> list[ErrorGroup]:
    """Return the groups of errors that an expression matches, the most frequent first."""
    return find_newest_errors(store, wanted, since_ns, until_ns, 0).groups


def find_newest_errors(store: Store, wanted: Expression, since_ns: int, until_ns: int, most: int) -> Errors:
    """Return the groups of the newest `most` errors that an expression matches, the most frequent first; 0 is all."""
    read = find_newest(store, Query(And((ERROR_LINES, wanted)), since_ns, until_ns), most)
    groups = group_errors(read.events, read.since_ns, until_ns)
    _add_routes(store, groups)
    for service in {group.service for group in groups}:
        _mark_new(store, [group for group in groups if group.service == service], read.since_ns, until_ns)
    return Errors(groups, read.since_ns if read.is_cut else None)


def group_errors(events: Iterable[Event], since_ns: int, until_ns: int) -> list[ErrorGroup]:
    """Return the groups of some errors, oldest first, without their routes and what needs other events."""
    groups: dict[tuple[str, str, str, str], ErrorGroup] = {}
    for event in events:
        (place, line), message = place_of(event), message_of(event)
        key = accessors.service(event), type_of(event), place, pattern_of(message)
        group = groups.setdefault(key, ErrorGroup(*key, trend=[0] * TREND_STEPS))
        moment_ns = accessors.time_ns(event) or since_ns
        group.first_ns = group.first_ns or moment_ns
        group.last_ns, group.line, group.message, group.story = moment_ns, line, message, story_id(event)
        step = (moment_ns - since_ns) * TREND_STEPS // max(1, until_ns - since_ns)
        group.trend[min(max(step, 0), TREND_STEPS - 1)] += 1
        group.count += 1
        group.versions[accessors.text(event, "service.version")] += 1
        group.traced.append((accessors.text(event, "trace.id"), accessors.text(event, "transaction.id")))
    return sorted(groups.values(), key=lambda group: (-group.count, -group.last_ns))


def _add_routes(store: Store, groups: Sequence[ErrorGroup]) -> None:
    ids = list(dict.fromkeys(span for group in groups for _, span in group.traced if span))
    routes: dict[tuple[str, str], str] = {}
    for at in range(0, len(ids), _AT_ONCE):
        these = Or(tuple(Term("span.id", one) for one in ids[at : at + _AT_ONCE]))
        for event in store.find(Query(And((_SERVED, these)))):
            span = accessors.text(event, "trace.id"), accessors.text(event, "span.id")
            routes[span] = accessors.route(event)
    for group in groups:
        counts = Counter(routes[span] for span in group.traced if span in routes)
        group.routes = tuple(route for route, _ in counts.most_common())


_SERVED = Or((FINISHED, Term("event.action", "request-aborted")))


def _mark_new(store: Store, groups: Sequence[ErrorGroup], since_ns: int, until_ns: int) -> None:
    """Mark the groups of a service that began with its last deployment."""
    service = Term("service.name", groups[0].service)
    version = _version(store, service, until_ns)
    seen = {one for group in groups for one in group.versions}
    ages = (_version(store, service, until_ns - age_ns) for age_ns in _AGES_NS)
    if not version or (seen <= {"", version} and all(former in {"", version} for former in ages)):
        return
    former = And((ERROR_LINES, service, Not(Term("service.version", version))))
    known = store.find(Query(former, None, until_ns, limit=MAX_FORMER))
    fingerprints = {group.fingerprint for group in group_errors(known, since_ns, until_ns)}
    for group in groups:
        group.is_new = set(group.versions) == {version} and group.fingerprint not in fingerprints


def _version(store: Store, service: Expression, until_ns: int) -> str:
    """Return the version of a service at some time; nobody reads all its events to find another one."""
    newest = next(store.find(Query(service, None, until_ns, limit=1)), None)
    return accessors.text(newest, "service.version") if newest else ""


def as_json(group: ErrorGroup) -> dict[str, Any]:
    """Return a group as `dashcam errors --json` prints it; `http.request.id` is that of the newest story."""
    return {
        "service.name": group.service,
        "error.type": group.type,
        "error.message": group.message,
        "pattern": group.pattern,
        "place": group.place,
        "line": group.line,
        "count": group.count,
        "first": format_time(group.first_ns),
        "last": format_time(group.last_ns),
        "trend": group.trend,
        "direction": group.direction,
        "http.route": list(group.routes),
        "http.request.id": group.story,
        "service.version": sorted(filter(None, group.versions)),
        "new": group.is_new,
        "fingerprint": group.fingerprint,
    }


def sparkline(counts: Sequence[int], *, ascii_only: bool = False) -> str:
    """Return some counts as a line of bars."""
    signs = " .,:-=+*#" if ascii_only else " ▁▂▃▄▅▆▇█"
    most = max(counts, default=0) or 1
    return "".join(signs[-(-count * (len(signs) - 1) // most)] for count in counts)


def draw_errors(groups: Sequence[ErrorGroup], now_ns: int, *, ascii_only: bool = False) -> Iterator[str]:
    """Yield three lines for each group: the error, its place and routes, and its ages and newest story."""
    for group in groups:
        mark = "  new since the last deployment" if group.is_new else ""
        trend = sparkline(group.trend, ascii_only=ascii_only)
        yield f"{group.count:6,}  {trend}  {group.direction:7}  {group.title}{mark}"
        line = f":{group.line}" if group.line else ""
        places = [f"{group.service} {group.place}{line}", *group.routes[:3]]
        yield f"{'':8}{', '.join(filter(None, places))}"
        first, last = (format_duration(max(0, now_ns - moment_ns)) for moment_ns in (group.first_ns, group.last_ns))
        yield f"{'':8}first {first} ago, last {last} ago, newest story {group.story}"
