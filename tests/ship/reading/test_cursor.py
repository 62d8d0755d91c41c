"""A route's way through the spool: every event once, wherever it is taken up again."""

import errno
import gc
import os
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from dashcam import machine
from dashcam.ship.batch import Limits
from dashcam.ship.inspection.stats import count_segment
from dashcam.ship.listing import key_of
from dashcam.ship.reading.cursor import SpoolCursor
from dashcam.ship.state.checkpoint import SegmentOffset
from dashcam.spool.reader import segment_files
from dashcam.spool.segment import encode_header, new_segment_id, service_folder

from ...spool.spools import (
    SHARED,
    SMALL,
    close_writers,
    ids_in,
    log_line,
    run_writer,
    running_writer,
    span_line,
    start_line,
    write_to,
)

PLENTY = Limits(events=10_000, bytes=10_000_000)


@pytest.fixture
def cursor(tmp_path):
    cursor = SpoolCursor(tmp_path, {})
    yield cursor
    cursor.close()


def _batches(cursor, limits=PLENTY):
    batches = []
    while batch := cursor.next_batch(limits):
        batches.append(batch)
    return batches


def _lines(batches):
    return [line for batch in batches for line in batch.events]


def _messages(batches):
    return [orjson.loads(line.data)["message"] for line in _lines(batches)]


def _offsets():
    """The offsets in this process; other tests may have left some."""
    gc.collect()
    return sum(isinstance(each, SegmentOffset) for each in gc.get_objects())


def _spool(folder, services=("cars", "parts"), count=400):
    """Several segments of several services; the last one of each is open."""
    for service in services:
        writer = write_to(folder, service)
        for number in range(count):
            writer.append(log_line(number, f" {service}"))


def test_an_empty_spool(cursor):
    """Nothing is new."""
    assert cursor.next_batch(PLENTY) is None


def test_no_more_is_read_than_a_batch_takes(tmp_path, cursor):
    """In bytes, too: long events would fill the memory before they are so many."""
    _spool(tmp_path)
    limits = Limits(events=10_000, bytes=5_000)
    first = cursor.next_batch(limits)

    for path in segment_files(tmp_path)[1:]:
        path.unlink()
    rest = _batches(cursor, limits)

    assert len({event.id.partition("-")[0] for event in _lines([first, *rest])}) == 1


def test_segments_that_are_gone_take_no_memory(tmp_path, cursor):
    """Not for ever: some hundred offsets are kept at most, and those of what is there."""
    before = _offsets()
    open_one = write_to(tmp_path)
    open_one.append(log_line(0))
    writer = write_to(tmp_path)
    for number in range(1, 400):
        writer.append(log_line(number))
        writer.close()
        assert _messages(_batches(cursor)) == (["0", "1"] if number == 1 else [str(number)])
        segment_files(tmp_path)[-1].unlink()

    assert _offsets() - before < 200
    open_one.append(log_line(400))
    assert _messages(_batches(cursor)) == ["400"]


def test_everything_comes_once(tmp_path, cursor):
    """Of all services and segments, each in its order, with ids that say the place."""
    _spool(tmp_path)

    batches = _batches(cursor)

    for service in ("cars", "parts"):
        own = [message for message in _messages(batches) if message.endswith(service)]
        assert own == [f"{number} {service}" for number in range(400)]
    ids = [line.id for line in _lines(batches)]
    assert len(set(ids)) == len(ids) == 800
    for path in segment_files(tmp_path):
        assert [line_id for line_id in ids if line_id.startswith(path.stem)] == ids_in(path)


@pytest.mark.parametrize("events", [1, 7, 100, 799, 800, 801])
def test_no_more_events_than_allowed(tmp_path, cursor, events):
    """Whatever is there at once."""
    _spool(tmp_path)

    sizes = [len(batch.events) for batch in _batches(cursor, Limits(events, 10_000_000))]

    assert sum(sizes) == 800
    assert max(sizes) == min(events, 800)


def test_no_more_bytes_than_allowed(tmp_path, cursor):
    """Counted with a newline each."""
    _spool(tmp_path)

    batches = _batches(cursor, Limits(events=10_000, bytes=5_000))

    sizes = [sum(len(line.data) + 1 for line in batch.events) for batch in batches]
    assert max(sizes) <= 5_000
    assert min(sizes[:-3]) > 4_500
    assert len(_lines(batches)) == 800


