"""The units of deploy/systemd, by systemd's own reading where it is there."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = sorted(FOLDER.iterdir())


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_are_verified(path, tmp_path):
    """By systemd-analyze, with a program where ours is installed."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze: apt-get install systemd")
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/dashcam/bin/dashcam", "/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / path.name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert [line for line in done.stderr.splitlines() if path.name in line or str(tmp_path) in line] == []


def test_the_shipper_is_confined():
    """No privileges, a file system that is read only but for its own folder, a bound on memory."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(FOLDER / "dashcam-ship.service")
    service = unit["Service"]

    assert service["CapabilityBoundingSet"] == ""
    assert (service["NoNewPrivileges"], service["ProtectSystem"], service["StateDirectory"]) == (
        "yes",
        "strict",
        "dashcam",
    )
    assert service["MemoryMax"]
    assert service["Restart"] == "always"
    assert int(service["TimeoutStopSec"]) > 15
