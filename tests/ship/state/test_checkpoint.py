"""How far each route has come, over restarts, switches, kills and damage."""

import resource
from contextlib import closing

import pytest

from dashcam.ship.state import checkpoint
from dashcam.ship.state.checkpoint import Checkpoint, CheckpointFile, SegmentOffset, Trouble
from dashcam.ship.state.journal import Journal, encode_record, read_journal

SOME = Checkpoint(
    marks={"a": SegmentOffset(100, 2, events=2), "b": SegmentOffset(300, 5, is_done=True, synthesized=2, events=6)},
    delivered=6,
    dead=1,
    damaged=3,
    earlier=7,
    trouble=Trouble("2026-11-24T01:35:46.123456Z", "down"),
    ahead={"a": frozenset({700, -1})},
)


@pytest.fixture
def file(tmp_path):
    with closing(CheckpointFile(tmp_path, "loggly", SOME)) as file:
        file.rewrite()
        yield file


def kept(folder):
    return checkpoint.load(folder)["loggly"]


def test_a_checkpoint_is_kept(tmp_path):
    """All of it, by the route's name."""
    checkpoint.save(tmp_path, "loggly", SOME)
    checkpoint.save(tmp_path, "elk", Checkpoint())

    assert checkpoint.load(tmp_path) == {"elk": Checkpoint(), "loggly": SOME}


def test_a_first_start(tmp_path):
    """There is no checkpoint, nor even the folder."""
    assert checkpoint.load(tmp_path / "absent") == {}


def test_changes_are_kept(tmp_path, file):
    """Offsets are replaced one by one, counts are added, events ahead are kept until an offset passes them."""
    file.change({"a": SegmentOffset(200, 4, events=4)}, delivered=2, dead=1, damaged=1, ahead={"c": [50, 90]})
    file.save()
    file.change({"c": SegmentOffset(60, 1, events=1)}, delivered=1)
    file.set_trouble(None)
    file.save()

    assert kept(tmp_path) == file.checkpoint
    assert file.checkpoint == Checkpoint(
        SOME.marks | {"a": SegmentOffset(200, 4, events=4), "c": SegmentOffset(60, 1, events=1)},
        *(9, 2, 4, 7),
        ahead={"a": frozenset({700, -1}), "c": frozenset({90})},
    )


def test_a_segment_that_is_done_has_nothing_ahead(file):
    """Its last offset passes all of it."""
    file.change({"a": SegmentOffset(800, 9, is_done=True, synthesized=1, events=9)})

    assert file.checkpoint.ahead == {}
    assert file.done_segments() == {"a", "b"}


@pytest.mark.parametrize("cut", range(2, 60, 7))
def test_a_kill_within_a_record_costs_that_record_alone(tmp_path, file, cut):
    """The rest of the checkpoint is as it was before it."""
    file.change({"a": SegmentOffset(200, 4, events=4)}, delivered=2)
    file.save()
    path = tmp_path / "loggly.journal"
    path.write_bytes(path.read_bytes()[:-cut])

    assert kept(tmp_path) == SOME