@pytest.mark.parametrize(("missing_bytes", "sizes"), [(0, [2, 1]), (1, [1, 1, 1])])
def test_a_newline_is_a_byte_of_the_batch(tmp_path, cursor, missing_bytes, sizes):
    """Two events fit into the bytes of both with a newline each, and not into one byte less."""
    writer = write_to(tmp_path)
    for number in (1, 2, 3):
        writer.append(log_line(number))
    first = SpoolCursor(tmp_path, {})
    with_newline = len(first.next_batch(PLENTY).events[0].data) + 1
    first.close()

    batches = _batches(cursor, Limits(events=100, bytes=2 * with_newline - missing_bytes))

    assert [len(batch.events) for batch in batches if batch.events] == sizes


def test_an_event_larger_than_allowed_goes_alone(tmp_path, cursor):
    """The backend may refuse it; the others do not wait for that."""
    writer = write_to(tmp_path)
    for line in (log_line(1), log_line(2, "x" * 3000), log_line(3)):
        writer.append(line)

    batches = _batches(cursor, Limits(events=100, bytes=2000))

    assert [len(batch.events) for batch in batches if batch.events] == [1, 1, 1]


def test_what_comes_later(tmp_path, cursor):
    """The cursor goes on in a live segment, then in the one after it."""
    with running_writer(
        "for line in sys.stdin:\n    writer.append(log_line(int(line)))\n    print(flush=True)", tmp_path
    ) as process:
        seen = []
        for number in range(1000):
            process.stdin.write(f"{number}\n")
            process.stdin.flush()
            process.stdout.readline()
            seen += _messages(_batches(cursor))
            assert len(seen) == number + 1

    assert seen == [str(number) for number in range(1000)]
    assert len(segment_files(tmp_path)) > 3


def test_marks_of_requests_move_the_position_only(tmp_path, cursor):
    """A batch never holds one."""
    writer = write_to(tmp_path)
    for line in (start_line(1, "a"), log_line(2), start_line(3, "b"), log_line(4)):
        writer.append(line)
    writer.close()

    lines = _lines(_batches(cursor))

    (path,) = segment_files(tmp_path)
    assert [line.id for line in lines] == ids_in(path)[1::2]


def test_a_folder_that_cannot_be_listed_for_a_moment(tmp_path, cursor):
    """What was read of its segments is not read again when it is back."""
    writer = write_to(tmp_path)
    writer.append(log_line(1))
    (folder,) = tmp_path.glob("*/*")
    assert [number for batch in _batches(cursor) for number in batch.events]

    folder.rename(tmp_path.parent / "aside")
    assert _batches(cursor) == []
    (tmp_path.parent / "aside").rename(folder)
    writer.append(log_line(2))

    (event,) = _lines(_batches(cursor))
    assert b'"message":"2"' in event.data


DEATH = """
for number in range(10):
    writer.append(start_line(number, f"a{number}"))
    writer.append(log_line(number))
writer.drop("limit")
os.kill(os.getpid(), signal.SIGKILL)
"""


def _spool_of_the_dead(folder):
    with pytest.raises(AssertionError):
        run_writer(DEATH, folder)
    _spool(folder, count=40)
    close_writers()
    (folder / "here/cars/0000deadbeefdeadbeefdead.segment").write_bytes(b"garbage")


@pytest.mark.parametrize("events", [1, 3, 7])
def test_taken_up_again_anywhere(tmp_path, events):
    """From the marks of any batch, a new cursor gives just the rest, also amid the synthesized events."""
    _spool_of_the_dead(tmp_path)
    limits = Limits(events, 10_000_000)
    whole = SpoolCursor(tmp_path, {})
    batches = _batches(whole, limits)
    expected = {line.id for line in _lines(batches)}
    assert len(expected) == 10 + 11 + 80

    marks = {}
    seen = []
    for batch in batches:
        marks |= batch.marks
        seen += [line.id for line in batch.events]
        again = SpoolCursor(tmp_path, marks)
        rest = [line.id for line in _lines(_batches(again))]
        again.close()
        assert sorted(seen + rest) == sorted(expected)
    whole.close()


def test_a_tape_at_the_end_has_every_segment_done(tmp_path):
    """Then nothing is read again."""
    _spool_of_the_dead(tmp_path)
    first = SpoolCursor(tmp_path, {})
    marks = {segment: mark for batch in _batches(first) for segment, mark in batch.marks.items()}
    first.close()

    assert marks.keys() == {key_of(tmp_path, path) for path in segment_files(tmp_path)} | {
        "here/cars/0000deadbeefdeadbeefdead"
    }
    assert all(mark.is_done for mark in marks.values())


