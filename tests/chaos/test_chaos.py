"""A short run of the chaos on each kind of disk; `make chaos` is the long one."""

import subprocess
import sys
from pathlib import Path

import pytest

from .disk import SIZES_MB, why_not


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("disk", ["none", *SIZES_MB])
def test_nothing_is_lost_doubled_or_invented(disk):
    """Whatever is killed, filled or refused in 20 s."""
    if reason := why_not(disk):
        pytest.skip(reason)
    command = [sys.executable, "-m", "tests.chaos", "--disk", disk, "--duration", "20"]

    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "log calls" in done.stdout
