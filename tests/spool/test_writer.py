"""Writing segments: every line once and whole, whatever is in the way."""

import errno
import os
import resource
import threading
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashcam import machine
from dashcam.ship.selection import synthesized_events
from dashcam.spool.line import is_start
from dashcam.spool.reader import SegmentReader, segment_files

from .conftest import needs_c
from .spools import SMALL, dropped, log_line, numbers_in, read_segment, read_spool, span_line, start_line, write_to

fillings = st.text(st.characters(codec="utf-8", exclude_characters='\n\0"\\'), max_size=300)


@given(st.lists(fillings, max_size=20))
def test_what_is_appended_is_read(tmp_path_factory, texts):
    """In order, byte for byte, over as many segments as it takes."""
    spool = tmp_path_factory.mktemp("spool")
    writer = write_to(spool, segment_bytes=4096)
    lines = [log_line(number, text) for number, text in enumerate(texts)]

    for line in lines:
        writer.append(line)
    writer.close()

    assert read_spool(spool) == lines


def test_a_line_can_be_read_at_once(tmp_path):
    """No buffer holds it back."""
    writer = write_to(tmp_path)
    writer.append(log_line(1))

    assert read_spool(tmp_path) == [log_line(1)]


def test_nothing_is_made_before_the_first_line(tmp_path):
    """A process that records nothing leaves nothing."""
    write_to(tmp_path).close()

    assert list(tmp_path.iterdir()) == []


@needs_c
def test_segments_follow_each_other(tmp_path):
    """A full segment is sealed and cut to its lines; the next one is the only one that is open."""
    writer = write_to(tmp_path)
    lines = [log_line(number) for number in range(1000)]

    for line in lines:
        writer.append(line)

    *sealed, last = segment_files(tmp_path)
    assert read_spool(tmp_path) == lines
    assert len(sealed) > 3
    assert all(SMALL - 200 < path.stat().st_size <= SMALL and path.read_bytes()[-1] == 10 for path in sealed)
    assert last.stat().st_size == SMALL
    assert [_header(path).is_sealed for path in [*sealed, last]] == [True] * len(sealed) + [False]


def _header(path):
    with SegmentReader(path) as reader:
        return reader.header


def test_a_closed_segment_is_sealed(tmp_path):
    """A later line opens another one."""
    writer = write_to(tmp_path)
    writer.append(log_line(1))
    writer.close()
    writer.close()
    writer.append(log_line(2))

    first, second = segment_files(tmp_path)
    assert (_header(first).is_sealed, _header(second).is_sealed) == (True, False)
    assert read_segment(first) == ([log_line(1)[:-1]], 0)


def test_each_segment_begins_with_what_is_carried_over(tmp_path):
    """Requests that are open stand in every segment, so the last one tells them all."""
    writer = write_to(tmp_path, carry_over=lambda: [log_line(7), log_line(8)])
    for number in range(100, 500):
        writer.append(log_line(number))

    for path in segment_files(tmp_path):
        assert [line + b"\n" for line in read_segment(path)[0]][:2] == [log_line(7), log_line(8)]


def test_a_disk_that_does_not_take_a_seal_for_a_moment(tmp_path, monkeypatch):
    """The segment is sealed later, and stays locked until then: a request that went on in the next is not aborted."""
    opened = {"a": start_line(1, "a")}
    writer = write_to(tmp_path, is_mapped=False, carry_over=lambda: list(opened.values()))
    writer.append(opened["a"])
    write, is_broken = os.pwrite, [True]

    def broken(file, data, offset):
        if offset and is_broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return write(file, data, offset)

    monkeypatch.setattr(os, "pwrite", broken)
    for number in range(2, 400):
        writer.append(log_line(number))
    unfinished = [_is_final(path) for path in segment_files(tmp_path)]
    writer.append(span_line(400, "a"))
    opened.clear()
    is_broken.clear()
    writer.close()

    assert unfinished == [False] * 3
    for path in segment_files(tmp_path):
        with SegmentReader(path) as reader:
            assert reader.header.is_sealed
            assert synthesized_events(reader).events == []


def _is_final(path):
    with SegmentReader(path) as reader:
        return reader.is_final()