def test_garbage_is_counted_once(tmp_path):
    """Also after a restart."""
    folder = tmp_path / "here/cars"
    folder.mkdir(parents=True)
    for name, data in {"0001": b"", "0002": b"GIF89a" * 1000, "0003": bytes(SMALL)}.items():
        (folder / f"{name}.segment").write_bytes(data)

    first = SpoolCursor(tmp_path, {})
    batches = _batches(first)
    first.close()

    assert sum(batch.damaged for batch in batches) == 3
    second = SpoolCursor(tmp_path, {segment: mark for batch in batches for segment, mark in batch.marks.items()})
    assert second.next_batch(PLENTY) is None
    second.close()


def test_what_cannot_be_read_now_is_read_later(tmp_path, cursor):
    """An obstacle is no damage: nothing is given up."""
    writer = write_to(tmp_path)
    writer.append(log_line(1))
    writer.close()
    (path,) = segment_files(tmp_path)
    path.rename(tmp_path / "elsewhere")
    path.mkdir()

    assert cursor.next_batch(PLENTY) is None
    assert cursor.obstacles == {path: "Is a directory"}

    path.rmdir()
    (tmp_path / "elsewhere").rename(path)
    assert _messages(_batches(cursor)) == ["1"]


def test_a_damaged_place_is_counted(tmp_path, cursor):
    """The lines around it are there."""
    writer = write_to(tmp_path)
    for line in (log_line(1), b"{}\n", log_line(3)):
        writer.append(line)
    writer.close()

    batches = _batches(cursor)

    assert _messages(batches) == ["1", "3"]
    assert sum(batch.damaged for batch in batches) == 1


def test_very_many_files_that_are_no_segments(tmp_path, cursor, monkeypatch):
    """No other event waits for them; and the folder, which each of them changes, is seldom listed."""
    _spool(tmp_path, ["cars"])
    for number in range(4000):
        (tmp_path / "here" / "cars" / f"{number:024x}.segment").touch()
    listed, list_folder = [], os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: listed.append(list_folder(folder)) or listed[-1])

    first, *others = _batches(cursor)

    assert len(first.events) == 400
    assert first.damaged < 200
    assert first.damaged + sum(batch.damaged for batch in others) == 4000
    assert sum(map(len, listed)) < 10 * 4000


def test_a_segment_that_goes_away(tmp_path, cursor):
    """Whoever removed it, the others go on."""
    _spool(tmp_path, ["cars"])
    first, *_ = segment_files(tmp_path)
    first.unlink()

    assert _messages(_batches(cursor))[-1] == "399 cars"


@pytest.mark.parametrize("max_open", [1, 3])
def test_few_segments_are_open_at_once(tmp_path, max_open):
    """However many there are that live or wait: everything comes once."""
    with running_writer("for line in sys.stdin:\n    print(flush=True)", tmp_path):
        for number in range(20):
            writer = write_to(tmp_path, f"service-{number}")
            for line in range(5):
                writer.append(log_line(line, f" {number}"))
        before = len(list(Path("/proc/self/fd").iterdir()))
        cursor = SpoolCursor(tmp_path, {}, max_open=max_open)
        limits = Limits(events=7, bytes=10_000_000)
        events = []
        while batch := cursor.next_batch(limits):
            events += batch.events
            assert len(list(Path("/proc/self/fd").iterdir())) <= before + max_open
        cursor.close()

    assert len({event.id for event in events}) == len(events) == 100


@pytest.fixture
def clock(monkeypatch):
    """Sets the time that has passed, in seconds."""

    def set_to(now_s):
        monkeypatch.setattr("dashcam.machine.monotonic", lambda: now_s)

    set_to(0.0)
    return set_to


def _ended(folder):
    """A segment that nobody sealed or locks, with three lines."""
    segment = new_segment_id(1_795_484_100_000_000_000)
    path = service_folder(folder, "here", "cars") / f"{segment}.segment"
    path.parent.mkdir(parents=True)
    path.write_bytes(encode_header(segment, 1, SHARED, 0) + b"".join(map(log_line, range(3))) + bytes(SMALL))
    return path


def _write_on(path, numbers):
    _write_bytes(path, b"".join(map(log_line, numbers)))


def _write_bytes(path, text):
    data = path.read_bytes()
    end = data.index(b"\0")
    path.write_bytes(data[:end] + text + data[end + len(text) :])


