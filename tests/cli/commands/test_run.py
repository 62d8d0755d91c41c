"""`dashcam run`: a command with a shipper beside it."""

import json
import os
import signal
import sys

import pytest

from dashcam.ship.inspection.stats import collect_stats
from dashcam.ship.state.heartbeat import read_heartbeat

from ...processes import dashcam, running_dashcam, until
from ..recorded import SERVICE, numbers


def test_what_the_command_recorded_is_delivered(tmp_path):
    """All of it, before it returns, with the command's exit status."""
    done = dashcam("run", "--", sys.executable, "-c", SERVICE + "\nprint('done')\nsys.exit(7)", 100, folder=tmp_path)

    assert done.returncode == 7
    assert numbers(done.stdout) == list(range(100))
    assert "done\n" in done.stdout
    assert collect_stats(tmp_path).routes["stdout"].waiting == 0


@pytest.mark.parametrize(("arguments", "status"), [((), 2), (("--",), 2), (("--", "no-such-command"), 127)])
def test_a_command_that_cannot_be_run(tmp_path, arguments, status):
    """Nothing to run, or nothing of that name."""
    done = dashcam("run", *arguments, folder=tmp_path)

    assert done.returncode == status
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_bad_settings_come_first(tmp_path):
    """Before the command is started."""
    done = dashcam("run", "--", "touch", tmp_path / "started", folder=tmp_path, LOG_LEVEL="loud")

    assert done.returncode == 2
    assert not (tmp_path / "started").exists()


def test_a_command_that_is_killed(tmp_path):
    """Its status is that of a shell, and what it recorded is delivered."""
    done = dashcam("run", "--", sys.executable, "-c", SERVICE + "\nos.kill(os.getpid(), 9)", 3, folder=tmp_path)

    assert done.returncode == 128 + 9
    assert numbers(done.stdout) == [0, 1, 2]


WAITING = (
    SERVICE
    + """
import signal
signal.signal(signal.SIGTERM, lambda *_: log.info("car created", number=99) or sys.exit(3))
print("ready", flush=True)
signal.pause()
"""
)


def test_the_command_gets_the_signal(tmp_path):
    """It ends in its own way, and its last words are delivered too."""
    with running_dashcam(
        "run", "--", sys.executable, "-c", WAITING, 2, folder=tmp_path, DASHCAM_CONSOLE="off"
    ) as running:
        until(lambda: "ready" in running.output.read_text(), "command at work")
        running.send_signal(signal.SIGTERM)

        assert running.wait(timeout=30) == 3

    printed = running.output.read_text()
    events = [json.loads(line) for line in printed.splitlines() if line.startswith('{"@timestamp"')]
    assert sorted(event["labels"]["number"] for event in events) == [0, 1, 99]


def test_a_shipper_that_dies_is_started_again(tmp_path):
    """While the command goes on."""
    command = ["run", "--", sys.executable, "-c", WAITING, 2]
    with running_dashcam(*command, folder=tmp_path, DASHCAM_CONSOLE="off") as running:
        until(lambda: "ready" in running.output.read_text(), "command at work")
        first = until(lambda: read_heartbeat(tmp_path).pid, "shipper")
        os.kill(first, signal.SIGKILL)

        until(lambda: (pid := read_heartbeat(tmp_path).pid) and pid != first, "another shipper")
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=30) == 3

    assert "the shipper ended (-9); it is restarted" in running.output.read_text()


def test_beside_a_running_shipper(tmp_path):
    """That one delivers; it is said, and no other one is started."""
    with running_dashcam("ship", folder=tmp_path) as shipper:
        until(lambda: read_heartbeat(tmp_path).is_at_work, "shipper")

        done = dashcam("run", "--", sys.executable, "-c", SERVICE, 3, folder=tmp_path, DASHCAM_CONSOLE="off")

        until(lambda: numbers(shipper.output.read_text()) == [0, 1, 2], "arrival")
    assert done.returncode == 0
    assert done.stderr == f"dashcam run: another shipper works in {tmp_path} and delivers\n"
    assert done.stdout == ""
