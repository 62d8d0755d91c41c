"""`dashcam clips`: requests that failed come with all their lines."""

import json

from ...processes import dashcam
from ..held import HOLDING, found, serve


def test_a_failed_request_comes_from_both_services(tmp_path, monkeypatch):
    """And the good one without; the account is exact, and says how much is held."""
    serve(tmp_path, "parts", "good", 200, "bad", 503)
    serve(tmp_path, "cars", "good", 200, "bad", 200)

    dashcam("ship", "--drain", folder=tmp_path, **HOLDING)

    debug = found(tmp_path, "level:debug", monkeypatch)
    assert [(event.get("http.request.id"), event.get("event.reason")) for event in debug] == [("bad", "5xx")] * 10
    assert {event.get("service.name") for event in debug} == {"cars", "parts"}
    account = json.loads(dashcam("status", "--json", folder=tmp_path, **HOLDING).stdout)
    route = account["routes"]["local"]
    assert (account["recorded"], route["delivered"], route["held"], route["expired"]) == (28, 18, 10, 0)
    status = dashcam("status", folder=tmp_path, **HOLDING).stdout
    assert "    held 10 (" in status
    assert "s of history), expired 0\n" in status


def test_the_list_of_clips(tmp_path):
    """By time, with rule and size; then the sums."""
    assert dashcam("clips", folder=tmp_path, **HOLDING).returncode == 1
    serve(tmp_path, "cars", "good", 200, "bad", 503)
    dashcam("ship", "--drain", folder=tmp_path, **HOLDING)

    done = dashcam("clips", folder=tmp_path, **HOLDING)
    (clip,) = map(json.loads, dashcam("clips", "--json", folder=tmp_path, **HOLDING).stdout.splitlines())

    assert done.returncode == 0
    first, kept, held = done.stdout.splitlines()
    assert first.endswith("  bad")
    assert "  5xx       5 lines, 2." in first
    assert kept.startswith("local: kept 1 5xx (5 lines, 2.")
    assert held.endswith("were held; 50.0% of the lines were not shipped")
    assert (clip["id"], clip["reason"], clip["lines"], clip["route"]) == ("bad", "5xx", 5, "local")


def test_the_audit_knows_what_is_held(tmp_path):
    """Held lines are not missing, those of clips are no change; also once the level is another one."""
    serve(tmp_path, "parts", "good", 200, "bad", 503)
    dashcam("ship", "--drain", folder=tmp_path, **HOLDING)
    serve(tmp_path, "cars", "good", 200, "bad", 503)
    dashcam("ship", "--drain", folder=tmp_path, LOG_BACKEND="local")

    done = dashcam("audit", folder=tmp_path, LOG_BACKEND="local")

    assert done.returncode == 0
    assert done.stdout.startswith(
        "local: 18 events of 2 segments audited: 0 missing, 0 double, 0 changed, 0 invented\n"
    )


FAULTS = {
    "DASHCAM_SHIP_LEVEL": "LOUD",
    "DASHCAM_HOLD": "ten minutes",
    "DASHCAM_CLIP_SLOWER": "0.5x",
    "DASHCAM_CLIP_BASELINE": "101%",
    "DASHCAM_CLIP_LIMIT": "-1",
    "LOG_LEVELS": "cars",
}


def test_rules_that_cannot_be_read(tmp_path):
    """Stop the shipper at its start, all in one message."""
    done = dashcam("ship", "--drain", folder=tmp_path, **FAULTS)

    assert done.returncode == 2
    assert sorted(line.partition("=")[0].removeprefix("dashcam: ") for line in done.stderr.splitlines()) == sorted(
        FAULTS
    )


def test_the_doctor_knows_where_verdicts_go(tmp_path):
    """A backend that cannot be searched brings no verdicts of other hosts."""
    local = dashcam("doctor", folder=tmp_path, **HOLDING)
    stdout = dashcam("doctor", folder=tmp_path, DASHCAM_SHIP_LEVEL="INFO")
    plain = dashcam("doctor", folder=tmp_path)

    assert "lines below INFO are held; verdicts of other hosts are looked for in local" in local.stdout
    assert "stdout cannot be searched, so verdicts of other hosts do not arrive here" in stdout.stdout
    assert "are held" not in plain.stdout
