"""Reading segments: whole, live, cut anywhere, with holes."""

import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashcam.spool.reader import MAX_READ_BYTES, Position, SegmentReader, orphaned_files, segment_files

from ..processes import running
from .spools import ids_in, log_line, read_segment, write_to

COUNT = 20


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a sealed segment with some lines, and where each of them ends."""
    spool = tmp_path_factory.mktemp("whole")
    writer = write_to(spool)
    for number in range(COUNT):
        writer.append(log_line(number))
    writer.close()
    (path,) = segment_files(spool)
    data = path.read_bytes()
    return data, [place + 1 for place, byte in enumerate(data) if byte == 10]


def _read(folder, data):
    path = folder / "0193a1b2c3d4e5f601020304.segment"
    path.write_bytes(data)
    return read_segment(path)


def _numbers(lines):
    return [int(line.split(b'"message":"')[1].split(b'"')[0]) for line in lines]


def test_a_whole_segment(tmp_path, whole):
    """Every line, in order, nothing damaged."""
    lines, damaged = _read(tmp_path, whole[0])

    assert (_numbers(lines), damaged) == (list(range(COUNT)), 0)


def test_a_segment_truncated_at_any_byte(tmp_path, whole):
    """The lines before the cut are there; half a line is one damaged place; half a header is no segment."""
    data, ends = whole
    path = tmp_path / "cut.segment"
    path.write_bytes(data)
    for cut in reversed(range(len(data))):
        os.truncate(path, cut)
        if cut < ends[0]:
            with pytest.raises(ValueError):  # noqa: PT011 — the sentence is the JSON parser's or ours
                read_segment(path)
        else:
            lines, damaged = read_segment(path)
            assert _numbers(lines) == list(range(sum(end <= cut for end in ends[1:])))
            assert damaged == (cut not in ends)


def test_a_segment_zero_from_any_byte_on(tmp_path, whole):
    """As after a kill in the middle of a copy: the same as if it ended there."""
    data, ends = whole
    path = tmp_path / "zeros.segment"
    path.write_bytes(data)
    with path.open("r+b", buffering=0) as file:
        for cut in reversed(range(ends[0], len(data))):
            os.pwrite(file.fileno(), b"\0", cut)
            lines, damaged = read_segment(path)
            assert _numbers(lines) == list(range(sum(end <= cut for end in ends[1:])))
            assert damaged == (cut not in ends)


@pytest.mark.fuzz
@given(st.data())
def test_a_hole_anywhere(tmp_path_factory, whole, data):
    """What a power cut left as zeros costs the lines it touches, never one behind it, and is counted."""
    text, ends = whole
    begin = data.draw(st.integers(ends[0], len(text) - 1), "begin")
    end = data.draw(st.integers(begin + 1, len(text)), "end")
    # A line is touched, too, when the newline before it is.
    touched = [number for number in range(COUNT) if ends[number] <= end and begin < ends[number + 1]]

    lines, damaged = _read(tmp_path_factory.mktemp("hole"), text[:begin] + bytes(end - begin) + text[end:])

    assert _numbers(lines) == [number for number in range(COUNT) if number not in touched]
    # A hole up to the end may as well have been never written.
    assert damaged == (end < len(text) or begin not in ends)


def test_a_hole_longer_than_what_is_read_at_once(tmp_path, whole):
    """Reading goes on behind it, wherever in it a reading ended."""
    data, ends = whole
    hole = bytes(2 * MAX_READ_BYTES + 12345)

    lines, damaged = _read(tmp_path, data[: ends[10]] + hole + data[ends[10] :])

    # The line right behind the hole cannot be told from the rest of one that began in it.
    assert (_numbers(lines), damaged) == ([n for n in range(COUNT) if n != 10], 1)


def test_garbage_in_the_middle(tmp_path, whole):
    """Bytes that are neither zero nor a line are counted once for each newline among them."""
    data, ends = whole
    garbage = b"\xff\xfe garbage\n{}\n" + b"x" * 3 * MAX_READ_BYTES + b"\n"

    lines, damaged = _read(tmp_path, data[: ends[10]] + garbage + data[ends[10] :])

    assert _numbers(lines) == list(range(COUNT))
    assert damaged == 3


@pytest.mark.fuzz
@given(st.binary(max_size=2000))
def test_any_bytes_behind_a_header(tmp_path_factory, whole, noise):
    """Reading ends, whatever stands there."""
    data, ends = whole

    lines, _ = _read(tmp_path_factory.mktemp("noise"), data[: ends[0]] + noise + b"\n" + log_line(7))

    assert lines[-1] + b"\n" == log_line(7)


def test_a_live_segment_ends_at_the_first_zero(tmp_path, whole):
    """The copy of a line may become visible out of order: nothing behind a zero is taken while the writer lives."""
    data, ends = whole
    path = tmp_path / "live.segment"
    path.write_bytes(data[: ends[10] + 5] + b"\0" + data[ends[10] + 6 :])

    lines, damaged = read_segment(path, is_final=False)

    assert (_numbers(lines), damaged) == (list(range(10)), 0)


def test_reading_goes_on_where_it_was(tmp_path):
    """From the position after any line, the rest follows; each position knows the offset of the line before it."""
    writer = write_to(tmp_path)
    for number in range(10):
        writer.append(log_line(number))
    (path,) = segment_files(tmp_path)
    with SegmentReader(path) as reader:
        passage = reader.read()
        assert [f"{path.stem}-{after.sequence:08d}" for _, after in passage.lines] == ids_in(path)
        rest = reader.read(passage.lines[3][1])
        assert (_numbers(line for line, _ in rest.lines), rest.after) == ([4, 5, 6, 7, 8, 9], passage.after)

        assert reader.read(passage.after).lines == []
        writer.append(log_line(10))
        (new,) = reader.read(passage.after).lines

    assert new == (log_line(10)[:-1], Position(passage.after.offset + len(log_line(10)), passage.after.offset))


def test_a_passage_has_its_bounds(tmp_path):
    """A long segment is read in several goes, each below half a megabyte, with every line whole."""
    writer = write_to(tmp_path, segment_bytes=2 << 20)
    sizes = [Random(number).randrange(90_000) for number in range(40)]
    for number, size in enumerate(sizes):
        writer.append(log_line(number, "x" * size))
    (path,) = segment_files(tmp_path)

    with SegmentReader(path) as reader:
        passages = list(reader.passages(is_final=False))

    lines = [line + b"\n" for passage in passages for line, _ in passage.lines]
    assert lines == [log_line(number, "x" * size) for number, size in enumerate(sizes)]
    assert len(passages) > 3
    assert all(sum(len(line) + 1 for line, _ in passage.lines) <= MAX_READ_BYTES for passage in passages)


def test_a_sealed_segment_is_final(tmp_path):
    """Whoever holds its lock."""
    writer = write_to(tmp_path)
    writer.append(log_line(1))
    writer.close()
    (path,) = segment_files(tmp_path)

    with SegmentReader(path) as reader:
        assert reader.is_final()


def test_segments_are_listed_oldest_first(tmp_path):
    """Over all hosts and services, by their ids, which begin with the time; other files are no segments."""
    names = {"b/cars/0193a1b2c3d4e5f601020304", "a/parts/0193a1b2c3d4e5f601020305", "a/cars/0193a1b2c3d4e5f601020303"}
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.segment").touch()
    (tmp_path / "a/cars/.0193a1b2c3d4e5f601020309").touch()
    (tmp_path / "a/cars/notes.txt").touch()

    assert [path.stem[-1] for path in segment_files(tmp_path)] == ["3", "4", "5"]
    assert segment_files(tmp_path / "absent") == []


def test_a_file_that_is_no_segment_stays_closed(tmp_path):
    """The error comes before anything is left open."""
    path = tmp_path / "garbage.segment"
    path.write_bytes(os.urandom(5000))
    before = len(list(Path("/dev/fd").iterdir()))

    with pytest.raises(ValueError):  # noqa: PT011 — the sentence is the JSON parser's or ours
        SegmentReader(path)

    assert len(list(Path("/dev/fd").iterdir())) == before


HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "rb+")
fcntl.lockf(file, fcntl.LOCK_EX)
print(flush=True)
input()
"""


def test_what_a_kill_left_half_made(tmp_path):
    """A file without its name, whose maker is gone for long: not a fresh one, one that is held, or another's."""
    folder = tmp_path / "here" / "cars"
    folder.mkdir(parents=True)
    old, fresh, held = (folder / f".0193a1b2c3d4e5f60102030{number}" for number in range(3))
    foreign = folder / ".DS_Store"
    for path in (old, fresh, held, foreign):
        path.write_bytes(b"\0" * 100)
    for path in (old, held, foreign):
        os.utime(path, (1000, 1000))
    (folder / ".0193a1b2c3d4e5f601020309").symlink_to("gone since it was listed")
    with running(HOLDER, held) as process:
        process.stdout.readline()

        assert orphaned_files(tmp_path, fresh.stat().st_mtime + 1) == [old]
        assert set(orphaned_files(tmp_path, fresh.stat().st_mtime + 3600)) == {old, fresh}
