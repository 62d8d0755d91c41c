"""recorded = delivered + waiting + dead-lettered."""

import errno
import itertools
import os
from pathlib import Path

import pytest

from dashcam.ship.inspection.stats import RouteAccount, SpoolStats, collect_stats, count_before, count_segment
from dashcam.ship.listing import key_of
from dashcam.ship.reading.cursor import SegmentOffset
from dashcam.ship.state import checkpoint
from dashcam.ship.state.checkpoint import Checkpoint
from dashcam.ship.state.removal_account import (
    NAME,
    RECORD_BYTES,
    RECORDS,
    RemovalAccount,
    Victim,
    begin,
    load_account,
    remove,
)
from dashcam.spool.reader import SegmentReader, segment_files
from dashcam.spool.segment import DROP_REASONS, SUFFIX

from ...spool.spools import log_line, run_writer, span_line, start_line, write_to


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


def _fill(spool, count=400):
    writer = write_to(spool)
    for number in range(count):
        writer.append(log_line(number))
    writer.close()


def test_an_empty_folder(tmp_path):
    """Nothing was recorded."""
    assert collect_stats(tmp_path) == SpoolStats(0, {}, 0, {})


def test_what_is_recorded_is_counted(tmp_path, spool):
    """Events, by service; marks of requests are none; the size is that of the files."""
    cars, parts = write_to(spool, "cars"), write_to(spool, "parts")
    for line in (log_line(1), start_line(2, "a"), span_line(3, "a")):
        cars.append(line)
    parts.append(log_line(4))
    for writer in (cars, parts):
        writer.close()

    account = collect_stats(tmp_path)

    assert (account.recorded, account.services) == (3, {"cars": 2, "parts": 1})
    assert account.bytes == sum(path.stat().st_size for path in segment_files(spool))
    assert account.routes == {}


def test_what_a_segments_end_tells_is_recorded_too(tmp_path, spool):
    """A request that was aborted, and that events were dropped, are events to be delivered."""
    with pytest.raises(AssertionError):
        run_writer("writer.append(start_line(1, 'a'))\nwriter.drop('limit')\nos.kill(os.getpid(), 9)", spool)

    account = collect_stats(tmp_path)

    assert (account.recorded, account.dropped) == (2, dict.fromkeys(DROP_REASONS, 0) | {"limit": 1})


def test_what_was_delivered_ahead_does_not_wait(tmp_path, spool):
    """A stop fell between two batches under way: the later one is delivered, before the mark can move."""
    _fill(spool, 10)
    (path,) = segment_files(spool)
    with SegmentReader(path) as reader:
        lines = reader.read(is_final=True).lines
    key = key_of(spool, path)
    ahead = {key: frozenset(after.offset for _, after in lines[5:8])}
    marks = {key: SegmentOffset(*lines[4][1], events=5)}
    checkpoint.save(tmp_path / "positions", "loggly", Checkpoint(marks=marks, delivered=8, ahead=ahead))

    assert collect_stats(tmp_path).routes["loggly"].waiting == 2


@pytest.mark.parametrize(("synthesized", "waiting"), [(0, 2), (1, 1), (2, 0)])
def test_what_a_segments_end_tells_waits_until_it_is_delivered(tmp_path, spool, synthesized, waiting):
    """The aborted request and the drops, each by itself."""
    with pytest.raises(AssertionError):
        run_writer("writer.append(start_line(1, 'a'))\nwriter.drop('limit')\nos.kill(os.getpid(), 9)", spool)
    (path,) = segment_files(spool)
    with SegmentReader(path) as reader:
        after = reader.read(is_final=True).after
    marks = {key_of(spool, path): SegmentOffset(*after, synthesized=synthesized, events=synthesized)}
    checkpoint.save(tmp_path / "positions", "loggly", Checkpoint(marks=marks, delivered=synthesized))

    assert collect_stats(tmp_path).routes["loggly"].waiting == waiting


