"""Many kills of forked processes; `make kills` makes more."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("kills", [20, pytest.param(500, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_nothing_is_lost_doubled_or_invented(kills):
    """Whichever of the services and the shipper is killed, and whenever."""
    command = [sys.executable, "-m", "tests.kills", "--kills", str(kills)]

    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost                       0" in done.stdout
