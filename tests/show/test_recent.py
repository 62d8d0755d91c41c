"""Requests, by the spans that served them."""

from dashcam.show.recent import ERRORS, SERVED, summarize

from . import events


def summary(some):
    return [
        (request.id, request.outcome, request.services, request.errors)
        for request in summarize(filter(SERVED.matches, some), list(filter(ERRORS.matches, some)))
    ]


def test_a_request_is_told_by_the_span_that_answered_the_caller():
    """The other services' spans tell who took part."""
    assert summary(events.created()) == [(events.REQUEST_ID, "success", ("cars", "parts"), 0)]


def test_a_failure_counts_its_errors():
    """Of every service: spans that failed, and log entries of an error."""
    assert summary(events.failed()) == [(events.REQUEST_ID, "failure", ("cars", "parts"), 5)]


def test_more_errors_than_are_counted_are_unknown():
    """The newest are counted; a request from before the oldest of them may have more."""
    spans = list(filter(SERVED.matches, events.failed()))

    assert [request.errors for request in summarize(spans, [], events.START_NS + 60 * 10**9)] == [None]


def test_an_aborted_request_began_as_long_ago_as_its_age_says():
    """Its report came at the end."""
    cars = events.Service("cars", [])
    cars.aborted(500, 480, "POST /cars", events.ROOT)
    (request,) = summarize(cars.events)

    assert (request.outcome, request.began_ns) == ("aborted", events.START_NS + 20_000_000)


def test_a_request_with_an_unknown_end_is_listed():
    """It is found among the served ones, as neither well nor failed."""
    cars = events.Service("cars", [])
    cars.aborted(500, 480, "POST /cars", events.ROOT, action="request-unknown", outcome="unknown")
    assert SERVED.matches(cars.events[0])
    (request,) = summarize(cars.events)

    assert (request.outcome, request.began_ns) == ("unknown", events.START_NS + 20_000_000)


def test_the_newest_comes_first():
    """As a person looks for it."""
    assert [request.id for request in summarize(newest_last())] == ["later", "sooner"]


def test_a_call_is_no_request():
    """A script that calls a service and records it begins the trace, and serves nobody."""
    script = events.Service("script", [])
    script.client(0, 50, "GET http://cars/cars", 200, events.CALL, parent="")
    script.events[0].fields["processor"]["event"] = "transaction"

    assert summary(script.events) == []


def newest_last():
    some = []
    events.Service("cars", some, request_id="sooner").server(0, 1, "GET /cars", 200, events.ROOT)
    events.Service("cars", some, request_id="later").server(9, 1, "GET /cars", 200, events.ROOT)
    return some
