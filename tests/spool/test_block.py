"""Events as one text, of which each becomes an object when it is asked for."""

import pytest

from dashcam.event import EncodedEvent
from dashcam.spool.block import EventBlock, read_block
from dashcam.spool.line import LineExpander
from dashcam.spool.reader import Position, SegmentReader, segment_files

from .spools import log_line, span_line, start_line, write_to

LINES = [log_line(0), start_line(0, "b7"), span_line(1, "b7"), log_line(2, "x" * 400), log_line(3)]


@pytest.fixture
def reader(tmp_path):
    writer = write_to(tmp_path)
    for line in LINES:
        writer.append(line)
    (path,) = segment_files(tmp_path)
    with SegmentReader(path) as reader:
        yield reader


def _read(reader, **asked):
    return read_block(reader, LineExpander(reader.header), Position(), is_final=False, **asked)


def test_events_of_a_segment(reader):
    """Those that each line gives, but for the marks of open requests; each with the place behind its line."""
    lines, expander = reader.read().lines, LineExpander(reader.header)

    block, result = _read(reader)

    wanted = [expander.expand(line, place.sequence) for line, place in lines if b'"start"' not in line]
    assert list(block) == wanted
    assert [event.is_span for event in block] == [False, True, False, False]
    assert list(block.offsets) == [place.offset for line, place in lines if b'"start"' not in line]
    assert (result.lines, result.after, result.damaged) == ([], lines[-1][1], 0)


def test_lines_that_tell_something(reader):
    """They are returned as they stand in the segment, those of marks too."""
    lines = reader.read().lines

    assert _read(reader, telling=(b',"processor":',))[1].lines == lines[1:3]


@pytest.mark.parametrize("made", [True, False])
def test_a_block_is_a_sequence(reader, made):
    """By number from either end, in slices, and in slices of slices; of events that were objects before, too."""
    block = _read(reader)[0]
    events = list(block)
    if made:
        block = EventBlock.of(events, list(block.offsets))

    assert len(block) == 4
    assert [block[at] for at in (0, 3, -1)] == [events[at] for at in (0, 3, -1)]
    with pytest.raises(IndexError):
        block[4]
    assert list(block[1:][1:]) == events[2:]
    assert block[1:][:1].lines() == [events[1].data]
    assert (list(block[9:]), list(block[::2])) == ([], events[::2])
    assert list(block[::2].offsets) == list(block.offsets)[::2]
    assert block[2:].size_bytes == sum(len(event.data) + 1 for event in events[2:])
    assert list(block[2:].offsets) == list(block.offsets)[2:]
    assert (events[1] in block, block[2:0].size_bytes) == (True, 0)


def test_events_that_fit(reader):
    """Each with its newline, in the room that there is."""
    block = _read(reader)[0][1:]
    first, second, _ = [len(event.data) + 1 for event in block]

    assert [block.fitting(9, room) for room in (first - 1, first, first + second - 1)] == [0, 1, 1]
    assert (block.fitting(1, 10**6), block.fitting(9, 10**6)) == (1, 3)
    assert EventBlock.of([]).fitting(9, 9) == 0


def test_a_block_of_events():
    """It gives them back as they are."""
    events = [EncodedEvent("a-sealed-1", is_span=False, data=b"{}"), EncodedEvent("b", is_span=True, data=b"")]

    assert list(EventBlock.of(events)) == events
    assert "a-sealed-1" in repr(EventBlock.of(events))
