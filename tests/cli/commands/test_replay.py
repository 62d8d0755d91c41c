"""Dead letters are sent again when their cause was mended, and the account agrees."""

import json

import pytest

from dashcam.cli import main
from dashcam.event import format_time
from dashcam.ship.state.dead_letters import DeadLetter, DeadLetters, names_in
from dashcam.testing.backend_contract import line
from dashcam.testing.fake_loggly import StandIn

from ...hosted.processes import Stage, numbers_in


@pytest.fixture
def loggly(tmp_path, monkeypatch):
    with StandIn() as stand_in:
        for name, value in (stand_in.environment() | {"DASHCAM_DIR": str(tmp_path)}).items():
            monkeypatch.setenv(name, value)
        yield stand_in


def letters(folder, name="loggly", numbers=range(3)):
    kept = DeadLetters(folder / "dead-letters", name)
    kept.add(DeadLetter(format_time(0), "too odd", line(number)) for number in numbers)
    return kept


def test_letters_are_sent_to_the_backend_that_refused_them(loggly, tmp_path, capsys):
    """Those of the shipper and those of a copy; then there are none."""
    letters(tmp_path)
    letters(tmp_path, "copy-loggly", [7])

    assert main(["replay", "--json"]) == 0

    assert sorted(numbers_in(loggly.lines())) == [0, 1, 2, 7]
    assert json.loads(capsys.readouterr().out) == {
        "copy-loggly": {"replayed": 1, "left": 0},
        "loggly": {"replayed": 3, "left": 0},
    }
    assert names_in(tmp_path / "dead-letters") == []


def test_what_is_refused_again_stays(loggly, tmp_path, capsys):
    """With the new reason; exit status 1."""
    kept = letters(tmp_path)
    loggly.sending.plan("400", "400")  # all three, then the first of them

    assert main(["replay"]) == 1

    assert [(letter.event.id, "400" in letter.reason) for letter in kept.read()] == [(line(0).id, True)]
    assert sorted(numbers_in(loggly.lines())) == [1, 2]
    assert capsys.readouterr().out == "loggly: 2 replayed, 1 left\n"


def test_a_replay_that_was_killed_loses_nothing(loggly, tmp_path):
    """Its letters lie aside until the next one."""
    kept = letters(tmp_path)
    kept.path.rename(kept.path.with_suffix(".replaying"))
    letters(tmp_path, numbers=[5])

    assert main(["replay"]) == 0

    assert sorted(numbers_in(loggly.lines())) == [0, 1, 2, 5]


def test_nothing_to_replay_is_well(loggly, capsys):
    """Exit status 0, and it says so."""
    assert main(["replay"]) == 0
    assert "no dead letters" in capsys.readouterr().err


def test_routes_may_be_chosen(loggly, tmp_path):
    """Others keep their letters."""
    letters(tmp_path, "elk")
    letters(tmp_path)

    assert main(["replay", "loggly"]) == 0

    assert names_in(tmp_path / "dead-letters") == ["elk"]


def test_a_name_without_letters(loggly, tmp_path, capsys):
    """It says so, and whose letters there are; nothing is sent."""
    letters(tmp_path)

    assert main(["replay", "elk"]) == 1

    assert capsys.readouterr().err == ("dashcam: there are no dead letters of elk. Those with dead letters: loggly.\n")
    assert loggly.lines() == []


def test_two_replays_at_once(loggly, tmp_path, capsys):
    """The second one leaves the letters to the first."""
    kept = letters(tmp_path)
    with kept.replay() as replay:
        assert main(["replay"]) == 1
        replay.waiting.clear()

    assert "is being replayed by another process" in capsys.readouterr().err
    assert loggly.lines() == []


def test_the_account_agrees(loggly, tmp_path):
    """What was dead-lettered is delivered: recorded = delivered + waiting + dead-lettered, before and after."""
    with Stage(tmp_path, loggly.environment()) as stage:
        stage.record(3, 1000)
        stage.recorder.wait()
        loggly.sending.plan("400", "400", "400")  # of three events and a statement, of two, of one
        stage.drain("loggly")
        before = stage.status()["routes"]["loggly"]

        assert main(["replay"]) == 0

        after = stage.status()["routes"]["loggly"]
        assert (before["delivered"], before["dead"]) == (2, 1)
        assert (after["delivered"], after["dead"]) == (3, 0)
        assert sorted(numbers_in(loggly.lines())) == [0, 1, 2]
