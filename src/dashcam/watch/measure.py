"""A rule's figure at any number of moments, out of one reading of the events."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from dashcam.event import Event
from dashcam.find.aggregation import Durations
from dashcam.find.query import And, Query, Store
from dashcam.show.overview import each_request, has_failed, request_ns
from dashcam.show.recent import SERVED
from dashcam.watch.rules import Rule


@dataclass(frozen=True, slots=True)
class Measured:
    """The events that a rule speaks of, oldest first, to be measured in any window within those that were read."""

    rule: Rule
    events: Sequence[Event]
    times_ns: Sequence[int]

    def value_at(self, moment_ns: int) -> float | None:
        """Return the figure of the window that ends at a moment; `None` where there is too little to judge."""
        found, figure = self.events_at(moment_ns), self.rule.figure
        if figure in {"events", "requests"}:
            return len(found)
        failures = sum(map(has_failed, found))
        if figure == "failures":
            return failures
        if len(found) < self.rule.at_least:
            return None
        if figure == "failed_share":
            return failures / len(found)
        durations = Durations()
        for event in found:
            if (duration_ns := request_ns(event)) is not None:
                durations.add(duration_ns)
        return durations.percentile_ns(int(figure[1:]))

    def events_at(self, moment_ns: int) -> Sequence[Event]:
        """Return the events of the window that ends at a moment."""
        first = bisect_left(self.times_ns, moment_ns - self.rule.window_ns)
        return self.events[first : bisect_left(self.times_ns, moment_ns)]


def measure(store: Store, rule: Rule, first_ns: int, last_ns: int) -> Measured:
    """Read what a rule needs for the moments from a first to a last one."""
    since_ns = first_ns - rule.window_ns
    if rule.figure == "events":
        events = list(store.find(Query(rule.expression, since_ns, last_ns)))
    else:
        found = store.find(Query(And((SERVED, rule.expression)), since_ns, last_ns))
        events = sorted(each_request(found), key=lambda event: (event.time_ns, event.id))
    return Measured(rule, events, [event.time_ns for event in events])
