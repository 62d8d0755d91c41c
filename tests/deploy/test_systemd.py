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


def service_of(name):
    """What a unit says of its process."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(FOLDER / f"{name}.service")
    return unit["Service"]


def test_the_shipper_is_confined():
    """No privileges, a file system that is read only but for its own folder, a bound on memory."""
    service = service_of("dashcam-ship")

    assert service["CapabilityBoundingSet"] == ""
    assert (service["NoNewPrivileges"], service["ProtectSystem"], service["StateDirectory"]) == (
        "yes",
        "strict",
        "dashcam",
    )
    assert service["MemoryMax"]
    assert service["Restart"] == "always"
    assert int(service["TimeoutStopSec"]) > 15


def test_a_check_that_hangs_ends():
    """The timer asks no more while one runs; it also waits for the shipper that it starts again."""
    limit = int(service_of("dashcam-health")["TimeoutStartSec"])

    assert limit > int(service_of("dashcam-ship")["TimeoutStopSec"])


def test_the_check_knows_the_settings_of_the_shipper():
    """By DASHCAM_SYNC_INTERVAL it knows how long a shipper may be silent."""
    shipper, check = service_of("dashcam-ship"), service_of("dashcam-health")

    assert (check["EnvironmentFile"], check["Environment"]) == (shipper["EnvironmentFile"], shipper["Environment"])
