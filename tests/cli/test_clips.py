"""Requests that failed come with all their lines: `dashcam clips`, `keep`, `trace --held`, `search --held`."""

import json
import time
from contextlib import closing

import pytest

from dashcam.destinations.registry import open_store
from dashcam.find.language import parse
from dashcam.find.query import Query

from ..processes import dashcam, run, running_dashcam, until

SERVICE = """
import sys
from flask import Flask
import dashcam

app = Flask(sys.argv[1])
dashcam.init_app(app)
log = dashcam.get_logger(sys.argv[1])


@app.get("/<int:status>")
def answer(status):
    for step in range(5):
        log.debug("step %d", step, car_id=7)
    log.info("answered")
    return "", status


for name, status in zip(sys.argv[2::2], sys.argv[3::2], strict=True):
    app.test_client().get(f"/{status}", headers={"X-Request-ID": name})
"""

HOLDING = {"DASHCAM_SHIP_LEVEL": "INFO", "LOG_BACKEND": "local"}


def serve(folder, service, *requests):
    """Have a service answer requests: an ID and a status each."""
    environment = {"DASHCAM_DIR": str(folder), "LOG_LEVEL": "DEBUG", "DASHCAM_CONSOLE": "off"}
    run(SERVICE, service, *requests, env=environment)


def found(folder, query, monkeypatch):
    """The events of the local store."""
    monkeypatch.setenv("DASHCAM_DIR", str(folder))
    with closing(open_store("local")) as store:
        return list(store.find(Query(parse(query))))


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


def test_a_look_into_the_spool(tmp_path):
    """As if all of it had been shipped: stories, and searches."""
    serve(tmp_path, "parts", "good", 200)
    serve(tmp_path, "cars", "good", 200, "other", 200)
    dashcam("ship", "--drain", folder=tmp_path, **HOLDING)

    held = dashcam("trace", "good", "--held", folder=tmp_path, **HOLDING)
    shipped = dashcam("trace", "good", folder=tmp_path, **HOLDING)
    hits = dashcam("search", "--held", "--json", "level:debug", "service:cars", folder=tmp_path, **HOLDING)
    last = dashcam("trace", "--last", "--held", folder=tmp_path, **HOLDING)
    unknown = dashcam("trace", "nobody", "--held", folder=tmp_path, **HOLDING)

    assert held.stdout.count("DEBUG step") == 10
    assert shipped.stdout.count("DEBUG step") == 0
    assert len(hits.stdout.splitlines()) == 10
    assert "request other" in last.stdout
    assert (unknown.returncode, unknown.stderr) == (
        1,
        "dashcam: no event has the ID 'nobody' in the spool of this machine\n",
    )


def test_a_signed_header_for_curl(tmp_path):
    """It asks a service that has the same key."""
    done = dashcam("keep", "--header", "10m", folder=tmp_path, DASHCAM_CLIP_KEY="a key")
    without = dashcam("keep", "--header", "10m", folder=tmp_path)

    name, _, value = done.stdout.strip().partition(": ")
    assert (name, done.returncode, without.returncode) == ("X-Dashcam-Keep", 0, 2)
    assert 590 < int(value.partition(".")[0]) - time.time() < 610


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
    "DASHCAM_CLIP_BEFORE": "0s",
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
