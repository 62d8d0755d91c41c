"""Lines as Loggly takes them, by the compiled part and by the Python beside it."""

from array import array

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashcam.destinations.loggly.backend import dated
from dashcam.event import EncodedEvent
from dashcam.spool.block import EventBlock
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


def block_of(lines):
    """Lines of events as a block."""
    return EventBlock.of([EncodedEvent("", is_span=False, data=line) for line in lines])


def by_python(line):
    """The same line; `None` where it is not JSON, which only Python says."""
    try:
        return dated(line)
    except ValueError:
        return None


@given(st.lists(st.builds(bytes.__add__, HEADS, RESTS | WIDE), max_size=3), st.data())
@example([HEAD + b',"timestamp":{"us":1},"timestamp_ecs":2,"timestamp_ecs_ecs":3}'], None)
@example([HEAD[:-1] + b'"timestamp":1}'], None)
@example([b'{"@timestamp":"timestamp":4567890123456789"}'], None)
@example([HEAD, HEAD], None)
@example([HEAD + b',"timestamp":1' * 99], None)
def test_lines(date_lines, lines, data):
    """Each is that of Python, or left to Python, from any one on."""
    block = block_of(lines)
    start = data.draw(st.integers(0, len(lines))) if data else 0
    some = block[start:]

    made, left = date_lines(some.text, some.begin, some.ends)

    wanted = [by_python(line) for at, line in enumerate(lines[start:]) if at not in left]
    assert made == b"".join(line + b"\n" for line in wanted)


def test_ordinary_events(date_lines):
    """Of every kind of event, those that begin with the time are made here, in their order."""
    events = [event.data for event in lines()]
    block = block_of(events)

    made, left = date_lines(block.text, 0, block.ends)

    assert made == b"".join(dated(event) + b"\n" for event in events if event.startswith(HEAD[:15]))
    assert left == [at for at, event in enumerate(events) if not event.startswith(HEAD[:15])]
    assert len(left) < len(events) // 2


def test_a_line_that_is_too_long(date_lines):
    """It is left; the next one is not."""
    block = block_of([HEAD + b'"timestamp":' * 80_000, HEAD + b'"timestamp":' * 2])

    made, left = date_lines(block.text, 0, block.ends)

    assert left == [0]
    assert made == by_python(block[1].data) + b"\n"


@pytest.mark.parametrize(("text", "ends"), [(None, []), ("a", []), (b"a", None)])
def test_other_values(date_lines, text, ends):
    """A mistake of the caller is an exception."""
    with pytest.raises(TypeError):
        date_lines(text, 0, ends and array("I", ends))


@pytest.mark.parametrize("ends", [[0], [3], [1, 1]])
def test_ends_that_are_none(date_lines, ends):
    """Nothing is read before a text, or behind it."""
    with pytest.raises(ValueError, match="end one behind the other"):
        date_lines(b"a\n", 0, array("I", ends))