def test_one_changed_byte_costs_nothing(tmp_path, file):
    """Wherever it is: each record has what the one before it changed, and the first one is there twice."""
    for offset in (200, 300):
        file.change({"a": SegmentOffset(offset, offset // 50, events=offset // 50)}, delivered=2)
        file.save()
    path = tmp_path / "loggly.journal"
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1

    for at in range(0, last, 5):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert kept(tmp_path) == file.checkpoint


def test_a_page_that_a_power_cut_took_ends_the_journal(tmp_path, file):
    """Later records are on the disk, and count what the lost ones said was done: only what is before it adds up."""
    for number in range(200):
        file.change({f"s{number}": SegmentOffset(9, 1, events=1)}, delivered=1)
        file.save()
    path = tmp_path / "loggly.journal"
    data = path.read_bytes()
    path.write_bytes(data[:8192] + bytes(4096) + data[12288:])

    left = kept(tmp_path)
    journal = Journal(path)
    journal.resume()
    journal.append({"a": 1})
    journal.close()

    assert 0 < left.delivered - SOME.delivered == sum(key.startswith("s") for key in left.marks) < 200
    assert read_journal(path).records[-1] == {"a": 1}


def test_damage_is_reported_and_a_copy_is_kept(tmp_path, file, caplog):
    """It is counted with what was damaged in the spool."""
    path = tmp_path / "loggly.journal"
    path.write_bytes(path.read_bytes().replace(b'"delivered":6', b'"delivered":7', 1))

    assert checkpoint.load_checked(tmp_path)["loggly"].damaged == SOME.damaged + 1
    assert "1 damaged records are left out" in caplog.text
    assert (tmp_path / "loggly.journal.damaged").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("damage", [b"", b"\0" * 100, b"[]\n", b"7", b"garbage\n" * 3])
def test_a_checkpoint_that_is_all_damaged_begins_anew(tmp_path, damage):
    """What was delivered is sent again, under its former IDs."""
    (tmp_path / "loggly.journal").write_bytes(damage)

    assert checkpoint.load(tmp_path) == {"loggly": Checkpoint()}


def test_a_journal_does_not_grow_for_ever(tmp_path, file):
    """It is written anew from time to time."""
    many = {f"segment-{number}": SegmentOffset(1, 1, events=1) for number in range(100)}
    for _ in range(1500):
        file.change(many)
        file.save()

    assert (tmp_path / "loggly.journal").stat().st_size < 2 * checkpoint.MAX_JOURNAL_BYTES
    assert kept(tmp_path) == file.checkpoint


def test_offsets_of_segments_that_are_gone_go_too(tmp_path):
    """The counts stay."""
    marks = {str(number): SegmentOffset(1, 1, is_done=True, events=1) for number in range(500)}
    with closing(CheckpointFile(tmp_path, "loggly", Checkpoint(marks, delivered=500))) as file:
        file.rewrite()
        file.sync(present={"7"})
        file.rewrite()

        assert file.done_segments() == {"7"}
    assert kept(tmp_path) == Checkpoint({"7": marks["7"]}, delivered=500)


def test_a_file_that_was_removed_is_written_again(tmp_path, file, caplog):
    """Nothing of it is lost."""
    (tmp_path / "loggly.journal").unlink()
    file.change(delivered=1)
    file.save()

    file.sync()

    assert kept(tmp_path).delivered == 7
    assert "was removed, and is written again" in caplog.text


def test_a_record_that_a_full_disk_cut_off_costs_nothing(tmp_path, file):
    """The next one takes its place, and has what it lacked."""
    path = tmp_path / "loggly.journal"
    _, most = former_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    file.change({"a": SegmentOffset(200, 4, events=4)}, delivered=2)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, most))
        with pytest.raises(OSError, match="space"):
            file.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former_limit)
    file.save()

    assert read_journal(path).damaged == 0
    assert kept(tmp_path) == file.checkpoint
    assert file.checkpoint.delivered == SOME.delivered + 2


@pytest.mark.parametrize(
    "fields",
    [{}, {"marks": 7}, {"marks": {"a": [1, 2, 3, 4, 5, 6, 7]}}, {"trouble": 7}, {"delivered": "many"}, {"ahead": 7}],
)
def test_a_whole_record_of_another_kind_is_left_out(tmp_path, file, fields):
    """Its checksum is right, its fields are not: the other records count."""
    path = tmp_path / "loggly.journal"
    right = {"marks": {}, "ahead": {}, "trouble": None, "delivered": 1, "dead": 1, "damaged": 1, "earlier": 1}
    path.write_bytes(path.read_bytes() + encode_record(right | fields if fields else {}))

    assert kept(tmp_path) == SOME


def test_a_change_that_cannot_be_written_is_written_later(tmp_path, file):
    """It is in memory meanwhile."""
    path = tmp_path / "elsewhere"
    tmp_path.joinpath("loggly.journal").rename(path)
    with closing(CheckpointFile(tmp_path / "file" / "below", "loggly", SOME)) as stuck:
        (tmp_path / "file").write_text("in the way")
        stuck.change({"a": SegmentOffset(200, 4, events=4)}, delivered=2)
        with pytest.raises(OSError, match="not"):
            stuck.save()
        assert not stuck.is_saved

        (tmp_path / "file").unlink()
        stuck.rewrite()

        assert stuck.is_saved
        assert checkpoint.load(tmp_path / "file" / "below")["loggly"].delivered == 8


def _known(folder, **checkpoints):
    for route, each in checkpoints.items():
        checkpoint.save(folder, route, each)


def _hand_over(folder, routes):
    return checkpoint.hand_over(folder, routes, lambda marks: sum(mark.events for mark in marks.values()))


