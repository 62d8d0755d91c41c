"""The care of the spool: synced, pruned where room is short, and reported where it cannot be done."""

import errno
import os
import stat
from contextlib import closing
from pathlib import Path

import pytest

from dashcam.ship.inspection.stats import collect_stats, count_before, count_segment
from dashcam.ship.listing import key_of
from dashcam.ship.state.checkpoint import Checkpoint, CheckpointFile, SegmentOffset
from dashcam.ship.state.removal_account import load_account
from dashcam.ship.upkeep.housekeeping import MIN_FREE_WANTED_BYTES, Housekeeping
from dashcam.spool.drops import DropCounts
from dashcam.spool.reader import segment_files
from dashcam.spool.segment import OPEN, SEALED_AT

from ...spool.spools import SMALL, log_line, running_writer, write_to

PLENTY = (1 << 50, 1 << 50)


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


def _fill(spool, count=2000):
    writer = write_to(spool)
    for number in range(count):
        writer.append(log_line(number))
    writer.close()
    return segment_files(spool)


def _keeper(folder, done, limit_bytes=1 << 40, disk=PLENTY):
    """Housekeeping beside a route that is done with some segments."""
    spool = folder / "spool"
    marks = {
        key_of(spool, path): SegmentOffset(path.stat().st_size, is_done=True, events=count_segment(path).recorded)
        for path in done
    }
    file = CheckpointFile(folder / "positions", "played", Checkpoint(marks, sum(m.events for m in marks.values())))
    file.rewrite()
    file.close()
    return Housekeeping(folder, limit_bytes, [file], disk_bytes=lambda _: disk)


def test_a_segment_with_lines_after_its_end_stays(tmp_path, spool):
    """Its process was thought gone, and was not: the lines are still to be shipped."""
    first, second = _fill(spool, 260)[:2]
    _break_seal(first)
    keeper = _keeper(tmp_path, [first, second], limit_bytes=1)
    first.write_bytes(first.read_bytes() + log_line(1000))

    _round(keeper)

    assert segment_files(spool)[0] == first
    assert second not in segment_files(spool)


def _break_seal(path):
    data = bytearray(path.read_bytes())
    data[SEALED_AT : SEALED_AT + 1] = OPEN
    path.write_bytes(data)


def _round(keeper):
    with closing(keeper):
        keeper.round()
    for file in keeper._files:
        file.close()


def test_it_keeps_to_the_limit(tmp_path, spool):
    """The oldest of the segments that are done go; the account keeps what they held."""
    paths = _fill(spool)
    keeper = _keeper(tmp_path, paths[:8], (len(paths) - 5) * SMALL)
    before = collect_stats(tmp_path)

    _round(keeper)

    assert segment_files(spool) == paths[5:]
    after = collect_stats(tmp_path)
    assert after.recorded == before.recorded == 2000
    assert after.bytes < before.bytes


def test_what_is_not_done_stays(tmp_path, spool):
    """However little room there is."""
    paths = _fill(spool)

    _round(_keeper(tmp_path, [paths[3]], 0))

    assert segment_files(spool) == [*paths[:3], *paths[4:]]


def test_what_one_of_two_routes_is_done_with_stays(tmp_path, spool):
    """Only what both are done with goes."""
    paths = _fill(spool)
    keepers = [_keeper(tmp_path, done, 0) for done in (paths[:3], paths[2:5])]
    files = [file for keeper in keepers for file in keeper._files]

    _round(Housekeeping(tmp_path, 0, files, disk_bytes=lambda _: PLENTY))

    assert segment_files(spool) == [*paths[:2], *paths[3:]]


@pytest.mark.parametrize(("free_bytes", "left"), [(MIN_FREE_WANTED_BYTES, 10), (MIN_FREE_WANTED_BYTES - 1, 9), (0, 0)])
def test_room_is_made_when_the_disk_is_short(tmp_path, spool, free_bytes, left):
    """Whatever the limit of the spool; as much as is needed of what is delivered."""
    paths = _fill(spool)[:10]

    _round(_keeper(tmp_path, paths, disk=(free_bytes, 10 << 20)))

    assert len(set(segment_files(spool)) & set(paths)) == left


