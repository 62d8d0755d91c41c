"""One event, and its time."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashcam.event import Event, format_time, parse_time, read_json

TEXT = "2026-11-24T01:35:46.123456Z"
NS = 1_795_484_146_123_456_000


def test_a_time_as_text():
    """UTC, microseconds, always as long."""
    assert format_time(NS + 789) == TEXT
    assert format_time(0) == "1970-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TEXT, NS),
        ("2026-11-24T01:35:46.123456", NS),
        ("2026-11-24T02:35:46.123456+01:00", NS),
        ("2026-11-24T01:35:46Z", NS - 123_456_000),
        ("1969-12-31T23:59:59.5Z", -500_000_000),
    ],
)
def test_a_time_is_read(text, expected):
    """With any offset, UTC without one."""
    assert parse_time(text) == expected


@pytest.mark.parametrize("text", ["", "now", "2026-13-01T00:00:00Z", "1795484146"])
def test_what_is_no_time(text):
    """Is said to be none."""
    with pytest.raises(ValueError, match=r"isoformat|month"):
        parse_time(text)


@given(st.integers(0, 253_402_300_799_999_999))
def test_times_go_round(now_us):
    """Text and back, to the microsecond."""
    assert parse_time(format_time(now_us * 1000)) == now_us * 1000
    assert datetime.fromisoformat(format_time(now_us * 1000)) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        microseconds=now_us
    )


def test_names_nested_and_dotted():
    """ECS has both: `log.level` at the top, the rest nested."""
    event = Event(
        {"log.level": "info", "log": {"logger": "cars"}, "http": {"request": {"id": "a"}}, "labels": {"a": 1}}
    )

    assert event.get("log.level") == "info"
    assert event.get("log.logger") == "cars"
    assert event.get("http.request.id") == "a"
    assert event.get("http.request") == {"id": "a"}
    assert event.get("http.request.id.more") is None
    assert event.get("http.response", 7) == 7
    assert event.labels == {"a": 1}


def test_an_event_is_read():
    """And written as it came."""
    text = f'{{"@timestamp":"{TEXT}","event":{{"id":"a-1"}},"processor":{{"event":"span"}}}}'.encode()
    event = Event.from_json(text)

    assert (event.id, event.time_ns, event.is_span) == ("a-1", NS, True)
    assert event.to_json() == text


def test_a_line_that_is_read_later():
    """Is the same event, and its text is the line itself."""
    line = b'{ "event": {"id": "a-1"} }'
    event = Event.from_line(line)

    assert event.to_json() == line
    assert event == Event({"event": {"id": "a-1"}})
    assert event != Event({"event": {"id": "a-2"}})
    assert repr(event) == "Event({'event': {'id': 'a-1'}})"
    assert event.to_json() == line


def test_an_event_of_nothing():
    """What is not there is empty."""
    event = Event({"labels": 7})

    assert (event.id, event.is_span, event.labels) == ("", False, {})


@pytest.mark.parametrize("text", ["", "[]", "7", "null", "{"])
def test_what_is_no_event(text):
    """Is said to be none."""
    with pytest.raises(ValueError):  # noqa: PT011 — the sentence is the JSON parser's or ours
        Event.from_json(text)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": "x\xed\xa0\x80y", "b": 1}', {"a": "x\ufffd\ufffd\ufffdy", "b": 1}),
        (b'["\\ud800", "\\ud83d\\ude97", "\xff"]', ["\ufffd", "🚗", "\ufffd"]),
        ('["\\udfff", 9223372036854775808, 99999999999999999999]', ["\ufffd", 9223372036854775808, 1e20]),
    ],
)
def test_json_of_others(data, value):
    """A byte that is not UTF-8, or half a surrogate pair, costs itself alone; what is read can be written."""
    assert read_json(data) == value
    assert orjson.loads(orjson.dumps(read_json(data))) == value


@pytest.mark.parametrize("data", [b"", b"{", b'"\xff', b"[" * 100_000])
def test_what_is_not_json(data):
    """Is an error of one kind."""
    with pytest.raises(ValueError, match=r"column|nested"):
        read_json(data)
