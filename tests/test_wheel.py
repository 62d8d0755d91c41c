"""The wheel, as `make wheel` builds and tests it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.long
def test_the_wheel_records_ships_and_finds():
    """In a virtual environment with nothing else, the part in C included."""
    done = subprocess.run(
        ["make", "wheel", f"PYTHON={sys.executable}"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "build/wheel/dashcam-" in done.stdout
