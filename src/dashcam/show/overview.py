"""The requests of a period by service and route: how many, how many failed, how long they took, and what changed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dashcam.event import Event
from dashcam.show import accessors
from dashcam.show.accessors import format_duration

MIN_FAILURES = 3  # fewer are no trend
MIN_REQUESTS = 20  # in both periods, before percentiles are compared
MORE_FAILURES = 2  # times the share of before
SLOWER = 1.5  # times the 95th percentile of before

Key = tuple[str, str]


@dataclass(slots=True)
class RouteStats:
    """The requests of one service and route; `durations_ns` are those of the requests whose end is known."""

    service: str
    route: str
    requests: int = 0
    failures: int = 0
    durations_ns: list[int] = field(default_factory=list)

    @property
    def failed_share(self) -> float:
        """The failures as a share of the requests, from 0 to 1."""
        return self.failures / self.requests if self.requests else 0.0

    def percentile_ns(self, percent: int) -> int | None:
        """Return the time within which so many per cent of the requests were answered; `None` when none was.

        It is the nearest rank, so a time that was measured.
        """
        if not self.durations_ns:
            return None
        ordered = sorted(self.durations_ns)
        return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def collect(events: Iterable[Event]) -> dict[Key, RouteStats]:
    """Return the statistics of the served requests among some events, by service and route, each request once."""
    stats: dict[Key, RouteStats] = {}
    aborted: dict[tuple[str, str], Event] = {}
    finished: set[tuple[str, str]] = set()
    for event in filter(accessors.is_served, events):
        span = accessors.text(event, "trace.id"), accessors.text(event, "span.id")
        if accessors.is_aborted(event):
            aborted[span] = event
        else:
            finished.add(span)
            _add(stats, event).durations_ns.append(accessors.duration_ns(event))
    for span, event in aborted.items():
        if span not in finished:
            _add(stats, event)
    return stats


def _add(stats: dict[Key, RouteStats], event: Event) -> RouteStats:
    key = accessors.service(event), accessors.text(event, "http.route")
    row = stats.setdefault(key, RouteStats(*key))
    row.requests += 1
    row.failures += accessors.outcome(event) in {"failure", "aborted"}
    return row


def changes(now: Mapping[Key, RouteStats], before: Mapping[Key, RouteStats]) -> Iterator[str]:
    """Yield in words what differs from the period before; nothing where that has no request at all."""
    if not before:
        return
    for key, row in now.items():
        former = before.get(key)
        if former is None:
            yield f"{_name(row)} is new: {_count(row.requests)}"
            continue
        if row.failures >= MIN_FAILURES and row.failed_share > MORE_FAILURES * former.failed_share:
            yield f"{_name(row)} fails more: {row.failed_share:.1%}, before {former.failed_share:.1%}"
        latest_ns, former_ns = row.percentile_ns(95), former.percentile_ns(95)
        enough = min(len(row.durations_ns), len(former.durations_ns)) >= MIN_REQUESTS
        if enough and latest_ns and former_ns and latest_ns > SLOWER * former_ns:
            yield f"{_name(row)} is slower: p95 {format_duration(latest_ns)}, before {format_duration(former_ns)}"
    for key, former in before.items():
        if key not in now:
            yield f"{_name(former)} is gone: {_count(former.requests)} before"


def _count(requests: int) -> str:
    return f"{requests:,} request{'' if requests == 1 else 's'}"


def _name(row: RouteStats) -> str:
    return f"{row.service} {row.route or '(no route)'}"


def draw_overview(rows: Sequence[RouteStats], period_s: float) -> Iterator[str]:
    """Yield the lines of a table, the most failures first."""
    width = max([len("route"), *(len(row.route or "(no route)") for row in rows)])
    names = max([len("service"), *(len(row.service) for row in rows)])
    yield f"{'service':{names}}  {'route':{width}}  requests      /s  failed      p50      p95      p99"
    for row in sorted(rows, key=lambda row: (-row.failures, -row.requests)):
        took = [row.percentile_ns(percent) for percent in (50, 95, 99)]
        spelled = "  ".join(f"{'?' if ns is None else format_duration(ns):>7}" for ns in took)
        rate = row.requests / period_s
        yield (
            f"{row.service:{names}}  {row.route or '(no route)':{width}}  {row.requests:8,}  {rate:6.2f}  "
            f"{row.failed_share:6.1%}  {spelled}"
        )


def as_json(row: RouteStats) -> dict[str, str | int | None]:
    """Return a row as `dashcam overview --json` prints it; percentiles are in nanoseconds."""
    percentiles = {f"p{percent}": row.percentile_ns(percent) for percent in (50, 95, 99)}
    return {
        "service.name": row.service,
        "http.route": row.route,
        "requests": row.requests,
        "failures": row.failures,
        **percentiles,
    }
