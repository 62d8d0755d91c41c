"""From any id to all events of its story."""

import pytest

from dashcam.event import Event
from dashcam.find.query import Query
from dashcam.find.related import FEW_HITS, MAX_HITS, find_related_events
from dashcam.testing.sample import events


class _List:
    """A store that holds a list of events and asks each."""

    def __init__(self, held: list[Event]) -> None:
        self._held = held
        self.given = 0

    def find(self, query: Query):
        hits = [event for event in self._held if query.matches(event)][-query.limit :]
        self.given += len(hits)
        yield from hits

    def close(self):
        """Hold on."""


EVENTS = events()
STORY = [event for event in EVENTS if event.get("http.request.id") == "req-0003"]


@pytest.mark.parametrize(
    "text",
    [
        "req-0003",
        STORY[0].get("trace.id"),
        STORY[0].get("trace.id").upper(),
        STORY[5].id,
        *sorted({event.get("span.id") for event in STORY}),
    ],
)
def test_any_id_gives_the_whole_story(text):
    """A request ID, a trace id and every span id lead to the same events."""
    assert find_related_events(_List(EVENTS), text) == STORY


def test_a_label_gives_the_stories_it_is_in():
    """All events of all requests that bore the label, and those that bore it outside of any."""
    borne = [event for event in EVENTS if 6 in event.labels.values() and "car_id" in event.labels]
    requests = {event.get("http.request.id") for event in borne}

    found = find_related_events(_List(EVENTS), "car_id=6")

    assert len(requests) > 1
    assert found == [event for event in EVENTS if event.get("http.request.id") in requests]


def test_a_request_id_of_several_traces_gives_them_all():
    """A caller may send an ID twice; the events without it, but of those traces, belong to it too."""
    of_trace = [
        Event({"@timestamp": f"2026-11-24T00:00:0{second}Z", "event": {"id": f"e-{second}"}, **fields})
        for second, fields in enumerate(
            [
                {"trace": {"id": "a"}, "http": {"request": {"id": "same"}}},
                {"trace": {"id": "b"}, "http": {"request": {"id": "same"}}},
                {"trace": {"id": "b"}},
                {"trace": {"id": "c"}},
                {"http": {"request": {"id": "same"}}},
            ]
        )
    ]

    found = find_related_events(_List(of_trace), "same")

    assert [event.id for event in found] == ["e-0", "e-1", "e-2", "e-4"]


def test_a_trace_leads_on_by_the_request_id():
    """Where the trace was lost on the way, the request ID ties the events together."""
    ties = [{"trace": {"id": "a"}, "http": {"request": {"id": "r"}}}, {"http": {"request": {"id": "r"}}}]
    torn = [
        Event({"@timestamp": "2026-11-24T00:00:00Z", "event": {"id": f"e-{n}"}, **tie}) for n, tie in enumerate(ties)
    ]

    assert find_related_events(_List(torn), "a") == torn


def test_a_lost_id_is_found_by_way_of_the_others():
    """A trace leads to a request ID, that one to a trace that has none of the ID asked for, and this to all of it."""
    ties = [
        {"span": {"id": "s"}, "trace": {"id": "a"}},
        {"trace": {"id": "a"}, "http": {"request": {"id": "r"}}},
        {"trace": {"id": "b"}, "http": {"request": {"id": "r"}}},
        {"trace": {"id": "b"}},
    ]
    torn = [
        Event({"@timestamp": "2026-11-24T00:00:00Z", "event": {"id": f"e-{n}"}, **tie}) for n, tie in enumerate(ties)
    ]

    assert find_related_events(_List(torn), "s") == torn


def test_a_request_id_may_look_like_a_label():
    """The sign = is allowed in a request ID."""
    event = Event({"@timestamp": "2026-11-24T00:00:00Z", "event": {"id": "e"}, "http": {"request": {"id": "a=b="}}})

    assert find_related_events(_List([event]), "a=b=") == [event]


def test_more_ids_than_are_asked_for_at_once():
    """A label of many requests gives all their stories."""
    many = [
        Event({"@timestamp": "2026-11-24T00:00:00Z", "event": {"id": f"e-{n:03}"}, "trace": {"id": f"{n}"}, **labels})
        for n in range(250)
        for labels in [{"labels": {"x": 1}}]
    ]

    assert find_related_events(_List(many), "x=1") == many


@pytest.mark.parametrize("text", ["req-0003", STORY[0].get("trace.id"), STORY[0].get("span.id"), "car_id=6"])
def test_each_event_is_fetched_once(text):
    """What an answer held is left out of the next question."""
    store = _List(EVENTS)

    story = find_related_events(store, text)

    assert store.given == len(story)


def _long_story(count):
    return [
        Event({"@timestamp": "2026-11-24T00:00:00Z", "event": {"id": f"e-{n:04}"}, "trace": {"id": "a"}} | more)
        for n in range(count)
        for more in [{"labels": {"x": 1}, "http": {"request": {"id": f"r-{n % 2}"}}}]
    ]


@pytest.mark.parametrize(("text", "twice"), [("a", FEW_HITS), ("r-1", FEW_HITS), ("x=1", MAX_HITS)])
def test_a_long_story_is_fetched_once_but_for_a_look_at_it(text, twice):
    """The newest events say what ties it together; then all of it is asked for."""
    held = _long_story(2 * MAX_HITS)
    store = _List(held)

    assert find_related_events(store, text) == held
    assert store.given == len(held) + twice


@pytest.mark.parametrize("text", ["nosuchid", "", "=", "car_id=nosuch", "=7"])
def test_an_unknown_id_gives_nothing(text):
    """No events, no error."""
    assert find_related_events(_List(EVENTS), text) == []
