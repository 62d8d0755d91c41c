"""The sign of life of a real shipper, as a container's health check reads it."""

import os
import signal
import subprocess

import pytest

from dashcam.ship.inspection import health

from ... import prepared
from ...processes import until
from ...spool.spools import log_line, write_to


@pytest.fixture
def start(tmp_path):
    """A function that starts a shipper in a folder with one event."""
    started = []
    writer = write_to(tmp_path / "spool")
    writer.append(log_line(1))
    writer.close()

    def run(**environment):
        folder = {"DASHCAM_DIR": str(tmp_path), "DASHCAM_SYNC_INTERVAL": "0.1"}
        given = {**os.environ, **folder, **environment}
        started.append(prepared.start(["-m", "dashcam", "ship"], given, stderr=subprocess.DEVNULL))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


def ask(tmp_path):
    """The exit status of the check, and what it says."""
    environment = {**os.environ, "DASHCAM_DIR": str(tmp_path)}
    ran = prepared.run(["-m", "dashcam", "status", "--health"], environment, 100)
    return ran.returncode, ran.stdout


def test_it_is_well_while_it_ships(tmp_path, start):
    """It says for each route what it delivered."""
    start()

    until(lambda: ask(tmp_path) == (0, "local: ships, 1 delivered\n"), "delivery")


def test_it_is_well_while_a_backend_is_down(tmp_path, start):
    """It says so, and why: to start it again would not help."""
    start(LOG_BACKEND="elasticsearch", ELASTICSEARCH_URL="http://127.0.0.1:9")

    status, text = until(lambda: (found := ask(tmp_path)) and "waits since" in found[1] and found, "trouble")
    assert status == 0
    assert text.startswith("elasticsearch: waits since 2")


def test_it_is_not_well_before_it_was_there(tmp_path):
    """A folder in which none was at work."""
    assert ask(tmp_path) == (1, "no shipper has been at work here\n")


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_it_is_not_well_when_it_hangs_or_is_gone(tmp_path, start, number):
    """A short silence is allowed, a long one is not."""
    shipper = start()
    until(lambda: health.check(tmp_path, 0.5).is_well, "sign of life")

    shipper.send_signal(number)

    until(lambda: not health.check(tmp_path, 0.5).is_well, "silence")
    assert "the shipper has not reported for" in health.check(tmp_path, 0.5).lines[0]
