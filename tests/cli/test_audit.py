"""`dashcam audit`: a store is held against what was recorded."""

import json
import random
import sqlite3
from contextlib import closing, suppress
from copy import deepcopy

import pytest
import requests

from dashcam.cli.audit import compare
from dashcam.destinations.local.file import pack, unpack
from dashcam.destinations.registry import open_store
from dashcam.event import Event
from dashcam.find.query import Query
from dashcam.ship import statements
from dashcam.testing.fake_loggly import StandIn

from ..engines.streams import documents, set_up, settings_for
from ..processes import dashcam, run
from .recorded import record

SERVICE = """
import sys
import dashcam
dashcam.init("cars")
log = dashcam.get_logger("cars")
for number in range(int(sys.argv[1])):
    log.info("car created %s", "é🚗", number=number, price=0.1 * number, tags=["a", None], deep={"x": {"y": True}})
try:
    1 / 0
except ZeroDivisionError:
    log.exception("it failed")
with dashcam.job("nightly import", rows=3):
    log.warning("in a job")
"""


KILLED = """
import os
import dashcam
dashcam.init("cars")
dashcam.get_logger("cars").info("last words")
os.kill(os.getpid(), 9)
"""


def service(folder, count, **environment):
    run(SERVICE, count, env={"DASHCAM_DIR": str(folder), "DASHCAM_CONSOLE": "off", **environment})


def audit(folder, **environment):
    done = dashcam("audit", "--json", folder=folder, **environment)
    return done.returncode, json.loads(done.stdout)


def well(count):
    return {"expected": count, "missing": [], "double": [], "changed": [], "invented": []}


@pytest.fixture
def stores(tmp_path):
    """A store's name, and the environment that leads to it: the local store, and Loggly."""
    with StandIn() as loggly:
        yield {"local": {"LOG_BACKEND": "local"}, "loggly": loggly.environment() | {"LOG_BACKEND": "loggly"}}


@pytest.mark.parametrize("name", ["local", "loggly"])
def test_a_store_that_has_everything(tmp_path, stores, name):
    """No false alarm, whatever the events are like; what waits still is not expected yet."""
    service(tmp_path, 30)
    dashcam("ship", "--drain", folder=tmp_path, **stores[name])
    service(tmp_path, 5)

    status, found = audit(tmp_path, **stores[name])

    assert (status, found) == (0, {name: well(33), "gaps": []})


@pytest.mark.parametrize("name", ["local", "loggly"])
def test_a_thousand_planted_faults_are_found(tmp_path, stores, name, monkeypatch):
    """Each deletion, double, change and invention by its ID, in what a store gives."""
    service(tmp_path, 1200)
    dashcam("ship", "--drain", folder=tmp_path, **stores[name])
    for variable, value in (stores[name] | {"DASHCAM_DIR": str(tmp_path)}).items():
        monkeypatch.setenv(variable, value)
    with closing(open_store(name)) as store:
        events = list(store.find(Query()))
    dice = random.Random(name)
    numbered = [event for event in events if "number" in event.labels]
    deleted, doubled, changed = (numbered[at:1002:3] for at in range(3))
    ids = {id(event): kind for kind, part in enumerate((deleted, doubled, changed)) for event in part}
    given = []
    for event in events:
        match ids.get(id(event)):
            case 0:
                continue
            case 1:
                given += [event, event]
            case 2:
                given.append(_changed(event, dice))
            case _:
                given.append(event)
    given.append(Event(deepcopy(events[0].fields) | {"event": {"id": events[0].id[:24] + "-99999999"}}))

    found = compare(name, statements.load(tmp_path).events, given, Query(), set())

    assert found.missing == sorted(event.id for event in deleted)
    assert found.double == [event.id for event in doubled]
    assert found.changed == [event.id for event in changed]
    assert found.invented == [events[0].id[:24] + "-99999999"]
    assert len(deleted) + len(doubled) + len(changed) == 1002


