"""The bytes of a line, and what they mean."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashcam.event import EncodedEvent, Event
from dashcam.spool.line import MAX_TIME_NS, LineExpander, is_line, is_start, time_of
from dashcam.spool.segment import decode_header

from .test_segment import HEADER

LOG = b'{"time_ns":1795484146123456789,"log.level":"info","message":"car created","event":{"kind":"event"}}'
SPAN = b'{"time_ns":1795484146123456789,"processor":{"event":"transaction"},"event":{"kind":"event"}}'
START = b'{"time_ns":1795484146123456789,"processor":{"event":"start"},"event":{"kind":"event"}}'


def test_a_line_is_completed():
    """The time becomes a date; the event's id, its number and what the segment's events share go to the end."""
    line = LineExpander(decode_header(HEADER)).expand(LOG, 12)

    assert line == EncodedEvent(
        "0193a1b2c3d4e5f601020304-00000012",
        is_span=False,
        data=b'{"@timestamp":"2026-11-24T01:35:46.123456Z","log.level":"info","message":"car created",'
        b'"event":{"kind":"event","id":"0193a1b2c3d4e5f601020304-00000012","sequence":12,"dataset":"cars"},'
        b'"ecs.version":"8.17.0","service":{"name":"cars"}}',
    )
    assert orjson.loads(line.data)["event"]["sequence"] == 12


def test_spans_are_told_apart():
    """By what stands right after the time, without reading the JSON."""
    expander = LineExpander(decode_header(HEADER))

    assert expander.expand(SPAN, 1).is_span
    assert not expander.expand(LOG, 2).is_span
    assert (is_start(START), is_start(SPAN), is_start(LOG)) == (True, False, False)


def test_the_time_of_a_line():
    """Nanoseconds since the epoch."""
    assert time_of(LOG) == 1795484146123456789


@given(st.integers(0, MAX_TIME_NS))
def test_any_time_becomes_a_date(time_ns):
    """UTC with microseconds, always as long; also that of a clock which was never set."""
    line = LOG.replace(b"1795484146123456789", b"%d" % time_ns)

    data = LineExpander(decode_header(HEADER)).expand(line, 1).data

    assert is_line(line)
    assert Event.from_json(data).time_ns == time_ns // 1000 * 1000
    assert data.startswith(b'Z","log.level"', len('{"@timestamp":"2026-11-24T01:35:46.123456'))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        LOG[1:],
        LOG[:-1],
        LOG.replace(b"car", b"c\0r"),
        b"\0" * 300 + LOG,
        LOG.replace(b"146123", b"146 23"),
        LOG.replace(b"1795", b"17951795"),
        LOG.replace(b":1795", b":-1795"),
        b'{"time_ns":}}',
        b'{"time_ns":,"event":{}}',
    ],
)
def test_the_rest_of_a_damaged_line_is_no_line(line):
    """It begins with a time, ends with an event, and has no hole."""
    assert not is_line(line)
