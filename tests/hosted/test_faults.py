"""Loggly at its worst: random failures, and away for a while. Nothing is lost."""

import threading

import pytest

from dashcam.testing.fake_loggly import StandIn

from ..processes import until
from .processes import Stage, numbers_in

# Not 413: by chance it would meet a body of one event too, which is rightly a dead letter then.
BRIEF = {"503": 0.1, "429": 0.02, "reset": 0.1, "lost-answer": 0.05}
LASTING = BRIEF | {"hang": 0.005}


@pytest.mark.parametrize(
    ("events", "per_s", "down_s", "faults"),
    [
        (20_000, 10_000, 1, BRIEF),
        pytest.param(
            1_000_000, 20_000, 60, LASTING, marks=[pytest.mark.long, pytest.mark.timeout(900)], id="a million events"
        ),
    ],
)
def test_nothing_is_lost(tmp_path, events, per_s, down_s, faults):
    """Every event arrives, whatever it answers, and none is in the dead letters."""
    with StandIn() as stand_in, Stage(tmp_path / "state", stand_in.environment()) as stage:
        stand_in.sending.chance(faults, seed=1)
        stage.start_shipper("loggly")
        stage.record(events, per_s)
        until(lambda: len(stand_in.lines()) > events // 5, "fifth of the events", 300)
        stand_in.stop()
        threading.Event().wait(down_s)
        stand_in.start()
        # First what was under way when it stopped, perhaps one event; then bodies are large, because much has waited.
        stand_in.sending.plan("ok", *["413", "503", "ok", "reset", "ok"] * 2)

        assert stage.recorder.wait(timeout=300) == 0
        until(lambda: len(stand_in.lines()) >= events, "arrival of as many", 600)
        until(lambda: stage.status()["routes"]["loggly"]["waiting"] == 0, "settled account", 120)
        stage.stop_shipper()

        assert set(numbers_in(stand_in.lines())) == set(range(events))
        account = stage.status()
        assert account["recorded"] == account["routes"]["loggly"]["delivered"] == events
        assert stand_in.answers()["503"] > 0
        assert stand_in.answers()["413"] > 0
