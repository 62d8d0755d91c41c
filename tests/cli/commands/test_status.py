"""`dashcam status`: the account."""

import json
import re

from dashcam.ship.state import checkpoint
from dashcam.ship.state.checkpoint import Checkpoint, Trouble

from ...processes import dashcam, running_dashcam, until
from ..recorded import record


def test_nothing_yet(tmp_path):
    """Nothing recorded, nothing shipped, nothing wrong."""
    done = dashcam("status", folder=tmp_path)

    assert done.returncode == 0
    assert (
        done.stdout
        == f"{tmp_path}: 0.0 MB of spool (nothing yet)\nrecorded 0\n  no shipper has run here yet: dashcam ship\n"
    )


def test_all_well(tmp_path):
    """Everything delivered."""
    record(tmp_path, 1234)
    dashcam("ship", "--drain", folder=tmp_path)

    done = dashcam("status", folder=tmp_path)

    assert done.returncode == 0
    assert re.fullmatch(
        rf"{tmp_path}: \d\.\d MB of spool \(cars 1,234\)\nrecorded 1,234\n"
        r"  stdout: delivered 1,234, waiting 0, dead-lettered 0\n"
        r"  no shipper has worked here since 20\S+Z: dashcam ship\n",
        done.stdout,
    )


def test_events_that_nobody_ships(tmp_path):
    """Something waits, and no shipper works: not well, since when, and how to start one."""
    record(tmp_path, 2)
    never = dashcam("status", folder=tmp_path)
    doctor = dashcam("doctor", folder=tmp_path)
    dashcam("ship", "--drain", folder=tmp_path)
    record(tmp_path, 2)
    no_more = dashcam("status", folder=tmp_path)
    with running_dashcam("ship", folder=tmp_path) as shipper:
        until(lambda: shipper.output.read_text().count("\n{") == 2, "arrival")
        again = dashcam("status", folder=tmp_path)

    assert (never.returncode, doctor.returncode, no_more.returncode, again.returncode) == (1, 1, 1, 0)
    assert "events wait, and no shipper has worked here so far" in doctor.stdout
    assert "Start one: dashcam ship" in doctor.stdout
    assert "  no shipper has run here yet: dashcam ship\n" in never.stdout
    assert "waiting 2" in no_more.stdout
    assert re.search(r"no shipper has worked here since 20\S+Z: dashcam ship\n", no_more.stdout)
    assert "no shipper" not in again.stdout


def test_what_another_backend_did_is_not_counted(tmp_path):
    """A new backend's account begins with what it does itself."""
    record(tmp_path, 5)
    dashcam("ship", "--drain", folder=tmp_path)
    record(tmp_path, 2)

    dashcam("ship", "--drain", folder=tmp_path, LOG_BACKEND="local")

    said = dashcam("status", folder=tmp_path).stdout
    assert "  local: delivered 2, waiting 0, dead-lettered 0, 5 before it began\n" in said


def test_a_folder_that_cannot_be_read(tmp_path):
    """A part of the spool that is out of reach is reported."""
    record(tmp_path, 1)
    (tmp_path / "spool" / "loop").symlink_to("loop")

    done = dashcam("status", folder=tmp_path)

    assert done.returncode == 1
    assert f"{tmp_path}/spool/loop cannot be read: Too many levels of symbolic links" in done.stdout


def test_trouble(tmp_path):
    """Since when and why, and a status that a monitor sees."""
    record(tmp_path, 5)
    trouble = Trouble("2026-11-24T01:35:46.123456Z", "Loggly answered 403")
    checkpoint.save(tmp_path / "positions", "loggly", Checkpoint(damaged=2, trouble=trouble))

    done = dashcam("status", folder=tmp_path)

    assert done.returncode == 1
    assert "  loggly: delivered 0, waiting 5, dead-lettered 0\n    2 damaged places skipped: " in done.stdout
    assert "    in trouble since 2026-11-24T01:35:46.123456Z: Loggly answered 403\n" in done.stdout


def test_events_that_were_dropped(tmp_path):
    """By reason, with what to do."""
    record(tmp_path, 20_000, DASHCAM_SPOOL_LIMIT="2500KB")

    done = dashcam("status", folder=tmp_path)

    assert done.returncode == 1
    assert ": the spool was full (DASHCAM_SPOOL_LIMIT)\n" in done.stdout


def test_json(tmp_path):
    """One object."""
    record(tmp_path, 5)
    dashcam("ship", "--drain", folder=tmp_path)

    account = json.loads(dashcam("status", "--json", folder=tmp_path).stdout)

    assert account["recorded"] == 5
    assert account["services"] == {"cars": 5}
    assert account["dropped"] == {"limit": 0, "disk": 0, "access": 0, "system": 0, "error": 0}
    counts = {"delivered": 5, "waiting": 0, "dead": 0, "damaged": 0, "trouble": None, "earlier": 0, "missing": 0}
    counts |= {"held": 0, "expired": 0, "held_since": None}
    assert account["routes"] == {"stdout": counts}
    assert account["is_complete"] is True
