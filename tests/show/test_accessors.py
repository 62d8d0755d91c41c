"""An event is read without trust in it."""

import pytest

from dashcam.event import Event
from dashcam.show import accessors
from dashcam.show.accessors import format_duration, format_rate, format_share


@pytest.mark.parametrize(
    ("duration_ns", "spelled"),
    [
        (0, "0 µs"),
        (850_000, "850 µs"),
        (999_600, "1.00 ms"),
        (1_234_567, "1.23 ms"),
        (42_300_000, "42.3 ms"),
        (999_400_000, "999 ms"),
        (999_900_000, "1.00 s"),
        (59_940_000_000, "59.9 s"),
        (59_960_000_000, "1m 00s"),
        (123_000_000_000, "2m 03s"),
        (3_599_700_000_000, "1h 00m"),
        (3_900_000_000_000, "1h 05m"),
        (90_000_000_000_000, "1d 01h"),
    ],
)
def test_durations_are_spelled_as_people_write_them(duration_ns, spelled):
    """Three digits, and no unit that rounds up into the next."""
    assert format_duration(duration_ns) == spelled


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({"message": "car created"}, "car created"),
        (
            {"processor": {"event": "transaction"}, "http": {"request": {"method": "GET"}, "route": "/cars"}},
            "GET /cars",
        ),
        ({"processor": {"event": "transaction"}, "transaction": {"name": "sweep"}}, "sweep"),
        ({"processor": {"event": "span"}, "db": {"statement": "SELECT\n  1"}}, "SELECT 1"),
        (
            {
                "processor": {"event": "span"},
                "http": {"request": {"method": "GET"}},
                "url": {"full": "http://me:secret@parts:5001/parts?token=x"},
            },
            "GET parts:5001/parts",
        ),
        ({"processor": {"event": "span"}, "url": {"full": "http://[broken"}}, "http://[broken"),
        ({"processor": {"event": "span"}, "span": {"name": "render"}}, "render"),
        ({"processor": {"event": "span"}}, "span"),
    ],
)
def test_an_event_has_a_title(fields, title):
    """What it did, in a few words."""
    assert accessors.title(Event(fields)) == title


def test_a_number_that_came_back_as_text_is_a_number():
    """Some stores know only text."""
    assert accessors.number(Event({"http": {"response": {"status_code": "201"}}}), "http.response.status_code") == 201


def test_a_duration_is_found_under_each_of_its_names():
    """Nanoseconds, or microseconds of a transaction or a span."""
    assert accessors.duration_ns(Event({"event": {"duration": 5}})) == 5
    assert accessors.duration_ns(Event({"span": {"duration": {"us": 5}}})) == 5000
    assert accessors.duration_ns(Event({"transaction": {"duration": {"us": 5}}})) == 5000


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"type": "ValueError", "message": "no wheel"}, "ValueError: no wheel"),
        ({"type": "ValueError"}, "ValueError"),
        ({"type": "502"}, ""),
        ({"type": "502", "message": "Bad Gateway"}, "Bad Gateway"),
        ({}, ""),
    ],
)
def test_an_error_is_said_in_one_line(error, said):
    """OpenTelemetry gives an HTTP status as a type: it is shown already."""
    assert accessors.error(Event({"error": error})) == said


@pytest.mark.parametrize(
    ("count", "seconds", "spelled"), [(0, 60, "0.00"), (1, 3600, "<0.01"), (1, 200, "0.01"), (90, 60, "1.50")]
)
def test_what_is_rare_has_a_rate(count, seconds, spelled):
    assert format_rate(count, seconds) == spelled


@pytest.mark.parametrize(
    ("part", "whole", "spelled"),
    [(0, 9, "0.0%"), (1, 9_999, "<0.1%"), (1, 3, "33.3%"), (9_998, 9_999, ">99.9%"), (9, 9, "100.0%")],
)
def test_a_share_says_none_and_all_of_none_and_all(part, whole, spelled):
    assert format_share(part, whole) == spelled
