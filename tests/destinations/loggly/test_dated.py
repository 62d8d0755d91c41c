"""Lines as Loggly takes them, by the compiled part and by the Python beside it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashcam.destinations.loggly.backend import dated
from dashcam.testing.sample import lines

TIME = b"2026-11-24T01:35:46.123456Z"
HEAD = b'{"@timestamp":"%b"' % TIME
PIECES = st.sampled_from(
    [b'"timestamp', b'"@timestamp', b"timestamp", b"_ecs", b"_ec", b'":', b'"', b":", b",", b'\\"', b'"k":1,', b"}"]
)
RESTS = st.lists(PIECES | st.binary(max_size=4), max_size=12).map(b"".join)
WIDE = st.builds(lambda keys, rest: b'"long_name":1,' * keys + rest, st.sampled_from([50, 89, 90, 91]), RESTS)
HEADS = st.sampled_from([HEAD, HEAD + b",", HEAD[:-1], HEAD[:20], b"", b"{"]) | st.builds(
    lambda time, rest: b'{"@timestamp":"%b"%b' % (time.ljust(27, b"0")[:27], rest), RESTS, RESTS
)


@pytest.fixture(scope="module")
def date_lines():
    return pytest.importorskip("dashcam.destinations.loggly._dated", reason="there was no compiler").date_lines


def by_python(line):
    """The same line; `None` where it is not JSON, which only Python says."""
    try:
        return dated(line)
    except ValueError:
        return None


@given(st.builds(bytes.__add__, HEADS, RESTS | WIDE))
@example(HEAD + b',"timestamp":{"us":1},"timestamp_ecs":2,"timestamp_ecs_ecs":3}')
@example(HEAD[:-1] + b'"timestamp":1}')
@example(b'{"@timestamp":"timestamp":4567890123456789"}')
@example(HEAD)
def test_a_line(date_lines, line):
    """It is that of Python, or left to Python."""
    (made,) = date_lines([line])

    assert made is None or made == by_python(line)


def test_ordinary_events(date_lines):
    """Of every kind of event, those that begin with the time are made here, in their order."""
    events = [event.data for event in lines()]

    made = date_lines(events)

    assert made == [dated(event) if event.startswith(HEAD[:15]) else None for event in events]
    assert sum(line is not None for line in made) > len(events) // 2


@pytest.mark.parametrize("lines", [None, (), ["text"], [b"{}", None]])
def test_other_values(date_lines, lines):
    """A mistake of the caller is an exception."""
    with pytest.raises(TypeError):
        date_lines(lines)
