"""Lines and events out of bytes, by the compiled part and by the Python beside it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashcam.event import EncodedEvent
from dashcam.spool.line import MAX_TIME_NS, LineExpander
from dashcam.spool.reader import Position, _has_headed_in_python, _headed_in_python, _parse_in_python
from dashcam.spool.segment import decode_header, encode_header

HEADER = decode_header(
    encode_header("0193a1b2c3d4e5f601020304", 7, {"service": {"name": "cärs"}, "host": {"name": "laptop"}}, 0)
)


@pytest.fixture(scope="module")
def compiled():
    return pytest.importorskip("dashcam.spool._lines", reason="there was no compiler")


TIMES = st.integers(0, MAX_TIME_NS) | st.integers(1_700_000_000 * 10**9, 1_900_000_000 * 10**9)
KINDS = st.sampled_from([b',"processor":{"event":"span"}', b',"processor":{"event":"start"}', b',"log.level":"info"'])
ORDINARY = st.builds(
    lambda time, kind, rest: b'{"time_ns":%d%b%b}}' % (time, kind, rest), TIMES, KINDS, st.binary(max_size=9)
)
ODD = st.lists(
    st.sampled_from(
        [b'{"time_ns":', b"1", b"99999999999999999999", b"-1", b",", b"}}", b"}", b"\0", b" ", b'"processor":']
    ),
    max_size=8,
).map(b"".join)
LINES = (ORDINARY | ODD | st.binary(max_size=30)).map(lambda line: line.replace(b"\n", b" "))
PLACES = st.integers(0, 99_999_999) | st.integers(0, 2**40)


@given(st.lists(LINES), st.binary(max_size=5), PLACES, PLACES)
def test_lines_of_a_text(compiled, lines, rest, offset, sequence):
    """Which are lines, where each ends, and how much is damaged; a line without an end is none yet."""
    text = b"".join(line + b"\n" for line in lines) + rest.replace(b"\n", b" ")
    found = compiled.parse(text, offset, sequence, Position)

    wanted = _parse_in_python(text, offset, sequence, Position)

    assert found == wanted
    assert all(type(position) is Position for _, position in found[0])


@given(ORDINARY, PLACES)
@example(b'{"time_ns":951782400123456789,"log.level":"info","event":{"kind":"event"}}', 512)
@example(b'{"time_ns":4107542399999999999,"log.level":"info","event":{"kind":"event"}}', 0)
@example(b'{"time_ns":0,}}', 10**8)
def test_the_event_of_a_line(compiled, line, sequence):
    """Its date, its ID and its end, to the byte."""
    expander = LineExpander(HEADER)
    found = compiled.expand(EncodedEvent, expander._segment, expander._head, expander._tail, line, sequence)

    assert found == expander._expand(line, sequence)
    assert type(found) is EncodedEvent


@given(LINES, PLACES)
def test_what_is_no_line_is_left(compiled, line, sequence):
    """To the Python beside it, which raises as it did."""
    expander = LineExpander(HEADER)
    found = compiled.expand(EncodedEvent, expander._segment, expander._head, expander._tail, line, sequence)

    assert found is None or found == expander._expand(line, sequence)


@given(st.lists(st.tuples(LINES, PLACES)))
def test_the_events_of_lines(lines):
    """One after the other as each by itself; what is no line is told by its number, and the others go on."""
    expander = LineExpander(HEADER)
    wanted, faults = [], []
    for number, (line, sequence) in enumerate(lines):
        try:
            wanted.append(expander._expand(line, sequence))
        except (ValueError, OverflowError, OSError):
            faults.append(number)

    events, found = expander.expand_all([(line, Position(7, sequence)) for line, sequence in lines])

    assert (events, list(found)) == (wanted, faults)
    assert all(type(event) is EncodedEvent for event in events)


HEADS = (b',"processor":{"event":"start"}', b',"log.level":"inf', b",}")


@given(st.lists(st.tuples(LINES, st.just(Position(7, 8)))))
def test_lines_by_their_beginning(compiled, lines):
    """Behind the time, however many digits that has."""
    found = compiled.headed(lines, HEADS)

    assert found == _headed_in_python(lines, HEADS)
    assert compiled.has_headed(b"\n".join(line for line, _ in lines), HEADS) == bool(found)
    assert _has_headed_in_python(b"\n".join(line for line, _ in lines), HEADS) == bool(found)


def test_what_cannot_be_read_is_an_error(compiled):
    """A caller's mistake is not a crash."""
    with pytest.raises(TypeError):
        compiled.parse("text", 0, 0, Position)
    with pytest.raises(TypeError):
        compiled.expand(EncodedEvent, b"segment", b"", b"", b"", 0)
    for lines in ([b"line"], [(b"line",)], [("line", (0, 0))], [(b"line", 7)], [(b"line", (0, "0"))]):
        with pytest.raises(TypeError):
            compiled.expand_all(EncodedEvent, "segment", b"", b"", lines, 0, [])
    with pytest.raises(TypeError):
        compiled.headed([], ("a text",))
    with pytest.raises(TypeError):
        compiled.has_headed(b"", ("a text",))
    with pytest.raises(ValueError, match="counted from 0"):
        compiled.expand_all(EncodedEvent, "segment", b"", b"", [], -1, [])
