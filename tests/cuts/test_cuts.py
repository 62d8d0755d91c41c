"""A few power cuts of each kind of file system; `make cuts` makes more."""

import subprocess
import sys
from pathlib import Path

import pytest

from ..chaos.disk import SIZES_MB, why_not


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("disk", list(SIZES_MB))
def test_what_was_synced_is_there(disk):
    """Nothing of it is lost, nothing is there twice or invented, and the account adds up."""
    if reason := why_not(disk):
        pytest.skip(reason)
    command = [sys.executable, "-m", "tests.cuts", "--disk", disk, "--cuts", "10"]

    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "synced before a cut" in done.stdout
