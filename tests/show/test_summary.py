"""A search as a whole: its histogram by level, and its facets."""

import pytest

from dashcam.event import NS_PER_S
from dashcam.find.aggregation import group_events
from dashcam.find.query import MatchAll, Query, Term
from dashcam.show.summary import MAX_BARS, choose_step, label_names, summarize

from . import events

SINCE_NS, UNTIL_NS = events.START_NS - 5_000_000, events.START_NS + 55_000_000


class Shelf:
    """A store of some events, which are read."""

    def __init__(self, kept):
        self.kept = kept

    def find(self, query):
        found = [event for event in self.kept if query.matches(event)]
        return iter(found[-query.limit :] if query.limit else found)

    def close(self):
        pass


def test_bars_count_events_by_level():
    """Of steps that follow each other from the beginning to the end of the period, empty ones too."""
    found = summarize(Shelf(events.failed()), Query(MatchAll(), SINCE_NS, UNTIL_NS), max_bars=7)

    assert found.step_ns == 10_000_000
    assert [bar.start_ns - events.START_NS for bar in found.bars] == [
        1000 * us for us in range(-13_000, 57_000, 10_000)
    ]
    assert [bar.levels for bar in found.bars if bar.count] == [
        {"error": 2, "info": 2},
        {"error": 2},
        {"warning": 1},
    ]
    assert found.count == len(events.failed())


def test_facets_count_values():
    """The commonest first, by their short names, labels too; nothing is a value of its own."""
    query = Query(Term("service.name", "parts"), SINCE_NS, UNTIL_NS)

    found = summarize(Shelf(events.created()), query, ("service", "status", "labels.count"))

    assert found.facets == {
        "service": (("parts", 4),),
        "status": (("", 3), ("201", 1)),
        "labels.count": (("", 3), ("6", 1)),
    }


class Counting(Shelf):
    """A store that counts all but labels."""

    def aggregate(self, query, groupings):
        found = filter(query.matches, self.kept)
        groups = group_events(found, groupings)
        return [
            None if grouping.fields[0].startswith("labels.") else one
            for grouping, one in zip(groupings, groups, strict=True)
        ]


def test_too_many_events_to_read_are_of_a_shorter_time():
    """The bars begin with the oldest of them, and what was left out is said."""
    kept = sorted(events.failed(), key=lambda event: event.time_ns)
    query = Query(MatchAll(), SINCE_NS, UNTIL_NS)

    found = summarize(Shelf(kept), query, ("service",), most=3)

    assert found.is_cut()
    assert found.is_cut("service")
    assert found.count == sum(count for _, count in found.facets["service"]) == len([*found.read.events]) <= 3
    assert found.bars[0].start_ns <= found.read.since_ns < found.bars[0].start_ns + found.step_ns
    assert not summarize(Shelf(kept), query, ("service",), most=len(kept)).is_cut()


def test_only_what_the_store_does_not_count_is_cut():
    """The other parts have all events."""
    kept = sorted(events.created(), key=lambda event: event.time_ns)

    found = summarize(Counting(kept), Query(MatchAll(), SINCE_NS, UNTIL_NS), ("service", "labels.count"), most=3)

    assert found.count == sum(count for _, count in found.facets["service"]) == len(kept)
    assert sum(count for _, count in found.facets["labels.count"]) <= 3
    assert [found.is_cut(part) for part in ("time", "service", "labels.count")] == [False, False, True]


@pytest.mark.parametrize(
    ("seconds", "step_s"), [(0.06, 0.001), (60, 1), (3600, 60), (86_400, 1800), (7 * 86_400, 10_800)]
)
def test_a_step_is_a_usual_one(seconds, step_s):
    """The shortest with no more than so many bars."""
    assert choose_step(0, int(seconds * NS_PER_S), MAX_BARS) == step_s * NS_PER_S


def test_labels_are_offered_by_how_common_they_are():
    """Of the events at hand."""
    assert label_names(events.created()) == ["car_id", "name", "kinds", "count", "parts"]