def _changed(event, dice):
    fields = deepcopy(event.fields)
    match dice.randrange(4):
        case 0:
            fields["message"] += "."
        case 1:
            fields["labels"]["number"] += 1
        case 2:
            del fields["labels"]["price"]
        case 3:
            fields["log.level"] = "error"
    return Event(fields)


def test_the_file_of_the_local_store_is_tampered_with(tmp_path):
    """An event that was deleted, and one that was changed, by their IDs; exit status 1."""
    service(tmp_path, 10)
    dashcam("ship", "--drain", folder=tmp_path, LOG_BACKEND="local")
    with closing(sqlite3.connect(tmp_path / "events.db")) as db:
        row, *_ = db.execute("SELECT rowid, first, events, body FROM blocks ORDER BY rowid").fetchall()
        block = unpack(*row)
        _, second, *rest = block.text.split(b"\n")
        forged = b'{"@timestamp":"2030-01-01T00:00:00.000000Z","message":"forged","event":{"id":"x"}}'
        assert b'"car created' in second
        body = pack(block.since[1:], [forged, *rest])
        db.execute("UPDATE blocks SET events = events - 1, body = ? WHERE rowid = ?", (body, row[0]))
        db.commit()

    done = dashcam("audit", folder=tmp_path, LOG_BACKEND="local")

    assert done.returncode == 1
    assert "local: 13 events expected; 2 missing, 0 double, 0 changed, 0 invented\n  missing " in done.stdout


def test_removed_segments_are_stated(tmp_path):
    """What the spool no longer has is held against its statement; one that is taken out is noticed."""
    for _ in range(4):
        record(tmp_path, 5)
        dashcam("ship", "--drain", folder=tmp_path, LOG_BACKEND="local", DASHCAM_SPOOL_LIMIT="1KB")

    assert audit(tmp_path, LOG_BACKEND="local") == (0, {"local": well(20), "gaps": []})

    path = tmp_path / "audit.journal"
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) >= 3
    path.write_bytes(lines[0] + b"".join(lines[2:]))
    status, found = audit(tmp_path, LOG_BACKEND="local")
    assert status == 1
    assert found["gaps"] == [f"{path}: the statement before line 2 is missing or changed"]


def test_a_switch_is_no_alarm(tmp_path, stores):
    """Each store is held against what its own route delivered; a kill, and two at once, change nothing."""
    both = stores["loggly"] | {"LOG_BACKEND": "local,loggly"}
    service(tmp_path, 3)
    dashcam("ship", "--drain", folder=tmp_path, **stores["loggly"])
    service(tmp_path, 4)
    dashcam("ship", "--drain", folder=tmp_path, **stores["local"])
    assert audit(tmp_path, **stores["local"]) == (0, {"local": well(7), "gaps": []})

    service(tmp_path, 5)
    with suppress(AssertionError):
        run(KILLED, env={"DASHCAM_DIR": str(tmp_path), "DASHCAM_CONSOLE": "off"})
    dashcam("ship", "--drain", folder=tmp_path, **both)

    assert audit(tmp_path, **both) == (0, {"local": well(16), "loggly": well(9), "gaps": []})


def test_elasticsearch(tmp_path, elasticsearch_url, namespace):
    """No false alarm there, and an event that is deleted is named."""
    options = settings_for(elasticsearch_url, namespace)
    set_up(options)
    environment = {
        "LOG_BACKEND": "elasticsearch",
        "ELASTICSEARCH_URL": elasticsearch_url,
        "DASHCAM_NAMESPACE": namespace,
    }
    service(tmp_path, 30)
    dashcam("ship", "--drain", folder=tmp_path, **environment)
    first = documents(options)[0]

    assert audit(tmp_path, **environment) == (0, {"elasticsearch": well(33), "gaps": []})

    id_ = first["_source"]["event"]["id"]
    address = f"{elasticsearch_url}/{first['_index']}/_doc/{first['_id']}?refresh=true"
    requests.delete(address, timeout=30).raise_for_status()
    status, found = audit(tmp_path, **environment)
    assert (status, found["elasticsearch"]["missing"]) == (1, [id_])
