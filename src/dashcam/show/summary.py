"""The events of a search as a histogram over time by level, and by the values that their fields have.

>>> choose_step(0, 3600 * NS_PER_S, 60) // NS_PER_S
60
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dashcam.event import NS_PER_S, Event
from dashcam.find.aggregation import Grouping, Groups, counted_by, group_events
from dashcam.find.fields import SHORT
from dashcam.find.newest import Newest, find_newest
from dashcam.find.query import Query, Store

FACETS = ("service", "level", "route", "status", "logger")
"""The short names of the fields whose values are counted; labels come beside them."""

TIME = "time"
"""The name of the histogram among the parts of a summary."""

MAX_BARS = 60
MAX_VALUES = 50  # of one facet

_MS = 1_000_000
_S, _MIN, _H = NS_PER_S, 60 * NS_PER_S, 3600 * NS_PER_S
STEPS_NS = (
    *(step * _MS for step in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
    *(step * _S for step in (1, 2, 5, 10, 15, 30)),
    *(step * _MIN for step in (1, 2, 5, 10, 15, 30)),
    *(step * _H for step in (1, 3, 6, 12, 24, 7 * 24, 28 * 24, 364 * 24)),
)


@dataclass(frozen=True, slots=True)
class Bar:
    """The events of one step, by level in small letters."""

    start_ns: int
    levels: Mapping[str, int]

    @property
    def count(self) -> int:
        """The number of all of them."""
        return sum(self.levels.values())


@dataclass(frozen=True, slots=True)
class Summary:
    """The events of a search as a whole.

    `bars` follow each other without a gap, `step_ns` apart. `facets` has, by short name or `labels.NAME`, the commonest
    values with their counts; the value is empty for events without one.

    `read` has the events that had to be read for the `read_parts`: `TIME` for the bars, or a facet's name. Where `read`
    is cut, these parts count no older events; cut bars begin with it.
    """

    step_ns: int
    bars: tuple[Bar, ...]
    facets: Mapping[str, tuple[tuple[str, int], ...]]
    read: Newest
    read_parts: frozenset[str]

    @property
    def count(self) -> int:
        """The number of events."""
        return sum(bar.count for bar in self.bars)

    def is_cut(self, part: str = TIME) -> bool:
        """Return whether older events were left out of the bars, or of a facet."""
        return self.read.is_cut and part in self.read_parts


def summarize(
    store: Store, query: Query, facets: Sequence[str] = FACETS, max_bars: int = MAX_BARS, most: int = 0
) -> Summary:
    """Return the summary of the events of a query, which has a beginning and an end; its limit does not count.

    A facet is a short name, or `labels.NAME`. Where the store does not count by itself, the newest `most` events are
    read; with 0 all of them are.
    """
    since_ns, until_ns = query.since_ns or 0, query.until_ns or 0
    query = Query(query.expression, since_ns, until_ns)
    by_value = [Grouping((SHORT.get(name, name),)) for name in facets]
    counted = counted_by(store, query, [_over_time(since_ns, until_ns, max_bars), *by_value])
    left = frozenset(name for name, groups in zip((TIME, *facets), counted, strict=True) if groups is None)
    read = find_newest(store, query, most) if left else Newest([], since_ns)
    since_ns = read.since_ns if TIME in left else since_ns
    over_time = _over_time(since_ns, until_ns, max_bars)
    groupings = zip([over_time, *by_value], counted, strict=True)
    others = iter(group_events(read.events, [grouping for grouping, groups in groupings if groups is None]))
    bars, *values = [next(others) if groups is None else groups for groups in counted]
    found = {name: _commonest(groups, name) for name, groups in zip(facets, values, strict=True)}
    return Summary(over_time.step_ns, tuple(_bars(bars, since_ns, until_ns, over_time.step_ns)), found, read, left)


def _over_time(since_ns: int, until_ns: int, max_bars: int) -> Grouping:
    return Grouping(("log.level",), choose_step(since_ns, until_ns, max_bars))


def choose_step(since_ns: int, until_ns: int, max_bars: int = MAX_BARS) -> int:
    """Return the shortest usual step, in nanoseconds, of which so many are enough for a period."""
    return next((step_ns for step_ns in STEPS_NS if until_ns - since_ns <= step_ns * max_bars), STEPS_NS[-1])


def label_names(events: Iterable[Event]) -> list[str]:
    """Return the names of the labels of some events, the commonest first."""
    counts = Counter(name for event in events for name in event.labels)
    return [name for name, _ in counts.most_common()]


def _bars(groups: Groups, since_ns: int, until_ns: int, step_ns: int) -> Iterable[Bar]:
    levels: dict[int, Counter[str]] = {}
    for key, group in groups.items():
        levels.setdefault(key.start_ns, Counter())[_level(key.values[0])] += group.count
    for start_ns in range(since_ns // step_ns * step_ns, until_ns, step_ns):
        yield Bar(start_ns, levels.get(start_ns, {}))


def _level(text: str) -> str:
    return text.lower() or "info"


def _commonest(groups: Groups, name: str) -> tuple[tuple[str, int], ...]:
    counts: Counter[str] = Counter()
    for key, group in groups.items():
        counts[_level(key.values[0]) if name == "level" else key.values[0]] += group.count
    return tuple(sorted(counts.items(), key=lambda value: (-value[1], value[0]))[:MAX_VALUES])