def test_each_route_has_its_share(tmp_path, spool):
    """What lies behind its offsets waits."""
    _fill(spool)
    first, *rest = segment_files(spool)
    with SegmentReader(first) as reader:
        lines = reader.read(is_final=True).lines
    marks = {key_of(spool, first): SegmentOffset(*lines[9][1], events=10)}
    checkpoint.save(tmp_path / "positions", "loggly", Checkpoint(marks, delivered=8, dead=2))
    checkpoint.save(tmp_path / "positions", "elk", Checkpoint())
    done = {
        key_of(spool, path): SegmentOffset(1, 1, is_done=True, events=count_segment(path).recorded)
        for path in [first, *rest]
    }
    checkpoint.save(tmp_path / "positions", "local", Checkpoint(done, delivered=300, earlier=100))

    account = collect_stats(tmp_path)

    assert (account.recorded, account.services) == (400, {"cars": 400})
    assert account.routes == {
        "elk": RouteAccount(0, 400, 0, 0, None),
        "local": RouteAccount(300, 0, 0, 0, None, earlier=100),
        "loggly": RouteAccount(8, 390, 2, 0, None),
    }


def test_events_before_offsets(tmp_path, spool):
    """Those of segments that are gone, and those up to an offset within one."""
    _fill(spool, 2000)
    paths = segment_files(spool)
    counts = [count_segment(path).recorded for path in paths]
    done = {
        key_of(spool, path): SegmentOffset(is_done=True, events=count)
        for path, count in zip(paths[:2], counts, strict=False)
    }
    marks = done | {key_of(spool, paths[2]): SegmentOffset(500, 10, events=10)}
    assert count_before(tmp_path, marks) == counts[0] + counts[1] + 10

    remove(tmp_path, [_victim(spool, paths[0])])

    assert count_before(tmp_path, marks) == counts[0] + counts[1] + 10