def test_what_is_not_a_segment_stays(tmp_path):
    """A file that cannot be read, of another version perhaps, is kept, whatever the need of room."""
    foreign = tmp_path / "spool" / "host" / "service" / "01a20b52ffa8a1415010965e.segment"
    foreign.parent.mkdir(parents=True, exist_ok=True)
    foreign.write_bytes(b'{"spool":1,"sealed":0}\n')
    marks = {"host/service/01a20b52ffa8a1415010965e": SegmentOffset(is_done=True)}
    with closing(CheckpointFile(tmp_path / "positions", "played", Checkpoint(marks))) as file:
        file.rewrite()
        with closing(Housekeeping(tmp_path, 0, [file], disk_bytes=lambda _: (0, 0))) as keeper:
            keeper.round()

    assert foreign.exists()


def _syncs(monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda file: synced.append(str(Path(f"/proc/self/fd/{file}").readlink())) or real(file)
    )
    return synced


def test_counts_that_a_header_took_do_not_come_back(tmp_path, spool, monkeypatch):
    """That they left the file is on the disk before the header goes: a power cut would bring them back otherwise."""
    folder = spool / "here" / "cars"
    folder.mkdir(parents=True)
    DropCounts(folder).add("limit")
    paths = _fill(spool, 260)
    synced = _syncs(monkeypatch)
    keeper = _keeper(tmp_path, paths, limit_bytes=1)
    unlink, at_removal = Path.unlink, []
    monkeypatch.setattr(Path, "unlink", lambda path, **how: at_removal.append(list(synced)) or unlink(path, **how))

    _round(keeper)

    assert not segment_files(spool)
    assert str(folder / "drops") in at_removal[0]


def test_counts_that_a_power_cut_brought_back_go_with_their_header(tmp_path, spool):
    """The header has them: the file counts them no more when it is gone."""
    folder = spool / "here" / "cars"
    folder.mkdir(parents=True)
    DropCounts(folder).add("limit")
    before = (folder / "drops").read_bytes()
    paths = _fill(spool, 260)
    (folder / "drops").write_bytes(before)
    assert collect_stats(tmp_path).dropped["limit"] == 1

    _round(_keeper(tmp_path, paths, limit_bytes=1))

    assert not segment_files(spool)
    assert collect_stats(tmp_path).dropped["limit"] == 1


def test_a_removal_whose_account_was_written_but_not_synced(tmp_path, spool, monkeypatch):
    """The next one is of another segment, because lines came to the first: it does not count twice."""
    first, second = _fill(spool, 260)[:2]
    _break_seal(first)
    account = collect_stats(tmp_path)
    size = sum(each.stat().st_size for each in segment_files(spool))
    with closing(_keeper(tmp_path, [first, second], limit_bytes=size - 1)) as keeper:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", _sync_but_no_folder)
            with pytest.raises(OSError, match="a fault of the disk"):
                keeper.make_room()
        first.write_bytes(first.read_bytes() + log_line(1000))
        keeper.make_room()

    assert (first.exists(), second.exists()) == (True, False)
    assert collect_stats(tmp_path).recorded == account.recorded


def _sync_but_no_folder(file):
    if stat.S_ISDIR(os.fstat(file).st_mode):
        raise OSError(errno.EIO, "a fault of the disk")


def test_what_has_not_grown_is_not_synced_again(tmp_path, spool, monkeypatch):
    """A live segment is synced after each of its lines, a finished one once."""
    finished = _fill(spool, 10)
    code = "for line in sys.stdin:\n    writer.append(log_line(int(line)))\n    print(flush=True)"
    with running_writer(code, spool) as process:

        def write(number):
            process.stdin.write(f"{number}\n")
            process.stdin.flush()
            process.stdout.readline()

        write(1)
        (live,) = set(segment_files(spool)) - set(finished)
        keeper = _keeper(tmp_path, [])
        synced = _syncs(monkeypatch)
        _round(keeper)
        assert {str(path) for path in segment_files(spool)} <= set(synced)
        synced.clear()
        _round(keeper)
        assert not [path for path in synced if path.endswith(".segment")]
        write(2)
        _round(keeper)

    assert [path for path in synced if path.endswith(".segment")] == [str(live)]


