"""Loggly at its worst: random failures, and killed for a while. Nothing is lost."""

import threading

import pytest

from .processes import Stage, StandInProcess, until

# Not 413: by chance it would meet a body of one event too, which is rightly a dead letter then.
BRIEF = {"s503": 0.1, "s429": 0.02, "reset": 0.1, "lost_answer": 0.05}
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
    with StandInProcess(tmp_path) as stand_in, Stage(tmp_path / "state", stand_in.environment) as stage:
        stand_in.trouble(seed=1, **faults)
        stage.start_shipper("loggly")
        stage.record(events, per_s)
        until(lambda: stand_in.counts()["events"] > events // 5, "fifth of the events", 300)
        stand_in.kill()
        threading.Event().wait(down_s)
        stand_in.restart()
        stand_in.trouble(seed=2, **faults)
        stand_in.plan(*["413", "503", "ok", "reset", "ok"] * 2)  # bodies are large now: much has waited

        assert stage.recorder.wait(timeout=300) == 0
        until(lambda: stand_in.counts()["events"] >= events, "arrival of as many", 600)
        until(lambda: stage.status()["routes"]["loggly"]["waiting"] == 0, "settled account", 120)
        stage.stop_shipper()

        assert sorted(set(stand_in.numbers())) == list(range(events))
        account = stage.status()
        assert account["recorded"] == account["routes"]["loggly"]["delivered"] == events
        assert stand_in.counts()["answers"]["503"] > 0
        assert stand_in.counts()["answers"]["413"] > 0