def test_a_file_in_place_of_a_segment_is_left_alone(tmp_path):
    """Somebody put another file there, a larger one: sealing does not cut it, and later lines are kept elsewhere."""
    writer = write_to(tmp_path)
    writer.append(log_line(1))
    (path,) = segment_files(tmp_path)
    path.unlink()
    path.write_bytes(b"x" * 10 * SMALL)

    writer.close()
    writer.append(log_line(2))

    assert path.read_bytes() == b"x" * 10 * SMALL
    (other,) = set(segment_files(tmp_path)) - {path}
    assert read_segment(other) == ([log_line(2)[:-1]], 0)


def test_the_files_are_not_for_everybody(tmp_path):
    """Logs are read by their owner and the group."""
    writer = write_to(tmp_path)
    writer.append(log_line(1))

    (path,) = segment_files(tmp_path)
    made = [path, path.parent, path.parent.parent]
    assert [each.name for each in made if each.stat().st_mode & 0o007] == []


def test_a_line_that_fits_no_segment_is_counted(tmp_path):
    """The others are kept."""
    writer = write_to(tmp_path)
    for line in (log_line(1), log_line(2, "x" * SMALL), log_line(3)):
        writer.append(line)

    assert read_spool(tmp_path) == [log_line(1), log_line(3)]
    assert dropped(tmp_path) == {"error": 1}


@pytest.mark.parametrize("reason", ["limit", pytest.param("disk", marks=needs_c), "error"])
def test_a_drop_shows_at_once(tmp_path, reason):
    """The header of the open segment has the count."""
    writer = write_to(tmp_path)
    writer.append(log_line(1))
    writer.drop(reason)
    writer.drop(reason)

    assert dropped(tmp_path) == {reason: 2}


def test_a_drop_is_counted_once(tmp_path):
    """In the header of the segment that is open then, and in no later one."""
    writer = write_to(tmp_path)
    writer.append(log_line(0))
    writer.drop("error")
    for number in range(1, 500):
        writer.append(log_line(number))

    writer.drop("error")

    assert len(segment_files(tmp_path)) > 2
    assert dropped(tmp_path) == {"error": 2}


def test_a_drop_before_the_first_segment_is_told_by_it(tmp_path):
    """The count waits for a header to stand in."""
    writer = write_to(tmp_path)
    writer.drop("error")
    writer.append(log_line(1))

    assert dropped(tmp_path) == {"error": 1}


def test_at_the_limit_the_loss_is_counted(tmp_path):
    """Every line is there or in the count; the spool stays below its limit."""
    writer = write_to(tmp_path, limit_bytes=3 * SMALL)
    for number in range(2000):
        writer.append(log_line(number))

    kept = read_spool(tmp_path)
    assert kept == [log_line(number) for number in range(len(kept))]
    assert dropped(tmp_path) == {"limit": 2000 - len(kept)}
    assert sum(path.stat().st_size for path in segment_files(tmp_path)) <= 3 * SMALL


def test_the_marks_of_requests_are_not_dropped_events(tmp_path):
    """At the limit the log lines count, the start marks between them do not."""
    writer = write_to(tmp_path, limit_bytes=2 * SMALL)
    for number in range(1000):
        writer.append(log_line(number))
        writer.append(start_line(number, f"a{number}"))

    kept = [line for line in read_spool(tmp_path) if not is_start(line)]
    assert dropped(tmp_path) == {"limit": 1000 - len(kept)}


def test_it_goes_on_when_there_is_room(tmp_path):
    """Once segments are gone, lines are kept again."""
    writer = write_to(tmp_path, limit_bytes=2 * SMALL)
    for number in range(1000):
        writer.append(log_line(number))
    segment_files(tmp_path)[0].unlink()

    _append_until_kept(writer, tmp_path, log_line(1001))

    assert read_spool(tmp_path)[-1] == log_line(1001)


def test_one_service_does_not_take_the_room_of_another(tmp_path):
    """The limit is each service's own."""
    full, other = write_to(tmp_path, "cars", limit_bytes=SMALL), write_to(tmp_path, "parts", limit_bytes=SMALL)
    for number in range(1000):
        full.append(log_line(number))
    other.append(log_line(7))

    assert read_segment(segment_files(tmp_path)[-1]) == ([log_line(7)[:-1]], 0)


