"""What each expression means, on one event."""

import pytest

from dashcam.event import Event, parse_time
from dashcam.find.query import And, Exists, MatchAll, Not, Or, Phrase, Query, Range, Term, Wildcard

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
        (MatchAll(), True),
        (Phrase("timed out"), True),
        (Phrase("parts readtimeout"), False),
        (Phrase("ReadTimeout"), True),
        (Phrase("line 9"), True),
        (Phrase("golf"), True),
        (Phrase("golf vw"), False),
        (Phrase("golf", field="labels.name"), True),
        (Phrase("line", field="message"), False),
        (Phrase("tim", prefix=True), True),
        (Phrase("?!"), False),
        (Term("log.level", "error"), True),
        (Term("log.level", "Error"), False),
        (Term("labels.car_id", "7"), True),
        (Term("labels.ok", "true"), True),
        (Term("labels.tags", "b"), True),
        (Term("labels.name", "VW"), False),
        (Term("labels", "7"), False),
        (Wildcard("labels.name", "VW*"), True),
        (Wildcard("http.response.status_code", "5??"), True),
        (Wildcard("labels.none", "*"), False),
        (Range("event.duration", low=250_000_000), True),
        (Range("event.duration", low=250_000_000, low_inclusive=False), False),
        (Range("http.response.status_code", 500, 599), True),
        (Range("http.response.status_code", high=503, high_inclusive=False), False),
        (Range("labels.name", 0), False),
        (Range("labels.ok"), False),
        (Exists("labels.empty"), True),
        (Exists("labels.none"), False),
        (Exists("labels"), False),
        (And((Phrase("parts"), Term("http.request.method", "POST"))), True),
        (And((Phrase("parts"), Term("http.request.method", "GET"))), False),
        (Or((Phrase("cars"), Term("http.request.method", "POST"))), True),
        (And(()), True),
        (Or(()), False),
        (Not(Phrase("parts")), False),
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
    assert Query(Phrase("parts"), since_ns=since_ns, until_ns=until_ns).matches(EVENT) is matches