def _calls(monkeypatch, name):
    """The calls of a function of `os` that end in a segment's name, or have an open file."""
    calls, real = [], getattr(os, name)

    def noted(what, *rest, **named):
        calls.extend([what] if isinstance(what, int) or str(what).endswith(".segment") else [])
        return real(what, *rest, **named)

    monkeypatch.setattr(os, name, noted)
    return calls


@pytest.mark.parametrize(("max_open", "opened_again"), [(100, 0), (5, 15)])
def test_a_segment_that_may_grow_stays_open(tmp_path, spool, monkeypatch, max_open, opened_again):
    """A round looks at one byte of it, and as many stay open as may."""
    writers = [write_to(spool, f"service-{number}") for number in range(20)]
    for writer in writers:
        writer.append(log_line(1))
    with (
        closing(CheckpointFile(tmp_path / "positions", "played", Checkpoint())) as file,
        closing(Housekeeping(tmp_path, 1 << 40, [file], disk_bytes=lambda _: PLENTY, max_open=max_open)) as keeper,
    ):
        file.rewrite()
        for _ in range(3):  # asked whether they are final in rounds 2 and 3, 6, 10
            keeper.round()
        opened, read, statted = (_calls(monkeypatch, name) for name in ("open", "pread", "lstat"))
        keeper.round()
        assert (len(opened), len(read), statted) == (opened_again, 20, [])

    for writer in writers:
        writer.close()


def test_what_is_final_costs_a_round_nothing(tmp_path, spool, monkeypatch):
    """However many segments stay until the spool needs room."""
    paths = _fill(spool)
    with closing(_keeper(tmp_path, paths)) as keeper:
        for _ in range(3):
            keeper.round()
        calls = [_calls(monkeypatch, name) for name in ("open", "pread", "fsync", "lstat", "stat")]
        keeper.round()
        for file in keeper._files:
            file.close()

    assert not any("segment" in str(each) for each in [*calls[0], *calls[3], *calls[4]])
    assert calls[1] == []


def test_what_cannot_be_done_is_reported(tmp_path, spool, caplog):
    """The other steps go on; it is a trouble until it is done."""
    _fill(spool, 10)
    keeper = _keeper(tmp_path, [])
    (tmp_path / "positions" / "played.journal").unlink()
    (tmp_path / "positions").rmdir()
    (tmp_path / "positions").write_text("in the way")

    _round(keeper)
    assert list(keeper.troubles.values()) == ["File exists"]
    assert "nothing is lost, it tries again" in caplog.text

    (tmp_path / "positions").unlink()
    _round(keeper)
    assert keeper.troubles == {}


def test_a_disk_that_does_not_take_the_account(tmp_path, spool, monkeypatch):
    """What had to go for nothing is counted as soon as there is room."""
    paths = _fill(spool, 500)
    keeper = _keeper(tmp_path, paths, 1)
    open_, faults = os.open, [1] * 20

    def full(path, *arguments, **options):
        if str(path).endswith(".pruned.new") and faults:
            faults.pop()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return open_(path, *arguments, **options)

    monkeypatch.setattr(os, "open", full)
    keeper.round()
    monkeypatch.undo()
    _round(keeper)

    assert keeper.troubles == {}
    assert segment_files(spool) == []
    assert load_account(tmp_path).recorded == 500


def test_a_folder_that_cannot_be_listed_for_a_moment(tmp_path, spool, monkeypatch):
    """Its offsets stay, and what lies before them counts as before: nothing is sent again when it is back."""
    (path,) = _fill(spool, 10)
    keeper = _keeper(tmp_path, [path])
    (file,) = keeper._files
    hidden = {f"here/parts/{number:024x}": SegmentOffset(1, is_done=True, events=1) for number in range(200)}
    (spool / "here/parts").mkdir()
    file.change(hidden)
    list_ = os.listdir

    def refused(path):
        if Path(path).name == "parts":
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return list_(path)

    monkeypatch.setattr(os, "listdir", refused)
    _round(keeper)
    before = count_before(tmp_path, file.checkpoint.marks)

    assert file.checkpoint.marks.keys() > hidden.keys()
    assert before == 210