@needs_c
def test_a_full_disk_is_counted(tmp_path):
    """The file cannot grow: nothing is raised, nothing is left half made, and it goes on when there is room."""
    writer = write_to(tmp_path)
    with _files_at_most(SMALL // 2):
        for number in range(10):
            writer.append(log_line(number))
    assert [name for _, _, names in os.walk(tmp_path) for name in names] == ["drops"]

    _append_until_kept(writer, tmp_path, log_line(11))

    assert dropped(tmp_path)["disk"] >= 10


@needs_c
def test_a_disk_that_fills_up_keeps_what_it_has(tmp_path):
    """The segment that is open was allocated whole: it is filled to its end."""
    writer = write_to(tmp_path)
    writer.append(log_line(0))
    with _files_at_most(SMALL // 2):
        for number in range(1, 1000):
            writer.append(log_line(number))

    kept = read_spool(tmp_path)
    assert kept == [log_line(number) for number in range(len(kept))]
    assert len(kept) > 100
    assert dropped(tmp_path) == {"disk": 1000 - len(kept)}


@contextmanager
def _files_at_most(size):
    """What a full disk does to a file that grows, done to this process alone: writing beyond a size fails."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


def _append_until_kept(writer, spool, line):
    # After an obstacle the next attempts within a quarter of a second are not made.
    pause = threading.Event()
    for attempts in range(1, 1001):
        writer.append(line)
        if line in read_spool(spool):
            return attempts
        pause.wait(0.01)
    pytest.fail("not kept within 10 s")


@pytest.mark.parametrize("obstacle", ["spool", "spool/here", "spool/here/cars"])
def test_a_place_that_cannot_be_written_is_counted(tmp_path, obstacle, capsys):
    """A file where a folder should be: it is reported once, and each line that was lost is in the count."""
    (tmp_path / obstacle).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / obstacle).write_text("in the way")
    writer = write_to(tmp_path / "spool")

    for number in range(5):
        writer.append(log_line(number))
    (report,) = capsys.readouterr().err.splitlines()
    (tmp_path / obstacle).unlink()
    attempts = _append_until_kept(writer, tmp_path / "spool", log_line(7))

    assert read_spool(tmp_path / "spool") == [log_line(7)]
    assert dropped(tmp_path / "spool") == {"access": 5 + attempts - 1}
    assert report.startswith("dashcam: events of cars are dropped and counted: ")


def test_threads(tmp_path):
    """Lines of many threads: none lost, none torn, each thread's in its order, over many segments."""
    writer = write_to(tmp_path, segment_bytes=64 << 10)
    shares = [[log_line(number, f" of {thread}") for number in range(2000)] for thread in range(8)]

    _in_threads([lambda each=each: [writer.append(line) for line in each] for each in shares])

    lines = read_spool(tmp_path)
    assert sorted(lines) == sorted(line for share in shares for line in share)
    for share in shares:
        own = set(share)
        assert [line for line in lines if line in own] == share


def _in_threads(works):
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_threads_and_drops(tmp_path):
    """Whoever meets the limit, the sum is right."""
    writer = write_to(tmp_path, limit_bytes=4 * SMALL)

    _in_threads([lambda: [writer.append(log_line(number)) for number in range(1000)]] * 4)

    assert len(read_spool(tmp_path)) + dropped(tmp_path)["limit"] == 4000


@needs_c
def test_a_busy_process_begins_with_larger_files(tmp_path):
    """The first segment is small; those that follow it have half their size from the start, where there is room."""
    writer = write_to(tmp_path, segment_bytes=1 << 20)
    writer.append(log_line(0))
    (first,) = segment_files(tmp_path)
    first_bytes = first.stat().st_size
    while segment_files(tmp_path) == [first]:
        writer.append(log_line(1) * 100)

    assert first_bytes == 64 << 10
    assert segment_files(tmp_path)[-1].stat().st_size == 512 << 10


def test_a_clock_before_1970(tmp_path, monkeypatch):
    """As a test sets it: the segment has the ID of the first moment, and is one of the spool."""
    monkeypatch.setattr(machine, "time_ns", lambda: -1_000_000_000)
    writer = write_to(tmp_path)
    writer.append(log_line(7))
    writer.close()

    assert numbers_in(tmp_path) == [7]