def test_what_a_power_cut_took_is_missing(tmp_path, spool):
    """It was recorded and delivered by one route; the account never says fewer than that, and the other lacks it."""
    _fill(spool, 10)
    (path,) = segment_files(spool)
    key, size = key_of(spool, path), path.stat().st_size
    checkpoint.save(
        tmp_path / "positions", "ahead", Checkpoint({key: SegmentOffset(size, 10, is_done=True, events=10)}, 10)
    )
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(bytes(size - size // 2))
    left = count_segment(path).recorded
    checkpoint.save(
        tmp_path / "positions", "behind", Checkpoint({key: SegmentOffset(size, 9, is_done=True, events=left)}, left)
    )

    account = collect_stats(tmp_path)

    assert 0 < left < 10
    assert account.recorded == 10
    assert account.routes["ahead"] == RouteAccount(10, 0, 0, 0, None)
    assert account.routes["behind"] == RouteAccount(left, 0, 0, 0, None, missing=10 - left)


def test_a_segment_that_a_power_cut_took_is_missing(tmp_path, spool):
    """One route had delivered it; for the other it was no segment any more, and its file is gone."""
    done = SegmentOffset(100, 10, is_done=True, events=10)
    gone = SegmentOffset(is_done=True)
    checkpoint.save(tmp_path / "positions", "ahead", Checkpoint({"here/cars/1": done}, 10))
    checkpoint.save(tmp_path / "positions", "behind", Checkpoint({"here/cars/1": gone}, damaged=1))

    account = collect_stats(tmp_path)

    assert account.recorded == 10
    assert account.routes["behind"] == RouteAccount(0, 0, 0, 1, None, missing=10)


def test_each_route_lacks_what_only_the_other_had(tmp_path, spool):
    """A power cut took a segment that one had delivered; of the other segment it did not have the aborted requests."""
    _fill(spool, 4)
    (path,) = segment_files(spool)
    key, size = key_of(spool, path), path.stat().st_size
    done = [SegmentOffset(size, 5, is_done=True), SegmentOffset(size, 5, is_done=True, synthesized=4, events=4)]
    for name, mark, delivered in zip(("first", "second"), done, (10, 4), strict=True):
        checkpoint.save(tmp_path / "positions", name, Checkpoint({key: mark}, delivered))

    account = collect_stats(tmp_path)

    assert account.recorded == 14
    assert account.routes["first"] == RouteAccount(10, 0, 0, 0, None, missing=4)
    assert account.routes["second"] == RouteAccount(4, 0, 0, 0, None, missing=10)


def test_what_a_removed_segment_lacked_stays_missing(tmp_path, spool):
    """Its account is that of the route that had the most of it."""
    _fill(spool, 10)
    (path,) = segment_files(spool)
    for name, delivered in (("ahead", 10), ("behind", 8)):
        checkpoint.save(tmp_path / "positions", name, Checkpoint(delivered=delivered))

    remove(tmp_path, [_victim(spool, path)])

    assert collect_stats(tmp_path).routes["behind"] == RouteAccount(8, 0, 0, 0, None, missing=2)


def test_a_kill_before_the_account_is_written(tmp_path, spool, monkeypatch):
    """On a full disk removed segments give their room to the account; none of their events is forgotten meanwhile."""
    _fill(spool, 2000)
    paths = segment_files(spool)
    marks = {
        key_of(spool, path): SegmentOffset(path.stat().st_size, is_done=True, events=count_segment(path).recorded)
        for path in paths
    }
    checkpoint.save(tmp_path / "positions", "local", Checkpoint(marks))
    open_, recorded = os.open, []

    def full(path, *arguments, **options):
        if str(path).endswith(".pruned.new"):
            recorded.append(collect_stats(tmp_path).recorded)
            if len(recorded) < 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return open_(path, *arguments, **options)

    monkeypatch.setattr(os, "open", full)
    remove(tmp_path, [_victim(spool, path) for path in paths[:4]])

    assert recorded == [2000] * 3
    assert collect_stats(tmp_path).recorded == 2000
    assert segment_files(spool) == paths[4:]


def test_a_power_cut_while_the_account_is_written(tmp_path, spool):
    """Whatever pages of it are on the disk, one of the two accounts is whole; both are of one size."""
    _fill(spool, 2000)
    paths = segment_files(spool)
    for path in paths[:3]:
        remove(tmp_path, [_victim(spool, path)])
    before = (tmp_path / NAME).read_bytes(), load_account(tmp_path)
    remove(tmp_path, [_victim(spool, paths[3])])
    after = (tmp_path / NAME).read_bytes(), load_account(tmp_path)
    pages = [[data[at : at + 4096] for at in range(0, len(data), 4096)] for data, _ in (before, after)]

    found = []
    for mixed in itertools.product(*(set(page) for page in zip(*pages, strict=True))):
        (tmp_path / NAME).write_bytes(b"".join(mixed))
        found.append(load_account(tmp_path))

    assert len(found) >= 4
    assert {account.recorded for account in found} == {before[1].recorded, after[1].recorded}


def test_a_removal_is_on_the_disk_before_the_account_forgets_it(tmp_path, spool, monkeypatch):
    """Else a power cut could bring back a segment that counts a second time."""
    _fill(spool, 2000)
    first, second, *_ = segment_files(spool)
    remove(tmp_path, [_victim(spool, first)])
    fsync, synced = os.fsync, []

    def told(file):
        synced.append(Path(f"/proc/self/fd/{file}").resolve())
        fsync(file)

    monkeypatch.setattr(os, "fsync", told)
    remove(tmp_path, [_victim(spool, second)])

    assert synced == [first.parent, tmp_path / NAME, tmp_path / NAME]


def test_more_segments_than_a_record_names(tmp_path, spool):
    """They go in several parts, each with its account."""
    victims = []
    for number in range(500):
        path = spool / "h" / "s" / f"{number:024x}{SUFFIX}"
        victims.append(Victim(key_of(spool, path), path, number, {"limit": 1}))

    remove(tmp_path, victims)

    account = load_account(tmp_path)
    assert (account.recorded, account.dropped) == (sum(range(500)), {"limit": 500})
    assert account.last[-1] == victims[-1].key
    assert (tmp_path / NAME).stat().st_size == RECORDS * RECORD_BYTES


def test_an_account_that_is_too_long_for_its_place(tmp_path, spool):
    """It gets a file of its own length."""
    begin(tmp_path)
    held = {f"route-{number}": number for number in range(1_000)}

    for number in range(2):
        remove(tmp_path, [Victim(f"{number}", spool / f"{number}{SUFFIX}", 1, {}, held)])

    account = load_account(tmp_path)
    assert (account.recorded, account.expired["route-999"], len(account.expired)) == (2, 1_998, 1_000)


def test_a_segment_that_cannot_be_removed_counts_once(tmp_path, spool, monkeypatch):
    """It is in the account; the next try does not enter it again."""
    _fill(spool, 10)
    (path,) = segment_files(spool)
    victim, unlink = _victim(spool, path), os.unlink

    def broken(name, **_):
        raise OSError(errno.EIO, os.strerror(errno.EIO), name)

    monkeypatch.setattr(os, "unlink", broken)
    with pytest.raises(OSError, match="Input/output"):
        remove(tmp_path, [victim])
    monkeypatch.setattr(os, "unlink", unlink)
    remove(tmp_path, [victim])

    assert load_account(tmp_path).recorded == 10


def test_there_is_an_answer_in_time(tmp_path, spool):
    """With no time left it says that it is not all."""
    _fill(spool, 10)
    clock = iter(range(100))

    account = collect_stats(tmp_path, max_s=0.5, clock_s=lambda: next(clock))

    assert (account.recorded, account.is_complete) == (0, False)


def test_a_segment_that_goes_while_it_is_counted(tmp_path, spool):
    """It was removed as it should be, and nothing is said to be unreadable."""
    _fill(spool, 10)
    looks = []

    def clock_s():
        looks.append(1)
        for path in segment_files(spool) if looks[1:] else ():  # behind the listing
            path.unlink()
        return 0.0

    account = collect_stats(tmp_path, clock_s=clock_s)

    assert (account.recorded, account.unreadable, account.is_complete) == (0, {}, True)


def _victim(spool, path):
    count = count_segment(path)
    return Victim(key_of(spool, path), path, count.recorded, count.dropped)


def test_garbage_is_no_event(tmp_path, spool):
    """It does not stop the counting."""
    _fill(spool, 10)
    (spool / "here/cars/0000.segment").write_bytes(b"garbage")

    assert collect_stats(tmp_path).recorded == 10


def test_a_kill_while_segments_are_removed(tmp_path, spool):
    """Between the entry into the account and the removal, they count once; then they go."""
    _fill(spool, 1000)
    first, second, *rest = segment_files(spool)
    data = first.read_bytes()

    remove(tmp_path, [_victim(spool, first), _victim(spool, second)])
    first.write_bytes(data)  # as if the kill had come before it went
    assert collect_stats(tmp_path).recorded == 1000

    first.unlink()
    assert segment_files(spool) == rest
    assert collect_stats(tmp_path).recorded == 1000


def test_the_account_of_removed_segments_adds_up(tmp_path):
    """One after the other goes; events and drops of all of them stay in the account."""
    for number in (1, 2):
        remove(tmp_path, [Victim(f"{number}", tmp_path / f"{number}", 10 * number, {"limit": 2, "disk": number})])

    assert load_account(tmp_path) == RemovalAccount(30, {"limit": 4, "disk": 3}, ("2",), {}, number=2)


def test_what_was_dropped_outlives_its_segment(tmp_path, spool):
    """The account keeps it."""
    writer = write_to(spool)
    writer.append(log_line(1))
    writer.drop("limit")
    writer.close()

    remove(tmp_path, [_victim(spool, segment_files(spool)[0])])

    assert collect_stats(tmp_path).dropped["limit"] == 1


def test_one_changed_byte_costs_nothing(tmp_path, spool):
    """The account of what is gone is there several times."""
    _fill(spool, 1000)
    first, *_ = segment_files(spool)
    remove(tmp_path, [_victim(spool, first)])
    whole = (tmp_path / NAME).read_bytes()

    for at in [at for at, byte in enumerate(whole) if byte != ord(" ") or at % 997 == 0][::3]:
        (tmp_path / NAME).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert collect_stats(tmp_path).recorded == 1000


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"recorded":1,"of another version":2}'])
def test_a_damaged_entry_begins_anew(tmp_path, spool, damage):
    """What is there is counted."""
    _fill(spool, 10)
    (tmp_path / NAME).write_bytes(damage)

    assert collect_stats(tmp_path).recorded == 10
