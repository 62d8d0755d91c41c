"""What each expression means, on one event."""

import pytest

from dashcam.event import Event, parse_time
from dashcam.find.query import All, Any, Between, Equals, Everything, Exists, Matches, Not, Query, Words

EVENT = Event(
    {
        "@timestamp": "2026-11-24T01:35:46.123456Z",
        "log.level": "error",
        "message": "Parts timed out",
        "labels": {"car_id": 7, "name": "VW Golf", "empty": "", "none": None, "tags": ["a", "b"], "ok": True},
        "http": {"response": {"status_code": 503}, "request": {"method": "POST"}},
        "event": {"id": "s-00000001", "duration": 250_000_000},
        "error": {"type": "requests.exceptions.ReadTimeout", "stack_trace": "File parts.py, line 9"},
    }
)
TIME_NS = parse_time("2026-11-24T01:35:46.123456Z")


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        (Everything(), True),
        (Words("timed out"), True),
        (Words("parts readtimeout"), False),
        (Words("ReadTimeout"), True),
        (Words("line 9"), True),
        (Words("golf"), False),
        (Words("golf", field="labels.name"), True),
        (Words("line", field="message"), False),
        (Words("tim", prefix=True), True),
        (Words("?!"), False),
        (Equals("log.level", "error"), True),
        (Equals("log.level", "Error"), False),
        (Equals("labels.car_id", "7"), True),
        (Equals("labels.ok", "true"), True),
        (Equals("labels.tags", "b"), True),
        (Equals("labels.name", "VW"), False),
        (Equals("labels", "7"), False),
        (Matches("labels.name", "VW*"), True),
        (Matches("http.response.status_code", "5??"), True),
        (Matches("labels.none", "*"), False),
        (Between("event.duration", low=250_000_000), True),
        (Between("event.duration", low=250_000_000, low_inclusive=False), False),
        (Between("http.response.status_code", 500, 599), True),
        (Between("http.response.status_code", high=503, high_inclusive=False), False),
        (Between("labels.name", 0), False),
        (Between("labels.ok"), False),
        (Exists("labels.empty"), True),
        (Exists("labels.none"), False),
        (Exists("labels"), False),
        (All((Words("parts"), Equals("http.request.method", "POST"))), True),
        (All((Words("parts"), Equals("http.request.method", "GET"))), False),
        (Any((Words("cars"), Equals("http.request.method", "POST"))), True),
        (All(()), True),
        (Any(()), False),
        (Not(Words("parts")), False),
        (Not(Exists("labels.none")), True),
    ],
)
def test_meaning(expression, matches):
    """Each expression matches what its docstring says."""
    assert expression.matches(EVENT) is matches


@pytest.mark.parametrize(
    ("since_ns", "until_ns", "matches"),
    [
        (None, None, True),
        (TIME_NS, TIME_NS + 1, True),
        (TIME_NS + 1, None, False),
        (None, TIME_NS, False),
    ],
)
def test_span_of_time(since_ns, until_ns, matches):
    """The first moment is in, the last is not."""
    assert Query(Words("parts"), since_ns=since_ns, until_ns=until_ns).matches(EVENT) is matches
