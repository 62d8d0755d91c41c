"""How far each route has come, over restarts and switches."""

import orjson
import pytest

from dashcam.ship import checkpoint
from dashcam.ship.checkpoint import Checkpoint, Trouble
from dashcam.ship.cursor import SegmentOffset

SOME = Checkpoint(
    marks={"a": SegmentOffset(100, 2), "b": SegmentOffset(300, 5, is_done=True, synthesized=2)},
    delivered=6,
    dead=1,
    damaged=3,
    trouble=Trouble("2026-11-24T01:35:46.123456Z", "down"),
    ahead=frozenset({"a-00000007"}),
)


def test_an_account_is_kept(tmp_path):
    """All of it, by the route's name."""
    checkpoint.save(tmp_path, "loggly", SOME)
    checkpoint.save(tmp_path, "elk", Checkpoint(), is_synced=True)

    assert checkpoint.load(tmp_path) == {"elk": Checkpoint(), "loggly": SOME}


def test_no_account(tmp_path):
    """A first start, without the folder even."""
    assert checkpoint.load(tmp_path / "absent") == {}


def test_an_account_is_replaced_in_one_step(tmp_path):
    """What a kill left of the next one is none."""
    checkpoint.save(tmp_path, "loggly", SOME)
    (tmp_path / ".loggly.new").write_bytes(b'{"marks":{"a":[')

    assert checkpoint.load(tmp_path) == {"loggly": SOME}


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\0" * 100,
        b"[]",
        b"7",
        b"{}",
        b'{"marks":7,"trouble":null}',
        b'{"marks":{"a":[1]},"trouble":7}',
        b'{"marks":{"a":7},"trouble":null}',
        b'{"marks":{},"trouble":null,"of another version":1}',
        orjson.dumps(SOME, default=tuple)[:-10],
    ],
)
def test_a_damaged_account_begins_anew(tmp_path, damage):
    """What was delivered comes again, under its old ids."""
    (tmp_path / "loggly.json").write_bytes(damage)

    assert checkpoint.load(tmp_path) == {"loggly": Checkpoint()}


def test_an_account_of_the_version_before(tmp_path):
    """Its marks said nothing of what a segment's end tells."""
    old = b'{"marks":{"a":[100,2,false]},"delivered":2,"dead":0,"damaged":0,"trouble":null}'
    (tmp_path / "loggly.json").write_bytes(old)

    assert checkpoint.load(tmp_path) == {"loggly": Checkpoint(marks={"a": SegmentOffset(100, 2)}, delivered=2)}


def test_an_account_advances():
    """Marks are replaced one by one, numbers are added."""
    advanced = Checkpoint({"a": SegmentOffset(1, 1), "b": SegmentOffset(2, 2)}, 3, 1).advanced(
        {"b": SegmentOffset(5, 5), "c": SegmentOffset(1, 1)}, 4, 2, 1
    )

    assert advanced == Checkpoint(
        {"a": SegmentOffset(1, 1), "b": SegmentOffset(5, 5), "c": SegmentOffset(1, 1)}, 7, 3, 1
    )


def test_marks_of_segments_that_are_gone():
    """They go too, and the numbers stay."""
    assert SOME.within({"a"}) == Checkpoint({"a": SegmentOffset(100, 2)}, 6, 1, 3, SOME.trouble, SOME.ahead)


def _known(folder, **accounts):
    for route, account in accounts.items():
        checkpoint.save(folder, route, account)


def _hand_over(folder, routes):
    """Where the account of one of those before is right as it is, nothing is counted."""
    return checkpoint.hand_over(folder, routes, lambda _: pytest.fail("counted"))


LOW = Checkpoint({"a": SegmentOffset(100, 1), "b": SegmentOffset(0, 0)}, delivered=1)
HIGH = Checkpoint({"a": SegmentOffset(300, 3), "b": SegmentOffset(200, 2)}, delivered=5)


def test_the_first_route_begins_at_the_beginning(tmp_path):
    """Everything of the spool is its."""
    assert _hand_over(tmp_path, ["local"]) == {"local": Checkpoint()}
    assert checkpoint.load(tmp_path) == {"local": Checkpoint()}


def test_a_route_goes_on(tmp_path):
    """From its own place, in trouble as it was, whatever stands beside it."""
    _known(tmp_path, local=SOME, loggly=HIGH)

    assert _hand_over(tmp_path, ["loggly", "local"]) == {"local": SOME, "loggly": HIGH}


def test_a_switch_hands_over(tmp_path):
    """The new route goes on where the old one stood, without its trouble; the old one is at work no more."""
    _known(tmp_path, local=SOME)

    progress = _hand_over(tmp_path, ["loggly"])

    assert progress == {"loggly": Checkpoint(SOME.marks, 6, 1, 3, None, SOME.ahead)}
    assert checkpoint.load(tmp_path) == progress


def test_a_second_route_joins(tmp_path):
    """It begins where the first one stands: what came before is in the first."""
    _known(tmp_path, local=HIGH)

    assert _hand_over(tmp_path, ["local", "loggly"]) == {"local": HIGH, "loggly": HIGH}


def test_two_hand_over_to_one(tmp_path):
    """It goes on from the furthest of them, segment by segment: each event is in one of them at least."""
    left = Checkpoint({"a": SegmentOffset(300, 3), "b": SegmentOffset(0, 0)}, delivered=3)
    right = Checkpoint({"a": SegmentOffset(100, 1), "b": SegmentOffset(200, 2, is_done=True)}, delivered=3)
    _known(tmp_path, loggly=left, elk=right)

    progress = checkpoint.hand_over(tmp_path, ["local"], lambda marks: sum(mark.sequence for mark in marks.values()))[
        "local"
    ]

    assert progress.marks == {"a": SegmentOffset(300, 3), "b": SegmentOffset(200, 2, is_done=True)}
    assert (progress.delivered, progress.dead) == (5, 0)


def test_events_ahead_that_another_has_passed(tmp_path):
    """They are before its mark, and count once; those told at a segment's end have no place to be before."""
    left = Checkpoint(
        {"a": SegmentOffset(100, 1)}, delivered=3, ahead=frozenset({"a-00000002", "a-00000009", "a-aborted-00000002"})
    )
    right = Checkpoint({"a": SegmentOffset(300, 3)}, delivered=2, dead=1)
    _known(tmp_path, loggly=left, elk=right)

    progress = checkpoint.hand_over(tmp_path, ["local"], lambda _: 3)["local"]

    assert progress.ahead == {"a-00000009", "a-aborted-00000002"}
    assert progress.marks == {"a": SegmentOffset(300, 3)}
    assert (progress.delivered, progress.dead) == (4, 1)


def test_one_of_two_stays(tmp_path):
    """It goes on from its own place; the other is at work no more."""
    _known(tmp_path, loggly=LOW, elk=HIGH)

    assert _hand_over(tmp_path, ["loggly"]) == {"loggly": LOW}
    assert checkpoint.load(tmp_path) == {"loggly": LOW}


def test_one_of_two_is_replaced(tmp_path):
    """The new one follows the one that left, not the one that stays."""
    _known(tmp_path, loggly=LOW, elk=HIGH)

    assert _hand_over(tmp_path, ["elk", "local"]) == {"elk": HIGH, "local": LOW}
