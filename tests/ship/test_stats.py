"""recorded = delivered + waiting + dead-lettered."""

import pytest

from dashcam.ship import checkpoint
from dashcam.ship.checkpoint import Checkpoint
from dashcam.ship.cursor import SegmentOffset
from dashcam.ship.stats import RouteAccount, SpoolStats, _enter, collect_stats, count_before, prune
from dashcam.spool.reader import SegmentReader, segment_files
from dashcam.spool.segment import DROP_REASONS

from ..spool.spools import SMALL, log_line, read_segment, run_writer, span_line, start_line, write_to


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
    assert collect_stats(tmp_path) == SpoolStats(0, {}, 0, {}, {})


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
        run_writer("writer.append(start_line(1, 'a'))\nwriter.drop('disk')\nos.kill(os.getpid(), 9)", spool)

    account = collect_stats(tmp_path)

    assert (account.recorded, account.dropped) == (2, dict.fromkeys(DROP_REASONS, 0) | {"disk": 1})


def test_what_was_delivered_ahead_does_not_wait(tmp_path, spool):
    """A stop fell between two batches under way: the later one is delivered, before the mark can move."""
    _fill(spool, 10)
    (path,) = segment_files(spool)
    with SegmentReader(path) as reader:
        lines = reader.read(is_final=True).lines
    ahead = frozenset(f"{path.stem}-{after.sequence:08d}" for _, after in lines[5:8])
    marks = {path.stem: SegmentOffset(*lines[4][1])}
    checkpoint.save(tmp_path / "positions", "loggly", Checkpoint(marks=marks, delivered=8, ahead=ahead))

    assert collect_stats(tmp_path).routes["loggly"].waiting == 2


@pytest.mark.parametrize(("synthesized", "waiting"), [(0, 2), (1, 1), (2, 0)])
def test_what_a_segments_end_tells_waits_until_it_is_delivered(tmp_path, spool, synthesized, waiting):
    """The aborted request and the drops, each by itself."""
    with pytest.raises(AssertionError):
        run_writer("writer.append(start_line(1, 'a'))\nwriter.drop('disk')\nos.kill(os.getpid(), 9)", spool)
    (path,) = segment_files(spool)
    with SegmentReader(path) as reader:
        after = reader.read(is_final=True).after
    marks = {path.stem: SegmentOffset(*after, synthesized=synthesized)}
    checkpoint.save(tmp_path / "positions", "loggly", Checkpoint(marks=marks, delivered=synthesized))

    assert collect_stats(tmp_path).routes["loggly"].waiting == waiting


def test_each_route_has_its_share(tmp_path, spool):
    """What lies behind its marks waits."""
    _fill(spool)
    first, *rest = segment_files(spool)
    with SegmentReader(first) as reader:
        lines = reader.read(is_final=True).lines
    marks = {first.stem: SegmentOffset(*lines[9][1])}
    checkpoint.save(tmp_path / "positions", "loggly", Checkpoint(marks, delivered=8, dead=2))
    checkpoint.save(tmp_path / "positions", "elk", Checkpoint())
    done = {path.stem: SegmentOffset(1, 1, is_done=True) for path in [first, *rest]}
    checkpoint.save(tmp_path / "positions", "local", Checkpoint(done, delivered=400))

    account = collect_stats(tmp_path)

    assert account.recorded == 400
    assert account.routes == {
        "elk": RouteAccount(0, 400, 0, 0, None),
        "local": RouteAccount(400, 0, 0, 0, None),
        "loggly": RouteAccount(8, 390, 2, 0, None),
    }


def test_events_before_marks(tmp_path, spool):
    """Those of segments that are gone, of segments that are done, and those up to a mark within one."""
    _fill(spool, 2000)
    paths = segment_files(spool)
    with SegmentReader(paths[2]) as reader:
        lines = reader.read(is_final=True).lines
    before = sum(len(read_segment(path)[0]) for path in paths[:2]) + 10
    marks = {path.stem: SegmentOffset(is_done=True) for path in paths[:2]} | {
        paths[2].stem: SegmentOffset(*lines[9][1])
    }

    assert count_before(tmp_path, marks) == before
    prune(tmp_path, {paths[0].stem}, limit_bytes=0)
    assert count_before(tmp_path, marks) == before


def test_garbage_is_no_event(tmp_path, spool):
    """It does not stop the counting."""
    _fill(spool, 10)
    (spool / "here/cars/0000.segment").write_bytes(b"garbage")

    assert collect_stats(tmp_path).recorded == 10


def test_pruning_keeps_to_the_limit(tmp_path, spool):
    """The oldest of the segments that are done go; the account keeps what they held."""
    _fill(spool, 2000)
    paths = segment_files(spool)
    before = collect_stats(tmp_path)

    prune(tmp_path, {path.stem for path in paths[:8]}, limit_bytes=(len(paths) - 5) * SMALL)

    assert segment_files(spool) == paths[5:]
    after = collect_stats(tmp_path)
    assert after.recorded == before.recorded == 2000
    assert after.bytes < before.bytes


def test_drops_of_pruned_segments_stay_in_the_account(tmp_path, spool):
    """One segment after the other goes; what each says was dropped is still counted, by reason."""
    for reason in ("limit", "disk", "limit"):
        writer = write_to(spool)
        writer.append(log_line(1))
        writer.drop(reason)
        writer.close()

    for path in segment_files(spool):
        prune(tmp_path, {path.stem}, limit_bytes=0)

    assert segment_files(spool) == []
    dropped = collect_stats(tmp_path).dropped
    assert {reason: count for reason, count in dropped.items() if count} == {"limit": 2, "disk": 1}


def test_what_is_not_done_is_not_pruned(tmp_path, spool):
    """However little room there is."""
    _fill(spool, 2000)
    paths = segment_files(spool)

    prune(tmp_path, {paths[3].stem}, limit_bytes=0)

    assert segment_files(spool) == [*paths[:3], *paths[4:]]


def test_what_is_no_segment_stays(tmp_path):
    """A file that cannot be read, of another version perhaps, is kept, whatever the need of room."""
    foreign = tmp_path / "spool" / "host" / "service" / "01a20b52ffa8a1415010965e.segment"
    foreign.parent.mkdir(parents=True, exist_ok=True)
    foreign.write_bytes(b'{"spool":1,"sealed":0}\n')

    prune(tmp_path, {foreign.stem}, limit_bytes=0)

    assert foreign.exists()


def test_a_kill_while_a_segment_is_pruned(tmp_path, spool):
    """Between the entry into the account and the removal, the segment counts once; then it goes."""
    _fill(spool, 1000)
    first, *rest = segment_files(spool)

    _enter(tmp_path, first)
    assert collect_stats(tmp_path).recorded == 1000

    prune(tmp_path, {first.stem}, limit_bytes=0)
    assert segment_files(spool) == rest
    assert collect_stats(tmp_path).recorded == 1000


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"recorded":1,"of another version":2}'])
def test_a_damaged_entry_begins_anew(tmp_path, spool, damage):
    """What is there is counted."""
    _fill(spool, 10)
    (tmp_path / "pruned.json").write_bytes(damage)

    assert collect_stats(tmp_path).recorded == 10
