"""Lines and events out of bytes, by the compiled part and by the Python beside it."""

from array import array

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashcam.event import EncodedEvent
from dashcam.spool.block import _make_in_python, _read_in_python
from dashcam.spool.line import MAX_TIME_NS, LineExpander, complete
from dashcam.spool.reader import Position, _parse_in_python, parse_lines
from dashcam.spool.segment import decode_header, encode_header

HEADER = decode_header(
    encode_header("0193a1b2c3d4e5f601020304", 7, {"service": {"name": "cärs"}, "host": {"name": "laptop"}}, 0)
)


@pytest.fixture(scope="module")
def compiled():
    return pytest.importorskip("dashcam.spool._lines", reason="there was no compiler")


TIMES = st.integers(0, MAX_TIME_NS) | st.integers(1_700_000_000 * 10**9, 1_900_000_000 * 10**9)
KINDS = st.sampled_from([b',"processor":{"event":"span"}', b',"processor":{"event":"start"}', b',"log.level":"info"'])
REQUEST = b',"http":{"request":{"id":"%b"}}'
CALLS = st.builds(
    lambda time, level, ids, rest: (
        b'{"time_ns":%d,"log.level":"%b"%b%b,"event":{"kind":"event"}}'
        % (time, level, b"".join(REQUEST % id_ for id_ in ids), rest)
    ),
    TIMES,
    st.sampled_from([b"debug", b"info", b"error"]),
    st.lists(st.sampled_from([b"golf-1", b"golf-12", b""]), max_size=2),
    st.binary(max_size=3),
)
ORDINARY = st.builds(
    lambda time, kind, rest: b'{"time_ns":%d%b%b}}' % (time, kind, rest), TIMES, KINDS, st.binary(max_size=9)
)
ODD = st.lists(
    st.sampled_from(
        [b'{"time_ns":', b"1", b"99999999999999999999", b"-1", b",", b"}}", b"}", b"\0", b" ", b'"processor":']
    ),
    max_size=8,
).map(b"".join)
LINES = (ORDINARY | CALLS | ODD | st.binary(max_size=30)).map(lambda line: line.replace(b"\n", b" "))
PLACES = st.integers(0, 99_999_999) | st.integers(0, 2**40)


HELD = (b',"log.level":"debug",', b',"log.level":"info",')


@given(st.lists(LINES), st.binary(max_size=5), PLACES, PLACES, st.sampled_from([(), HELD]))
def test_lines_of_a_text(compiled, lines, rest, offset, sequence, heads):  # noqa: PLR0917 — drawn values
    """Which are lines, where each ends, how much is damaged, and what is held; a line without an end is none yet."""
    text = b"".join(line + b"\n" for line in lines) + rest.replace(b"\n", b" ")
    found = compiled.parse(text, offset, sequence, Position, heads)

    wanted = _parse_in_python(text, offset, sequence, Position, heads)

    assert found == wanted
    assert all(type(position) is Position for _, position in found[0])


def test_what_is_held_of_a_text():
    """Its ranges, when it begins, and the lines of each request by the last ID in each line."""
    call = b'{"time_ns":%d,"log.level":"debug"%b,"log":{"logger":"x"},"event":{"kind":"event"}}\n'
    one, two = REQUEST % b"golf-1", REQUEST % b"golf-2"
    span = b'{"time_ns":1795484100000000003,"processor":{"event":"span"}%b,"event":{"kind":"event"}}\n' % one
    texts = [
        span,
        call % (1795484100000000007, one),
        call % (1795484100000000008, one + two),
        span,
        call % (1795484100000000009, b""),
        call % (1795484100000000009, one),
    ]

    result = parse_lines(b"".join(texts), 1000, 0, HELD)

    ends = [1000 + sum(map(len, texts[:count])) for count in range(len(texts) + 1)]
    assert [line for line, _ in result.lines] == [span[:-1], span[:-1]]
    assert result.held.ranges == [(ends[1], ends[3], 2), (ends[4], ends[6], 2)]
    assert result.held.requests == {b"golf-1": 2, b"golf-2": 1}
    assert (result.held.lines, result.held.since_ns) == (4, 1795484100000000007)
    assert result.held.bytes == sum(len(texts[at]) for at in (1, 2, 4, 5))
    assert result.after == (ends[6], ends[5])


