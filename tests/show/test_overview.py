"""Requests by service and route, and what changed."""

from dashcam.event import Event
from dashcam.find.aggregation import Durations
from dashcam.show.overview import Change, Overview, RouteStats, as_json, changes, collect, draw_overview

from . import events


def times(*durations_ns):
    counted = Durations()
    for duration_ns in durations_ns:
        counted.add(duration_ns)
    return counted


def stats(route="/cars", *, ok=0, failed=0, took_ms=1):
    row = RouteStats("cars", route, ok + failed, failed, times(*[took_ms * 1_000_000] * (ok + failed)))
    return {("cars", route): row}


def test_requests_are_counted_by_service_and_route():
    """Of the failed order: one request of cars, one of parts, both failed."""
    rows = [(row.service, row.route, row.requests, row.failures) for row in collect(events.failed()).values()]

    assert sorted(rows) == [("cars", "/cars", 1, 1), ("parts", "/parts", 1, 1)]


def _served(**fields):
    return Event({"processor.event": "transaction", "span.kind": "server", "event.duration": 1, **fields})


def test_what_took_no_route_has_the_name_of_its_job_or_its_method():
    """A job and a task are no requests; of a request with no route the method is known, its path would be one each."""
    found = [
        _served(**{"service.name": "cars", "transaction.name": "nightly import", "transaction.type": "job"}),
        _served(**{"service.name": "cars", "transaction.name": "run/cars.repair", "span.kind": "consumer"}),
        _served(**{"service.name": "cars", "transaction.name": "GET /a", "http.request.method": "GET"}),
        _served(**{"service.name": "cars", "transaction.name": "GET /b", "http.request.method": "GET"}),
        _served(**{"service.name": "cars"}),
    ]

    rows = collect(found).values()

    assert [(row.name, row.requests) for row in rows] == [
        ("cars nightly import", 1),
        ("cars run/cars.repair", 1),
        ("cars GET (no known route)", 2),
        ("cars (no name)", 1),
    ]
    assert [row.fields[1:] for row in rows] == [
        (("route", ""), ("method", ""), ("transaction.name", "nightly import")),
        (("route", ""), ("method", ""), ("transaction.name", "run/cars.repair")),
        (("route", ""), ("method", "GET")),
        (("route", ""), ("method", ""), ("transaction.name", "")),
    ]


def test_a_job_may_be_named_like_a_route():
    """And like a row that lacks what it is named for: each is counted for itself."""
    cars = {"service.name": "cars"}
    names = ("/cars", "GET (no known route)", "(no name)")
    found = [_served(**cars, **{"transaction.name": name, "transaction.type": "job"}) for name in names]
    found += [_served(**cars, **{"http.route": "/cars"}), _served(**cars, **{"http.request.method": "GET"})]

    rows = collect([*found, _served(**cars)])

    assert [row.title for row in rows.values()] == [*names, *names]
    assert {row.requests for row in rows.values()} == {1}
    assert [(change.row.title, change.kind) for change in changes(rows, collect(found[:3]))] == [
        (name, "new") for name in sorted(names)
    ]


def test_an_aborted_request_is_a_failure_whose_time_is_not_known():
    """Unless its span arrived all the same."""
    cars = events.Service("cars", [])
    cars.aborted(10, 10, "POST /cars", events.ROOT)
    (row,) = collect(cars.events).values()
    assert (row.requests, row.failures, row.percentile_ns(50)) == (1, 1, None)

    cars.server(0, 12, "POST /cars", 201, events.ROOT)
    assert [(row.requests, row.failures) for row in collect(cars.events).values()] == [(1, 0)]


def test_what_changed_is_said():
    """A route that fails more, is slower, is new, is gone."""
    now = stats(ok=90, failed=10, took_ms=30) | stats("/new", ok=1)
    before = stats(ok=99, failed=1, took_ms=10) | stats("/old", ok=2)

    assert [(change.kind, change.text) for change in changes(now, before)] == [
        ("fails", "cars /cars fails more: 10.0%, before 1.0%"),
        ("slower", "cars /cars is slower: p95 30.0 ms, before 10.0 ms"),
        ("gone", "cars /old is gone: 2 requests before"),
        ("new", "cars /new is new: 1 request"),
    ]


def test_little_is_no_change():
    """Few failures, few requests, and a period before which nothing was recorded."""
    assert changes(stats(ok=5, failed=2, took_ms=90), stats(ok=5, took_ms=1)) == []
    assert changes(stats(ok=5), {}) == []


def test_a_table_and_json():
    """The same numbers in both."""
    rows = tuple(stats(ok=90, failed=10).values())
    change = Change("new", rows[0], "cars /cars is new: 100 requests, 10 failed")

    assert list(draw_overview(Overview(0, 50 * 10**9, rows, {}, (change,)))) == [
        "cars /cars is new: 100 requests, 10 failed",
        "service  route  requests      /s  failed      p50      p95      p99",
        "cars     /cars       100    2.00   10.0%  1.00 ms  1.00 ms  1.00 ms",
    ]
    assert as_json(rows[0]) == {
        "service.name": "cars",
        "http.route": "/cars",
        "http.request.method": "",
        "transaction.name": "",
        "requests": 100,
        "failures": 10,
        "p50": 1_000_000,
        "p95": 1_000_000,
        "p99": 1_000_000,
    }