@pytest.mark.parametrize("is_restarted", [False, True])
def test_lines_of_a_process_that_was_thought_gone(tmp_path, clock, is_restarted):
    """They are read on, by the same shipper and by one that is started later, and an event at the end comes once."""
    path = _ended(tmp_path)
    cursor = SpoolCursor(tmp_path, {})
    first = _batches(cursor)
    marks = {key: mark for batch in first for key, mark in batch.marks.items()}
    assert [mark.is_done for mark in marks.values()] == [True]
    if is_restarted:
        cursor.close()
        cursor = SpoolCursor(tmp_path, marks)
    _write_on(path, [3, 4])
    assert _batches(cursor) == []

    clock(10.0)
    second = _batches(cursor)
    clock(400.0)
    _write_on(path, [5])
    third = _batches(cursor)
    cursor.close()

    assert [_messages(each) for each in (first, second, third)] == [["0", "1", "2"], ["3", "4"], ["5"]]
    (mark,) = third[-1].marks.values()
    assert (mark.events, mark.is_done) == (6, True)


def test_a_request_that_went_on_after_it_was_reported(tmp_path, clock):
    """The report stays, and counts; what came then is counted, too."""
    path = _ended(tmp_path)
    cursor = SpoolCursor(tmp_path, {})
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes(data + start_line(3, "a") + bytes(SMALL))
    assert len(_lines(_batches(cursor))) == 4
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes(data + span_line(4, "a") + bytes(SMALL))

    clock(10.0)
    (batch,) = _batches(cursor)
    cursor.close()

    assert len(batch.events) == 1
    (mark,) = batch.marks.values()
    assert count_segment(path, mark).recorded == count_segment(path, mark._replace(offset=0, events=1)).recorded == 5


def test_a_quiet_segment_costs_one_look(tmp_path, monkeypatch):
    """Not a read of its header, nor a question whether its process lives, but for now and then."""
    writers = [write_to(tmp_path, f"service-{number}") for number in range(20)]
    for writer in writers:
        writer.append(log_line(1))
    now_s = [100.0]
    monkeypatch.setattr(machine, "monotonic", lambda: now_s[0])
    with closing(SpoolCursor(tmp_path, {}, final_check_s=0.5)) as cursor:
        assert len(_lines(_batches(cursor))) == 20
        looks, real = [], os.pread
        monkeypatch.setattr(os, "pread", lambda *given: looks.append(given[1]) or real(*given))
        now_s[0] += 0.4
        assert cursor.next_batch(PLENTY) is None
        assert looks == [1] * 20
        writers[7].append(log_line(2))
        assert _messages(_batches(cursor)) == [orjson.loads(log_line(2))["message"]]
        for writer in writers:
            writer.close()
        now_s[0] += 0.6
        _batches(cursor)
        assert sum(mark.is_done for mark in cursor._segments._marks.values()) == 20


@pytest.mark.parametrize("is_mapped", [True, False], ids=["mapped", "appended"])
def test_a_drop_is_said_at_the_end_of_its_own_segment(tmp_path, cursor, is_mapped):
    """Not of the next one, which a service that has ended never begins."""
    writer = write_to(tmp_path, is_mapped=is_mapped)
    writer.append(log_line(1))
    writer.drop("limit")
    writer.close()

    assert _messages(_batches(cursor)) == ["1", "1 events dropped: 1 by limit"]


def test_what_is_said_of_an_end_is_on_the_disk(tmp_path, cursor, monkeypatch):
    """Before it is sent: after a power cut, the segment gives the same events again."""
    writer = write_to(tmp_path)
    writer.append(log_line(1))
    writer.drop("limit")
    writer.close()
    real, synced = os.fsync, []
    monkeypatch.setattr(
        os, "fsync", lambda file: synced.append(str(Path(f"/proc/self/fd/{file}").readlink())) or real(file)
    )

    batch = cursor.next_batch(PLENTY)

    assert batch.events[-1].id.endswith("-dropped")
    assert synced == [str(path) for path in segment_files(tmp_path)]


def test_a_disk_that_cannot_be_synced_holds_nothing_up(tmp_path, cursor, monkeypatch):
    """What is said of the end goes out all the same."""
    writer = write_to(tmp_path)
    writer.append(log_line(1))
    writer.drop("limit")
    writer.close()

    def fsync(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    batch = cursor.next_batch(PLENTY)

    assert batch.events[-1].id.endswith("-dropped")


def test_lines_behind_a_torn_one(tmp_path, clock):
    """A line was cut off where its process was thought gone; what that wrote later is read all the same."""
    path = _ended(tmp_path)
    _write_bytes(path, log_line(3)[:40])
    cursor = SpoolCursor(tmp_path, {})
    first = _batches(cursor)
    _write_bytes(path, log_line(3)[40:] + log_line(4))
    clock(10.0)
    second = _batches(cursor)
    cursor.close()

    assert [_messages(each) for each in (first, second)] == [["0", "1", "2"], ["4"]]
    assert [sum(batch.damaged for batch in each) for each in (first, second)] == [1, 1]
