"""Events in groups: counts, times in buckets, and what a store that counts has in common with one that is read."""

import random
from itertools import pairwise

import pytest

from dashcam.event import Event
from dashcam.find.aggregation import EDGES_NS, Durations, Grouping, Key, aggregate, bucket_of, group_events


def counted(times_ns):
    durations = Durations()
    for time_ns in times_ns:
        durations.add(time_ns)
    return durations


def test_a_bucket_is_a_fiftieth_wide():
    """Up to the longest time that fits 64 bits, and none overlaps another."""
    assert EDGES_NS[-1] >= 2**63 > EDGES_NS[-2]
    assert all(low < high and 50 * high <= max(50 * low + 50, 51 * low) for low, high in pairwise(EDGES_NS))
    assert [bucket_of(one) for one in (-5, 0, 1, EDGES_NS[700] - 1, EDGES_NS[700])] == [0, 0, 1, 699, 700]
    assert bucket_of(2**70) == len(EDGES_NS) - 2


@pytest.mark.parametrize("percent", [1, 50, 95, 99, 100])
def test_a_percentile_is_within_one_percent(percent):
    """Of the nearest rank among all times, whatever they are."""
    chance = random.Random(3)
    times_ns = [int(chance.lognormvariate(16, 2)) for _ in range(20_000)]
    exact_ns = sorted(times_ns)[max(0, -(-len(times_ns) * percent // 100) - 1)]

    assert abs(counted(times_ns).percentile_ns(percent) - exact_ns) <= exact_ns / 100


def test_a_time_that_is_alone_is_exact():
    """So are the shortest and the longest where they are asked for, and times that are all the same."""
    assert counted([12_345_678]).percentile_ns(50) == 12_345_678
    assert counted([7_000_001] * 30).percentile_ns(99) == 7_000_001
    assert Durations().percentile_ns(50) is None


def test_periods_add_up():
    """What two have counted is what one would have."""
    both = counted([1_000, 2_000])
    both.merge(counted([500, 9_000_000]))

    assert both == counted([9_000_000, 500, 1_000, 2_000])


def event(at_s=0, **fields):
    return Event({"@timestamp": f"2026-11-24T00:00:{at_s:02}Z", **fields})


def test_a_key_has_the_values_and_the_step():
    """An event with several values is in several groups, one without is in the empty one."""
    events = [
        event(1, service={"name": "cars"}, tags=["cut", "mended"]),
        event(12, service={"name": "cars"}, tags=["cut", "cut"]),
        event(13, labels={"n": 7}),
    ]
    start_ns = event().time_ns

    (by_tag, over_time) = group_events(events, [Grouping(("service.name", "tags")), Grouping((), 10**10)])
    assert {key.values: group.count for key, group in by_tag.items()} == {
        ("cars", "cut"): 2,
        ("cars", "mended"): 1,
        ("", ""): 1,
    }
    assert {key: group.count for key, group in over_time.items()} == {
        Key((), start_ns): 1,
        Key((), start_ns + 10**10): 2,
    }


def test_only_numbers_are_times():
    """A duration that is absent or a text is none, which a percentile leaves out."""
    events = [event(event={"duration": took}) for took in (5, "7", None)]

    (groups,) = group_events(events, [Grouping(("log.level",), is_timed=True)])

    assert groups[Key(("",))].count == 3
    assert groups[Key(("",))].durations == counted([5])


class Counts:
    """A store that can count by service and nothing else."""

    def __init__(self):
        self.read = 0

    def find(self, query):
        self.read += 1
        return iter([event(service={"name": "read"})])

    def close(self):
        pass

    def aggregate(self, query, groupings):
        (counted,) = group_events([event(service={"name": "counted"})], [Grouping(("service.name",))])
        return [None if grouping.step_ns else counted for grouping in groupings]


def test_what_a_store_cannot_count_is_read_once():
    """For all groupings together, in their order."""
    store = Counts()
    steps = [Grouping(("service.name",), step_ns) for step_ns in (10**9, 0, 10**10)]

    groups = aggregate(store, None, steps)

    assert [key.values for one in groups for key in one] == [("read",), ("counted",), ("read",)]
    assert store.read == 1
