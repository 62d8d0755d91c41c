"""Two stories side by side."""

import pytest

from dashcam.event import Event, format_time
from dashcam.show.comparison import as_json, compare, draw_comparison, find_partner
from dashcam.show.story import build_story

from . import events
from .shelf import Shelf


def rows(first, second):
    return {
        pair.node.title.split("\n")[0][:20]: pair.marks for pair in compare(build_story(first), build_story(second))
    }


def test_a_story_is_like_itself():
    """Also where every id is another."""
    again = [Event(event.fields | {"trace": {"id": "d" * 32}}) for event in events.created()]

    assert set(rows(events.created(), again).values()) == {()}


def test_what_is_missing_and_added_is_marked():
    """The good order committed, the failed one logged an error; each row stands at its place."""
    marks = rows(events.created(), events.failed())

    assert marks["COMMIT"] == ("missing",)
    assert marks["parts could not be m"] == ("added",)
    assert marks["POST /parts"] == ("failed", "values")
    assert list(marks)[:3] == ["POST /cars", "creating a car", "INSERT INTO cars (id"]


def crowd(names):
    """A request with thousands of queries, most of them the same."""
    service = events.Service("cars", [])
    service.server(0, 90_000, "GET /", 200, events.ROOT)
    for number, name in enumerate(names):
        service.query(1 + number, 0.1, name, f"{number + 99:016x}", parent=events.ROOT)
    return build_story(service.events)


def test_thousands_of_equal_siblings():
    """What both begin and end with is the same; between, the nth of a name is that of the other story."""
    names = ["SELECT 1", "SELECT b"] * 500
    first = crowd([*names, "BEGIN", *names])
    second = crowd([*names, "SELECT 1", "COMMIT", "SELECT b", *names])

    found = [(pair.node.title, pair.marks) for pair in compare(first, second) if pair.marks]

    assert found == [
        ("BEGIN", ("missing",)),
        ("SELECT 1", ("added",)),
        ("COMMIT", ("added",)),
        ("SELECT b", ("added",)),
    ]


def test_equal_siblings_that_are_moved():
    """The most pairs in order are matched, each row once."""
    first, second = crowd(["a", *["b"] * 600, "c"]), crowd(["c", *["b"] * 600, "a"])

    found = [pair.marks for pair in compare(first, second)]

    assert (len(found), found.count(()), found.count(("missing",)), found.count(("added",))) == (605, 601, 2, 2)


def test_times_are_held_against_each_other():
    """By half as much again, and by at least a millisecond."""
    one, two = events.Service("cars", []), events.Service("cars", [])
    one.server(0, 10, "GET /", 200, events.ROOT)
    two.server(0, 16, "GET /", 200, events.ROOT)
    one.query(1, 0.1, "SELECT 1", "1" * 16, parent=events.ROOT)
    two.query(1, 0.9, "SELECT 1", "1" * 16, parent=events.ROOT)

    assert rows(one.events, two.events) == {"GET /": ("slower",), "SELECT 1": ()}
    assert rows(two.events, one.events) == {"GET /": ("faster",), "SELECT 1": ()}


def test_values_that_differ_are_named():
    """Labels, and what an answer or an error said."""
    good, failed = build_story(events.created()), build_story(events.failed())
    pair = compare(good, failed)[0]

    assert as_json(pair)["values"] == [
        {"field": "http.response.status_code", "first": "201", "second": "502"},
        {"field": "car_id", "first": events.CAR_ID, "second": ""},
    ]
    assert as_json(pair)["durations_ns"] == [42_300_000, 28_900_000]
    lines = list(draw_comparison(good, failed, [pair]))
    assert lines[:2] == [
        f"left   {events.REQUEST_ID}  success  42.3 ms  2026-11-24T01:35:46.123000Z",
        f"right  {events.REQUEST_ID}  failure  28.9 ms  2026-11-24T01:35:46.123000Z",
    ]
    assert lines[3] == "!  42.3 ms   28.9 ms  cars  POST /cars  (failed)"
    assert lines[4].strip() == "http.response.status_code: 201 -> 502"


def moved(story, request_id, minutes):
    """The same story at another time, under ids of its own."""
    found = []
    for event in story:
        http = event.fields["http"] | {"request": event.fields["http"]["request"] | {"id": request_id}}
        ids = {"http": http, "trace": {"id": request_id[0] * 32}}
        ids["event"] = event.fields["event"] | {"id": f"{request_id}-{event.id}"}
        found.append(Event(event.fields | ids | {"@timestamp": format_time(event.time_ns + minutes * 60 * 10**9)}))
    return found


@pytest.mark.parametrize(
    ("kept", "partner"),
    [
        ([("good", 1), ("best", 2), ("late", 20)], "best"),
        ([("late", 20)], "late"),
        ([], None),
    ],
)
def test_a_failed_story_gets_a_good_one(kept, partner):
    """Of the same route: the newest before, else the first after."""
    failed = moved(events.failed(), "failed", 10)
    store = Shelf([*failed, *(event for name, minutes in kept for event in moved(events.created(), name, minutes))])

    assert find_partner(store, build_story(failed)) == partner


def test_a_good_story_gets_a_failed_one():
    """An aborted one is, too."""
    good = moved(events.created(), "good", 10)
    cars = events.Service("cars", [], request_id="dead")
    cars.aborted(10, 10, "POST /cars", events.ROOT)

    assert find_partner(Shelf([*good, *cars.events]), build_story(good)) == "dead"


def test_a_deep_story_is_compared():
    """Nothing recurses."""
    cars = events.Service("cars", [])
    for number in range(3000):
        cars.query(number, 1, "SELECT 1", f"{number + 1:016x}", parent=f"{number:016x}")

    assert len(compare(build_story(cars.events), build_story(cars.events))) >= 3000
