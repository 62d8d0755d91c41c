"""The id of an event is its place in its segment: nothing else may change it."""

import pytest

from dashcam.spool.line import LineExpander
from dashcam.spool.reader import SegmentReader, segment_files

from .spools import ids_in, log_line, write_to


def _events(path):
    with SegmentReader(path) as reader:
        expander = LineExpander(reader.header)
        passages = list(reader.passages(is_final=True))
    return [expander.expand(line, after.sequence) for passage in passages for line, after in passage.lines]


@pytest.fixture
def segment(tmp_path):
    """A sealed segment with 20 lines."""
    writer = write_to(tmp_path)
    for number in range(20):
        writer.append(log_line(number))
    writer.close()
    (path,) = segment_files(tmp_path)
    return path


def test_an_id_is_the_offset_of_the_line(segment):
    """The header is before the first line, and each line is as long as its bytes."""
    assert [event.id for event in _events(segment)] == ids_in(segment)


@pytest.mark.parametrize("damage", [b"\0" * 30, b"\n" * 30, b"x" * 30, b"\n"])
def test_damage_moves_no_other_id(segment, damage):
    """Whatever stands in the fifth line: zeros, newlines, garbage, two halves."""
    ids = ids_in(segment)
    data = bytearray(segment.read_bytes())
    at = int(ids[4][25:]) + 10
    data[at : at + len(damage)] = damage
    segment.write_bytes(data)

    assert [event.id for event in _events(segment)] == ids[:4] + ids[5:]
