"""Groups of errors: what falls together, since when, where, and whether a deployment brought it."""

from dashcam.event import NS_PER_S, Event
from dashcam.find.query import MatchAll
from dashcam.show.errors import (
    ERROR_LINES,
    ErrorGroup,
    as_json,
    draw_errors,
    find_errors,
    find_newest_errors,
    group_errors,
    sparkline,
)

from . import events
from .shelf import Shelf

HOUR_NS = 3600 * 10**9
SINCE_NS, UNTIL_NS = events.START_NS - HOUR_NS, events.START_NS + HOUR_NS


def orders(count, *, version="1.0.0", first=0, segment="a"):
    """Failed orders, a minute apart."""
    found = []
    for number in range(first, first + count):
        for event in events.failed():
            shift_ns = number * 60 * 10**9
            fields = event.fields | {"service": event.fields["service"] | {"version": version}}
            fields["@timestamp"] = events.format_time(event.time_ns + shift_ns)
            fields["event"] = event.fields["event"] | {"id": f"{segment}{number}-{event.id}"}
            fields["trace"] = {"id": f"{number:032x}"}
            if fields.get("error"):
                fields["error"] = fields["error"] | {"message": f'order {number}: "x{number}" is refused'}
            found.append(Event(fields))
    return found


def test_too_many_errors_are_of_a_shorter_time():
    """The newest of them, and what was left out is said."""
    found = find_newest_errors(Shelf(orders(5)), MatchAll(), SINCE_NS, UNTIL_NS, 3)

    assert sum(group.count for group in found.groups) <= 3
    assert found.cut_ns is not None
    assert min(group.first_ns for group in found.groups) >= found.cut_ns
    assert find_newest_errors(Shelf(orders(5)), MatchAll(), SINCE_NS, UNTIL_NS, 99).cut_ns is None


def test_errors_fall_together_whatever_their_values():
    """One group with its count, its ends, its newest story, and the route that the request had."""
    (group,) = find_errors(Shelf(orders(3)), MatchAll(), SINCE_NS, UNTIL_NS)

    assert (group.service, group.type, group.place, group.line) == (
        "parts",
        "psycopg2.errors.CheckViolation",
        "parts/store.py insert",
        34,
    )
    assert (group.pattern, group.message) == ("order <n>: '…' is refused", 'order 2: "x2" is refused')
    assert (group.count, group.last_ns - group.first_ns) == (3, 120 * 10**9)
    assert group.story == events.REQUEST_ID
    assert group.routes == ("POST /parts",)
    assert sum(group.trend) == 3


def test_spans_and_quiet_warnings_are_no_errors():
    """A failed span tells the same failure once more; a warning with an exception is one."""
    lines = [event for event in events.failed() if ERROR_LINES.matches(event)]
    assert [event.get("message") for event in lines] == ["parts could not be made"]

    noted = Event(lines[0].fields | {"log.level": "warning"})
    assert ERROR_LINES.matches(noted)


def test_what_a_deployment_brought_is_new():
    """An error that the version before had is not; without a version before nothing is new."""
    old = orders(2, version="1.0.0")
    assert [group.is_new for group in find_errors(Shelf(old), MatchAll(), SINCE_NS, UNTIL_NS)] == [False]

    later = orders(2, version="1.1.0", first=20, segment="b")
    other = [
        Event(event.fields | {"error": {"type": "KeyError", "message": "body"}} if event.get("error") else event.fields)
        for event in orders(1, version="1.1.0", first=25, segment="c")
    ]
    groups = find_errors(Shelf([*old, *later, *other]), MatchAll(), SINCE_NS, UNTIL_NS)

    assert {group.type: group.is_new for group in groups} == {
        "psycopg2.errors.CheckViolation": False,
        "KeyError": True,
    }


def test_a_trend_has_a_direction():
    """Twice as many in the later half, of at least five."""
    trends = {"steady": [2, 2, 2, 2], "rising": [0, 1, 2, 3], "falling": [5, 5, 1, 0]}

    assert {name: ErrorGroup("", "", "", "", trend).direction for name, trend in trends.items()} == {
        name: name for name in trends
    }
    assert ErrorGroup("", "", "", "", [0, 4]).direction == "steady"
    assert sparkline([0, 1, 4, 8]) == " ▁▄█"


def test_json_has_the_names_of_events():
    """And an example's request ID."""
    (group,) = group_errors(filter(ERROR_LINES.matches, orders(1)), SINCE_NS, UNTIL_NS)
    row = as_json(group)

    assert {name: row[name] for name in ("service.name", "error.type", "count", "http.request.id", "first")} == {
        "service.name": "parts",
        "error.type": "psycopg2.errors.CheckViolation",
        "count": 1,
        "http.request.id": events.REQUEST_ID,
        "first": "2026-11-24T01:35:46.135500Z",
    }


def test_a_group_is_drawn_in_three_lines():
    """The error, its place, its ages and its story."""
    (group,) = find_errors(Shelf(orders(2)), MatchAll(), SINCE_NS, UNTIL_NS)
    group.is_new = True

    drawn = list(draw_errors([group], group.last_ns + 90 * NS_PER_S))

    trend = f"{'█':>13}".ljust(24)
    error = 'psycopg2.errors.CheckViolation: order 1: "x1" is refused'
    assert drawn == [
        f"     2  {trend}  steady   {error}  new since the last deployment",
        "        parts parts/store.py insert:34, POST /parts",
        f"        first 2m 30s ago, last 1m 30s ago, newest story {events.REQUEST_ID}",
    ]
