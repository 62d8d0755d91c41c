"""`dashcam keep`: held lines of a request are shipped on request."""

import time

import pytest

from ...processes import dashcam, running_dashcam, until
from ..held import HOLDING, found, serve


@pytest.mark.parametrize("any_id", ["good", "car_id=7"])
def test_keep_ships_a_held_story(tmp_path, monkeypatch, any_id):
    """By any ID that trace takes, in a terminal without the shipper's settings; what comes later is shipped at once."""
    serve(tmp_path, "cars", "good", 200)
    with running_dashcam("ship", folder=tmp_path, **HOLDING):
        until(lambda: "held 5" in dashcam("status", folder=tmp_path, **HOLDING).stdout, "held lines")
        done = dashcam("keep", any_id, folder=tmp_path, LOG_BACKEND="local")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("local: good kept, 5 held lines, ")
        serve(tmp_path, "parts", "good", 200)
        until(lambda: len(found(tmp_path, "level:debug", monkeypatch)) == 10, "lines that came later")


def test_keep_says_what_it_cannot(tmp_path):
    """An unknown ID, no shipper, nothing held at all, nothing to keep."""
    serve(tmp_path, "cars", "good", 200)

    unknown = dashcam("keep", "nobody", folder=tmp_path, **HOLDING)
    alone = dashcam("keep", "good", folder=tmp_path, **HOLDING)
    unset = dashcam("keep", "good", folder=tmp_path, LOG_BACKEND="local")
    nothing = dashcam("keep", folder=tmp_path, **HOLDING)

    assert unknown.returncode == 1
    assert "dashcam: no request has the ID 'nobody', here or in local\n" in unknown.stderr
    assert alone.returncode == 0
    assert "no shipper is at work here; the next one keeps it" in alone.stderr
    assert (unset.returncode, unset.stderr) == (
        2,
        "dashcam: nothing is held here: DASHCAM_SHIP_LEVEL is not set, so everything is shipped.\n",
    )
    assert nothing.returncode == 2


def test_the_next_shipper_keeps_what_was_asked_for(tmp_path, monkeypatch):
    """Whoever asked need not wait."""
    serve(tmp_path, "cars", "good", 200)
    dashcam("keep", "good", folder=tmp_path, **HOLDING)

    dashcam("ship", "--drain", folder=tmp_path, **HOLDING)

    assert len(found(tmp_path, "level:debug", monkeypatch)) == 5


def test_a_signed_header_for_curl(tmp_path):
    """It asks a service that has the same key."""
    done = dashcam("keep", "--header", "10m", folder=tmp_path, DASHCAM_CLIP_KEY="a key")
    without = dashcam("keep", "--header", "10m", folder=tmp_path)

    name, _, value = done.stdout.strip().partition(": ")
    assert (name, done.returncode, without.returncode) == ("X-Dashcam-Keep", 0, 2)
    assert 590 < int(value.partition(".")[0]) - time.time() < 610