LOW = Checkpoint({"a": SegmentOffset(100, 1, events=1), "b": SegmentOffset()}, delivered=1)
HIGH = Checkpoint({"a": SegmentOffset(300, 3, events=3), "b": SegmentOffset(200, 2, events=2)}, delivered=5)


def test_the_first_route_begins_at_the_beginning(tmp_path):
    """Everything of the spool is its."""
    assert _hand_over(tmp_path, ["local"]) == {"local": Checkpoint()}
    assert checkpoint.load(tmp_path) == {"local": Checkpoint()}


def test_a_route_goes_on(tmp_path):
    """From its own checkpoint, in trouble as it was, whatever stands beside it."""
    _known(tmp_path, local=SOME, loggly=HIGH)

    assert _hand_over(tmp_path, ["loggly", "local"]) == {"local": SOME, "loggly": HIGH}


def test_a_switch_hands_over(tmp_path):
    """The new route begins where the old one stood; what lies before is not its doing; the old one is gone."""
    _known(tmp_path, local=SOME)

    checkpoints = _hand_over(tmp_path, ["loggly"])

    began = {"start": SOME.marks, "skipped": SOME.ahead}
    assert checkpoints == {"loggly": Checkpoint(SOME.marks, earlier=2 + 6 + 2, ahead=SOME.ahead, **began)}
    assert checkpoint.load(tmp_path) == checkpoints


def test_a_second_route_joins(tmp_path):
    """It begins where the first one stands: what came before is in the first."""
    _known(tmp_path, local=HIGH)

    assert _hand_over(tmp_path, ["local", "loggly"]) == {
        "local": HIGH,
        "loggly": Checkpoint(HIGH.marks, earlier=5, start=HIGH.marks),
    }


def test_two_hand_over_to_one(tmp_path):
    """It goes on from the furthest of them, segment by segment: each event is in one of them at least."""
    left = Checkpoint({"a": SegmentOffset(300, 3, events=3), "b": SegmentOffset()}, delivered=3)
    right = Checkpoint(
        {"a": SegmentOffset(100, 1, events=1), "b": SegmentOffset(200, 2, is_done=True, events=2)}, delivered=3
    )
    _known(tmp_path, loggly=left, elk=right)

    local = _hand_over(tmp_path, ["local"])["local"]

    assert local.marks == {"a": SegmentOffset(300, 3, events=3), "b": SegmentOffset(200, 2, is_done=True, events=2)}
    assert (local.delivered, local.dead, local.earlier) == (0, 0, 5)


def test_events_ahead_that_another_route_has_passed(tmp_path):
    """They lie before its offset, and count once."""
    left = Checkpoint({"a": SegmentOffset(100, 1, events=1)}, delivered=4, ahead={"a": frozenset({200, 900, -1})})
    right = Checkpoint({"a": SegmentOffset(300, 3, events=3)}, delivered=2, dead=1)
    _known(tmp_path, loggly=left, elk=right)

    local = _hand_over(tmp_path, ["local"])["local"]

    assert local.ahead == {"a": frozenset({900, -1})}
    assert (local.delivered, local.earlier) == (0, 5)


def test_one_of_two_stays(tmp_path):
    """It goes on from its own checkpoint; the other is at work no more."""
    _known(tmp_path, loggly=LOW, elk=HIGH)

    assert _hand_over(tmp_path, ["loggly"]) == {"loggly": LOW}
    assert checkpoint.load(tmp_path) == {"loggly": LOW}


def test_one_of_two_is_replaced(tmp_path):
    """The new one follows the one that left, not the one that stays."""
    _known(tmp_path, loggly=LOW, elk=HIGH)

    assert _hand_over(tmp_path, ["elk", "local"]) == {
        "elk": HIGH,
        "local": Checkpoint(LOW.marks, earlier=1, start=LOW.marks),
    }


def test_a_journal_goes_on_behind_what_a_kill_cut_off(tmp_path):
    """`resume` takes no room: the record that was cut off goes, and the next one stands alone."""
    path = tmp_path / "some.journal"
    journal = Journal(path)
    journal.rewrite([{"number": 1}])
    journal.append({"number": 2})
    journal.close()
    path.write_bytes(path.read_bytes()[:-3])

    journal.resume()
    journal.append({"number": 3})
    journal.close()

    assert read_journal(path) == ([{"number": 1}, {"number": 3}], 0)
