"""The requests of a period by service and route: how many, how many failed, how long they took, and what changed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from dashcam.event import NS_PER_S, Event
from dashcam.find.aggregation import DURATION, Durations, Group, Grouping, aggregate, counted_by
from dashcam.find.query import And, Expression, Or, Query, Store, Term
from dashcam.find.requests import ABORTED, FINISHED, WITHOUT_ROUTE
from dashcam.show import accessors
from dashcam.show.accessors import format_duration, format_rate, format_share
from dashcam.show.recent import SERVED

MIN_FAILURES = 3  # fewer are no trend
MIN_REQUESTS = 20  # in both periods, before percentiles are compared
MORE_FAILURES = 2  # times the share of before
SLOWER = 1.5  # times the 95th percentile of before

_BY_ROUTE = Grouping(("service.name", "http.route", "http.request.method", "event.outcome"), is_timed=True)
_BY_NAME = Grouping(("service.name", "transaction.name", "event.outcome"), is_timed=True)
_SPANS_AT_ONCE = 100

Key = tuple[tuple[str, str], ...]
"""What tells a row from the others: its `fields`."""


@dataclass(slots=True)
class RouteStats:
    """The requests of one service and route; `durations` are those of the requests whose end is known.

    Without a route it has the requests of a `method`, and without that the jobs, tasks or messages of one `job`.
    """

    service: str
    route: str
    requests: int = 0
    failures: int = 0
    durations: Durations = field(default_factory=Durations)
    method: str = ""
    job: str = ""

    @property
    def title(self) -> str:
        """The route, or what there is instead, to be read."""
        return self.route or (f"{self.method} (no known route)" if self.method else self.job or "(no name)")

    @property
    def name(self) -> str:
        """The service and the route, to be read."""
        return f"{self.service} {self.title}"

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """The fields that the requests have in common, by the names of a search; without a value, that they lack."""
        service, route = ("service", self.service), ("route", self.route)
        if self.route:
            return service, route
        if self.method:
            return service, route, ("method", self.method)
        return service, route, ("method", ""), ("transaction.name", self.job)

    @property
    def failed_share(self) -> float:
        """The failures as a share of the requests, from 0 to 1."""
        return self.failures / self.requests if self.requests else 0.0

    def percentile_ns(self, percent: int) -> int | None:
        """Return the time within which so many per cent were answered, within 1 %; `None` when none was."""
        return self.durations.percentile_ns(percent)


@dataclass(frozen=True, slots=True)
class Change:
    """A difference from the period before: its `kind` is `fails`, `slower`, `new` or `gone`."""

    kind: str
    row: RouteStats
    text: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The routes of a period, the most failures first, those of the period before, and what changed."""

    since_ns: int
    until_ns: int
    rows: tuple[RouteStats, ...]
    before: Mapping[Key, RouteStats]
    changes: tuple[Change, ...]

    @property
    def period_s(self) -> float:
        """The length of the period."""
        return (self.until_ns - self.since_ns) / NS_PER_S


def build_overview(store: Store, wanted: Expression, since_ns: int, until_ns: int) -> Overview:
    """Return the overview of the requests that an expression matches; the period before is as long."""
    now = count_requests(store, Query(wanted, since_ns, until_ns))
    before = count_requests(store, Query(wanted, 2 * since_ns - until_ns, since_ns))
    rows = sorted(now.values(), key=lambda row: (-row.failures, -row.requests, row.name))
    return Overview(since_ns, until_ns, tuple(rows), before, tuple(changes(now, before)))


def count_requests(store: Store, query: Query) -> dict[Key, RouteStats]:
    """Return the statistics of the requests of a query, by service and route, each request once."""
    finished = Query(And((FINISHED, query.expression)), query.since_ns, query.until_ns)
    (groups,) = counted_by(store, finished, [_BY_ROUTE])
    if groups is None:
        return collect(store.find(Query(And((SERVED, query.expression)), query.since_ns, query.until_ns)))
    stats: dict[Key, RouteStats] = {}
    are_jobs = False
    for key, group in groups.items():
        service, route, method, outcome = key.values
        if route or method:
            _count(stats, RouteStats(service, route, method="" if route else method), group, outcome)
        else:
            are_jobs = True
    if are_jobs:
        by_name = Query(And((finished.expression, WITHOUT_ROUTE)), query.since_ns, query.until_ns)
        for key, group in aggregate(store, by_name, [_BY_NAME])[0].items():
            service, job, outcome = key.values
            _count(stats, RouteStats(service, "", job=job), group, outcome)
    for event in _unfinished(store, query, finished):
        _add(stats, event)
    return stats


def _count(stats: dict[Key, RouteStats], row: RouteStats, group: Group, outcome: str) -> None:
    row = stats.setdefault(row.fields, row)
    row.requests += group.count
    row.failures += group.count if outcome == "failure" else 0
    row.durations.merge(group.durations)