@given(ORDINARY, PLACES)
@example(b'{"time_ns":951782400123456789,"log.level":"info","event":{"kind":"event"}}', 512)
@example(b'{"time_ns":4107542399999999999,"log.level":"info","event":{"kind":"event"}}', 0)
@example(b'{"time_ns":0,}}', 10**8)
def test_the_event_of_a_line(compiled, line, sequence):
    """Its date, its ID and its end, to the byte."""
    expander = LineExpander(HEADER)
    found = compiled.expand(EncodedEvent, expander.segment, expander.head, expander.tail, line, sequence)

    assert found.data == complete(line, sequence, expander.head, expander.tail)
    assert found.id == f"{HEADER.segment}-{sequence:08d}"
    assert found.is_span == (b',"processor":' in line)
    assert type(found) is EncodedEvent


@given(LINES, PLACES)
def test_what_is_no_line_is_left(compiled, line, sequence):
    """To the Python beside it, which raises as it did."""
    expander = LineExpander(HEADER)
    found = compiled.expand(EncodedEvent, expander.segment, expander.head, expander.tail, line, sequence)

    assert found is None or found.data == complete(line, sequence, expander.head, expander.tail)


HEADS = (b',"processor":{"event":"start"}', b',"log.level":"inf', b",}")


@given(st.lists(LINES), st.integers(0, 64 << 20), st.sampled_from([(), HELD]), st.sampled_from([(), HEADS]), st.data())
def test_the_events_of_a_text(compiled, lines, offset, held, telling, data):  # noqa: PLR0917 — drawn values
    """Of the lines that are not held, all but the marks of open requests; and each as an object, from any one on."""
    text = b"".join(line + b"\n" for line in lines)
    expander = LineExpander(HEADER)
    given = text, offset, 7, Position, held, telling, expander.head, expander.tail
    found = compiled.read_events(*given)

    assert found == _read_in_python(*given)
    (events, ends, spans, offsets, sequences), *_ = found
    assert len(offsets) == len(ends) == len(sequences) == 4 * len(spans)
    numbers, behind = memoryview(sequences).cast("I"), memoryview(ends).cast("I")
    start = data.draw(st.integers(0, len(spans)))
    begin = behind[start - 1] if start else 0
    columns = HEADER.segment, events, begin, behind[start:], spans[start:], numbers[start:]
    made = compiled.make_events(EncodedEvent, *columns)
    assert made == _make_in_python(EncodedEvent, *columns)
    assert all(type(event) is EncodedEvent for event in made)


def test_what_cannot_be_read_is_an_error(compiled):
    """A caller's mistake is not a crash."""
    with pytest.raises(TypeError):
        compiled.parse("text", 0, 0, Position, ())
    with pytest.raises(TypeError):
        compiled.parse(b"", 0, 0, Position, ("a text",))
    with pytest.raises(TypeError):
        compiled.expand(EncodedEvent, b"segment", b"", b"", b"", 0)
    for heads in (([], ()), ((), [b""]), (("a text",), ()), ((), ("a text",))):
        with pytest.raises(TypeError):
            compiled.read_events(b"", 0, 0, Position, *heads, b"", b"")
    for offset in (-1, 2**31 - 3, 2**62):
        with pytest.raises(ValueError, match="not so large"):
            compiled.read_events(b"line\n", offset, 0, Position, (), (), b"", b"")


@pytest.mark.parametrize(
    ("begin", "ends", "spans", "sequences"),
    [
        (0, [9], b"\0", [0]),
        (0, [0], b"\0", [0]),
        (-1, [4], b"\0", [0]),
        (2, [4, 3], b"\0\0", [0, 0]),
        (0, [4], b"", []),
        (0, [], b"\0", [0]),
        (0, [4], b"\0", []),
    ],
)
def test_columns_that_do_not_fit(compiled, begin, ends, spans, sequences):
    """Nothing beyond the text is read."""
    columns = array("I", ends), spans, array("I", sequences)
    with pytest.raises(ValueError, match="end"):
        compiled.make_events(EncodedEvent, "segment", b"text", begin, *columns)
    with pytest.raises(ValueError, match="ASCII"):
        compiled.make_events(EncodedEvent, "ségment", b"text", 0, b"", b"", b"")
