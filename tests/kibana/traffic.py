"""Half an hour of two services: requests of several kinds, failures, an abort, drops, dead letters; always the same."""

import random
from functools import cache
from itertools import count

import orjson

from dashcam.event import EncodedEvent, Event, format_time
from tests.show.events import START_NS, Service

MINUTES = 30
SLOW, REFUSED, KILLED = 120, 200, 280
"""Requests that can be looked at: a slow one, one that fails in the database, one whose process dies."""


class Request:
    """One request's services and span ids, at its place in the half hour."""

    def __init__(self, number, events, rng):
        self.at_ms = number * MINUTES * 60_000 / 400 + rng.uniform(0, 2000)
        self.rng = rng
        self.trace_id = f"{number + 1:032x}"
        self.request_id = f"0193a1b2-c3d4-7e5f-8601-{number:012x}"
        self._spans = count(number * 100 + 1)
        kept = {"request_id": self.request_id, "trace_id": self.trace_id}
        self.cars = Service("cars", events, segment=f"{number:024x}", **kept)
        self.parts = Service("parts", events, segment=f"{number + 4096:024x}", **kept)

    def span(self):
        return f"{next(self._spans):016x}"

    def spread(self, around_ms):
        return around_ms * self.rng.lognormvariate(0, 0.35)


def create(request, *, slow=1.0, fails=False, dies=False):
    """POST /cars: cars asks parts, both write."""
    cars, parts, at = request.cars, request.parts, request.at_ms
    root, insert, call, served, rows, commit = (request.span() for _ in range(6))
    write_ms, work_ms = request.spread(2), request.spread(18) * slow
    cars.line(at + 0.6, "creating a car", root, name="VW Golf")
    cars.query(at + 1, write_ms, "INSERT INTO cars (id, name) VALUES (%s, %s)", insert, parent=root)
    asked = at + 2 + write_ms
    parts.line(asked + 2, "parts wanted", served, kinds=["engine", "wheel"])
    end = asked + 5 + work_ms
    if dies:
        parts.aborted(end, work_ms + 3, "POST /parts", served, parent=call)
    else:
        parts.query(asked + 3, work_ms, "INSERT INTO parts (id, car_id, kind) VALUES %s", rows, parent=served,
                    outcome="failure" if fails else "success")  # fmt: skip
        if fails:
            parts.line(end - 1, "parts could not be made", served, level="error",
                       error={"type": "CheckViolation", "message": "parts_kind_known"})  # fmt: skip
        parts.server(asked + 1.5, work_ms + 4, "POST /parts", 500 if fails else 201, served, parent=call)
    status = 0 if dies else 500 if fails else 201
    cars.client(asked, work_ms + 7, "POST http://parts:8000/parts", status, call, parent=root)
    end = asked + work_ms + 8
    if fails or dies:
        cars.line(end, "the car is taken back", root, level="warning")
    else:
        cars.query(end, 3, "COMMIT", commit, parent=root)
        cars.line(end + 3.2, "car created", root, parts=6)
    cars.server(at, end + 4 - at, "POST /cars", 503 if fails or dies else 201, root)


def list_(request):
    """GET /cars."""
    root, select, took_ms = request.span(), request.span(), request.spread(5)
    request.cars.query(request.at_ms + 0.5, took_ms, "SELECT id, name FROM cars LIMIT %s", select, parent=root)
    request.cars.server(request.at_ms, took_ms + 1.2, "GET /cars", 200, root)


@cache
def lines(count_=400):
    """The events of all requests as fluentd has them: with `event.ingested`, a second or so after they happened."""
    rng, events = random.Random(7), []
    for number in range(count_):
        request = Request(number, events, rng)
        if number in {SLOW, REFUSED, KILLED} or number % 3 == 0:
            create(request, slow=14 if number == SLOW else 1, fails=number == REFUSED or number % 57 == 0,
                   dies=number == KILLED)  # fmt: skip
        else:
            list_(request)
    events += [_dropped(), _mended(), _kept(), *_without_route()]
    return [_ingested(event, rng) for event in events]


def _dropped():
    events = []
    service = Service("parts", events, trace_id="", segment="d" * 24)
    service.line(
        600_000, "17 events dropped: 12 by limit, 5 by disk", "", level="error", dropped_limit=12, dropped_disk=5
    )
    events[0].fields["event"]["action"] = "events-dropped"
    return events[0]


def _without_route():
    """A job, and a request that took no route."""
    events = []
    service = Service("cars", events, trace_id="f" * 32, segment="f" * 24)
    service.server(900_000, 40, "GET /favicon.ico", 404, f"{1:016x}")
    del events[0].fields["http"]["route"]
    service.server(910_000, 300, "nightly import", 200, f"{2:016x}")
    del events[1].fields["http"], events[1].fields["url"]
    events[1].fields["transaction"] |= {"name": "nightly import", "type": "job"}
    return events


def _kept():
    events = []
    Service("parts", events, trace_id="", segment="9" * 24).line(800_000, "request kept: 5xx", "")
    events[0].fields["event"] |= {"action": "request-kept", "reason": "5xx"}
    return events[0]


def _mended():
    events = []
    Service("cars", events, trace_id="", segment="e" * 24).line(
        700_000, "share counted", "", tags=["mended"], share="NaN"
    )
    return events[0]


def _ingested(event: Event, rng) -> EncodedEvent:
    delay_ns = int(rng.lognormvariate(-0.5, 0.6) * 1e9)
    event.fields["event"]["ingested"] = format_time(event.time_ns + delay_ns)
    if event.fields.get("error") == {}:
        del event.fields["error"]
    return EncodedEvent(event.id, event.is_span, event.to_json())


def dead_letters():
    """Notes as the configuration of fluentd makes them."""
    for number in range(4):
        note = {
            "@timestamp": format_time(START_NS + (300 + number * 97) * 10**9),
            "log.level": "error",
            "message": f'fluentd could not deliver event "{number:024x}-00000007"',
            "service": {"name": "cars"},
            "trace": {"id": f"{number + 1:032x}"},
            "event": {
                "kind": "pipeline_error",
                "dataset": "fluentd",
                "action": "dead-letter",
                "outcome": "failure",
                "id": f"{number:024x}-00000007-dead",
                "original": "{}",
            },
        }
        yield note["event"]["id"], orjson.dumps(note)