def _unfinished(store: Store, query: Query, finished: Query) -> Iterator[Event]:
    """Yield the reports of aborted requests whose span did not arrive all the same."""
    reported = store.find(Query(And((ABORTED, query.expression)), query.since_ns, query.until_ns))
    aborted = {_span(event): event for event in reported}
    ids = sorted({span_id for _, span_id in aborted})
    for at in range(0, len(ids), _SPANS_AT_ONCE):
        these = Or(tuple(Term("span.id", one) for one in ids[at : at + _SPANS_AT_ONCE]))
        for event in store.find(Query(And((finished.expression, these)), query.since_ns, query.until_ns)):
            aborted.pop(_span(event), None)
    yield from aborted.values()


def collect(events: Iterable[Event]) -> dict[Key, RouteStats]:
    """Return the statistics of the served requests among some events, by service and route, each request once."""
    stats: dict[Key, RouteStats] = {}
    for event in each_request(events):
        row = _add(stats, event)
        if (duration_ns := request_ns(event)) is not None:
            row.durations.add(duration_ns)
    return stats


def each_request(events: Iterable[Event]) -> Iterator[Event]:
    """Yield the event of each served request: its span, or the report that it was aborted where no span arrived."""
    aborted: dict[tuple[str, str], Event] = {}
    finished: set[tuple[str, str]] = set()
    for event in filter(accessors.is_served, events):
        if accessors.is_aborted(event):
            aborted[_span(event)] = event
        else:
            finished.add(_span(event))
            yield event
    yield from (event for span, event in aborted.items() if span not in finished)


def request_ns(event: Event) -> int | None:
    """Return the time that a request took; `None` for an aborted one, whose end is not known."""
    return None if accessors.is_aborted(event) else accessors.number(event, DURATION)


def has_failed(event: Event) -> bool:
    """Return whether a request failed, or was aborted."""
    return accessors.outcome(event) in {"failure", "aborted"}


def _span(event: Event) -> tuple[str, str]:
    return accessors.text(event, "trace.id"), accessors.text(event, "span.id")


def _add(stats: dict[Key, RouteStats], event: Event) -> RouteStats:
    route, method = accessors.text(event, "http.route"), accessors.text(event, "http.request.method")
    job = accessors.text(event, "transaction.name") or accessors.text(event, "span.name")
    row = RouteStats(
        accessors.service(event), route, method="" if route else method, job="" if route or method else job
    )
    row = stats.setdefault(row.fields, row)
    row.requests += 1
    row.failures += has_failed(event)
    return row


def changes(now: Mapping[Key, RouteStats], before: Mapping[Key, RouteStats]) -> list[Change]:
    """Return what differs from the period before, the worst first; nothing where that has no request at all."""
    if not before:
        return []
    found = [change for key, row in now.items() for change in _compare(row, before.get(key))]
    found += [
        Change("gone", former, f"{former.name} is gone: {_requests(former.requests)} before")
        for key, former in before.items()
        if key not in now
    ]
    return sorted(found, key=lambda change: (_KINDS.index(change.kind), change.row.name))


_KINDS = ("fails", "slower", "gone", "new")


def _compare(row: RouteStats, former: RouteStats | None) -> Iterator[Change]:
    if former is None:
        failed = f", {row.failures:,} failed" if row.failures else ""
        yield Change("new", row, f"{row.name} is new: {_requests(row.requests)}{failed}")
        return
    if row.failures >= MIN_FAILURES and row.failed_share > MORE_FAILURES * former.failed_share:
        shares = [format_share(stats.failures, stats.requests) for stats in (row, former)]
        text = f"{row.name} fails more: {shares[0]}, before {shares[1]}"
        yield Change("fails", row, text)
    latest_ns, former_ns = row.percentile_ns(95), former.percentile_ns(95)
    enough = min(row.durations.count, former.durations.count) >= MIN_REQUESTS
    if enough and latest_ns and former_ns and latest_ns > SLOWER * former_ns:
        text = f"{row.name} is slower: p95 {format_duration(latest_ns)}, before {format_duration(former_ns)}"
        yield Change("slower", row, text)


def _requests(requests: int) -> str:
    return f"{requests:,} request{'' if requests == 1 else 's'}"


def draw_overview(overview: Overview) -> Iterator[str]:
    """Yield what changed, a line each, then the lines of a table."""
    yield from (change.text for change in overview.changes)
    if overview.rows:
        width = max([len("route"), *(len(row.title) for row in overview.rows)])
        names = max([len("service"), *(len(row.service) for row in overview.rows)])
        yield f"{'service':{names}}  {'route':{width}}  requests      /s  failed      p50      p95      p99"
        for row in overview.rows:
            took = [row.percentile_ns(percent) for percent in (50, 95, 99)]
            spelled = "  ".join(f"{'?' if ns is None else format_duration(ns):>7}" for ns in took)
            rate = format_rate(row.requests, overview.period_s)
            yield (
                f"{row.service:{names}}  {row.title:{width}}  {row.requests:8,}  {rate:>6}  "
                f"{format_share(row.failures, row.requests):>6}  {spelled}"
            )


def as_json(row: RouteStats) -> dict[str, str | int | None]:
    """Return a row as `dashcam overview --json` prints it; percentiles are in nanoseconds."""
    percentiles = {f"p{percent}": row.percentile_ns(percent) for percent in (50, 95, 99)}
    return {
        "service.name": row.service,
        "http.route": row.route,
        "http.request.method": row.method,
        "transaction.name": row.job,
        "requests": row.requests,
        "failures": row.failures,
        **percentiles,
    }
