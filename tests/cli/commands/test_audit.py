"""`dashcam audit`: a store is held against the statements that it has."""

import json
import random
import shutil
import sqlite3
import time
import zlib
from contextlib import closing, suppress

import orjson
import pytest
import requests

from dashcam.destinations.local.backend import Bounds, Local
from dashcam.destinations.local.blocks.file import pack, unpack
from dashcam.event import Event, parse_time
from dashcam.testing.fake_loggly import StandIn

from ...engines.streams import documents, set_up, settings_for
from ...processes import dashcam, run
from ..recorded import record

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
    log.warning("in a job", **{f"wide_{number}": number for number in range(100)})
"""


KILLED = """
import os
import dashcam
dashcam.init("cars")
dashcam.get_logger("cars").info("last words")
with dashcam.job("nightly import", rows=3):
    os.kill(os.getpid(), 9)
"""

KINDS = ("missing", "double", "changed", "invented", "gaps")


def service(folder, count, **environment):
    run(SERVICE, count, env={"DASHCAM_DIR": str(folder), "DASHCAM_CONSOLE": "off", **environment})


def ship(folder, environment):
    done = dashcam("ship", "--drain", folder=folder, **environment)
    assert done.returncode == 0, done.stderr


def audit(folder, *options, **environment):
    """The exit status, and what was found, by route."""
    done = dashcam("audit", "--json", *options, folder=folder, **environment)
    return done.returncode, json.loads(done.stdout)


def faults(found):
    return {kind: found[kind] for kind in KINDS if found[kind]}


def assert_well(folder, expected, **environment):
    """Every route has what is expected, and nothing is the matter."""
    status, found = audit(folder, **environment)
    assert {name: faults(each) for name, each in found.items()} == {name: {} for name in expected}
    assert {name: each["expected"] for name, each in found.items()} == expected
    assert status == 0


@pytest.fixture
def stores(tmp_path):
    """A store's name, and the environment that leads to it: the local store, and Loggly."""
    with StandIn(journal=tmp_path / "loggly.journal") as loggly:
        yield {"local": {"LOG_BACKEND": "local"}, "loggly": loggly.environment() | {"LOG_BACKEND": "loggly"}}


@pytest.mark.parametrize("name", ["local", "loggly"])
def test_a_store_that_has_everything(tmp_path, stores, name):
    """No false alarm, whatever the events are like; what waits still is not stated yet."""
    service(tmp_path, 30)
    ship(tmp_path, stores[name])
    service(tmp_path, 5)

    assert_well(tmp_path, {name: 33}, **stores[name])


def test_the_time_fluentd_adds_is_no_change(tmp_path, stores):
    """Each event from there has `event.ingested`, and statements do; what else was changed is found."""
    service(tmp_path, 3)
    ship(tmp_path, stores["local"])

    def ingest(event):
        event["event"]["ingested"] = "2026-11-25T00:00:00.000000Z"
        return [event]

    rewrite(tmp_path, ingest)
    assert_well(tmp_path, {"local": 6}, **stores["local"])

    changed = next(event["event"]["id"] for event in events_of(tmp_path) if "labels" in event)
    _rewrite(tmp_path, changed, lambda event: event["event"].update(dataset="forged"))
    status, found = audit(tmp_path, **stores["local"])
    assert (status, faults(found["local"])) == (1, {"changed": [changed]})


def test_another_machine_audits(tmp_path, stores):
    """The store alone says what was recorded."""
    service(tmp_path, 30)
    ship(tmp_path, stores["loggly"])

    assert_well(tmp_path / "elsewhere", {"loggly": 33}, **stores["loggly"])


def test_a_store_without_a_statement(tmp_path):
    """Nothing was audited, and so nothing is called well."""
    done = dashcam("audit", folder=tmp_path, LOG_BACKEND="stdout,local")

    assert done.returncode == 3
    service(tmp_path, 3)
    ship(tmp_path, {"LOG_BACKEND": "local"})
    done = dashcam("audit", "--until", "1d", "--since", "2d", folder=tmp_path, LOG_BACKEND="local")
    assert done.returncode == 1
    assert "nothing was audited: the store has no statement of a segment from this period" in done.stdout


def test_a_store_that_keeps_nothing_is_sent_no_statement(tmp_path):
    """Nobody could ask it."""
    record(tmp_path, 3)

    assert dashcam("ship", "--drain", folder=tmp_path, LOG_BACKEND="stdout").stdout.count('{"@timestamp"') == 3


def test_statements_are_no_noise(tmp_path, stores):
    """Searches, requests, copies and counts leave them out, unless a search asks for them."""
    service(tmp_path, 3)
    ship(tmp_path, stores["local"])

    lines = dashcam("search", "--json", folder=tmp_path, **stores["local"]).stdout.splitlines()
    assert len(lines) == 6
    assert dashcam("search", "sealed", folder=tmp_path, **stores["local"]).returncode == 1
    assert "segment sealed: 6 events" in dashcam("search", "segment-sealed", folder=tmp_path, **stores["local"]).stdout
    stats = json.loads(dashcam("status", "--json", folder=tmp_path, **stores["local"]).stdout)
    assert (stats["recorded"], stats["routes"]["local"]["delivered"], stats["routes"]["local"]["waiting"]) == (6, 6, 0)


def plant(events, dice):
    """Faults in events, a third each: those to delete, to double and to change, by their IDs."""
    numbered = [event["event"]["id"] for event in events if "number" in event.get("labels", {})]
    dice.shuffle(numbered)
    return numbered[0::3], numbered[1::3], numbered[2::3]


def changed(event, dice):
    """An event that somebody forged."""
    match dice.randrange(4):
        case 0:
            event["message"] += "."
        case 1:
            event["labels"]["number"] += 1
        case 2:
            del event["labels"]["price"]
        case 3:
            event["log.level"] = "error"
    return event


def assert_all_found(found, planted):
    deleted, doubled, altered = planted
    assert found["missing"] == sorted(deleted)
    assert sorted(found["double"]) == sorted(doubled)
    assert sorted(found["changed"]) == sorted(altered)


def rewrite(folder, change):
    """Give each event of the local store to `change`; in its place stand those that come back."""
    with closing(sqlite3.connect(folder / "events.db")) as db:
        for rowid, first, events, body in db.execute("SELECT rowid, first, events, body FROM blocks").fetchall():
            lines = unpack(rowid, first, events, body).text.split(b"\n")
            kept = [orjson.dumps(event) for line in lines for event in change(orjson.loads(line))]
            if not kept:
                db.execute("DELETE FROM blocks WHERE rowid = ?", (rowid,))
            elif kept != lines:
                times = [Event.from_json(line).time_ns // 1000 for line in kept]
                values = (len(kept), pack(times, kept), rowid)
                db.execute("UPDATE blocks SET events = ?, body = ? WHERE rowid = ?", values)
        db.commit()


def events_of(folder):
    """All events of the local store."""
    found = []

    def note(event):
        found.append(event)
        return [event]

    rewrite(folder, note)
    return found


def test_faults_in_the_local_store(tmp_path, stores):
    """1,002 of 1,002 deletions, duplicates and changes are found, planted in the file itself, and an invention."""
    service(tmp_path, 1002)
    ship(tmp_path, stores["local"])
    dice = random.Random(1)
    planted = plant(events_of(tmp_path), dice)
    deleted, doubled, altered = map(set, planted)
    first = planted[0][0]
    invented = first[:24] + "-99999999"

    def change(event):
        id_ = event["event"]["id"]
        if id_ == first:
            event["event"]["id"] = invented
            return [event]
        if id_ in deleted:
            return []
        return [event] * 2 if id_ in doubled else [changed(event, dice) if id_ in altered else event]

    rewrite(tmp_path, change)
    status, found = audit(tmp_path, **stores["local"])

    assert status == 1
    assert_all_found(found["local"], planted)
    assert found["local"]["invented"] == [invented]
    assert sum(map(len, planted)) == 1002


@pytest.mark.parametrize("count", [30, pytest.param(1002, marks=pytest.mark.long)])
def test_faults_in_loggly(tmp_path, count):
    """Each deletion, duplicate and change is found, planted in what the stand-in keeps."""
    journal, dice = tmp_path / "journal", random.Random(2)
    with StandIn(journal=journal) as loggly:
        service(tmp_path, count)
        ship(tmp_path, loggly.environment())
    bodies = [orjson.loads(line) for line in journal.read_bytes().splitlines()]
    planted = plant([orjson.loads(line) for body in bodies for line in body["lines"]], dice)
    deleted, doubled, altered = map(set, planted)
    for body in bodies:
        lines, body["lines"] = body["lines"], []
        for line in lines:
            id_ = orjson.loads(line)["event"]["id"]
            if id_ in altered:
                body["lines"].append(orjson.dumps(changed(orjson.loads(line), dice)).decode())
            elif id_ not in deleted:
                body["lines"] += [line] * (2 if id_ in doubled else 1)
    journal.write_bytes(b"".join(orjson.dumps(body) + b"\n" for body in bodies))

    with StandIn(journal=journal) as loggly:
        status, found = audit(tmp_path, **loggly.environment())

    assert status == 1
    assert_all_found(found["loggly"], planted)
    assert sum(map(len, planted)) == count


@pytest.fixture
def engine(elasticsearch_url, namespace):
    """Streams that are set up, and the environment that leads to them."""
    options = settings_for(elasticsearch_url, namespace)
    set_up(options)
    environment = {"ELASTICSEARCH_URL": elasticsearch_url, "DASHCAM_NAMESPACE": namespace}
    return options, {"LOG_BACKEND": "elasticsearch", **environment}


def version_of(options, hit):
    """The version that whoever changes a document of a data stream has to name."""
    found = requests.get(f"{options.url}/{hit['_index']}/_doc/{hit['_id']}", timeout=30).json()
    return {"if_seq_no": found["_seq_no"], "if_primary_term": found["_primary_term"]}


@pytest.mark.parametrize("count", [30, pytest.param(1002, marks=pytest.mark.long)])
def test_faults_in_elasticsearch(tmp_path, engine, count):
    """Each deletion, duplicate and change is found, planted in a real engine."""
    options, environment = engine
    dice = random.Random(3)
    service(tmp_path, count)
    ship(tmp_path, environment)
    found = {hit["_source"]["event"]["id"]: hit for hit in documents(options)}
    assert_well(tmp_path, {"elasticsearch": count + 3}, **environment)
    planted = plant([hit["_source"] for hit in found.values()], dice)
    actions = []
    for kind, ids in zip(("delete", "double", "change"), planted, strict=True):
        for id_ in ids:
            hit = found[id_]
            at = {"_index": hit["_index"], "_id": hit["_id"]}
            if kind == "delete":
                actions.append({"delete": at})
            elif kind == "double":
                actions += [{"create": {"_index": "logs-dashcam-" + options.namespace}}, hit["_source"]]
            else:
                actions += [{"index": at | version_of(options, hit)}, changed(hit["_source"], dice)]
    body = b"".join(orjson.dumps(action) + b"\n" for action in actions)
    answer = requests.post(
        f"{options.url}/_bulk?refresh=true", data=body, headers={"Content-Type": "application/x-ndjson"}, timeout=60
    )
    assert not answer.json()["errors"], answer.text[:2000]

    status, found = audit(tmp_path, **environment)

    assert status == 1
    assert_all_found(found["elasticsearch"], planted)
    assert sum(map(len, planted)) == count


def test_a_resend_across_a_rollover_is_no_alarm(tmp_path, engine):
    """The same documents stand in two indices then; what was changed in one of them is found."""
    options, environment = engine
    service(tmp_path, 3)
    ship(tmp_path, environment)
    requests.post(f"{options.url}/logs-dashcam-{options.namespace}/_rollover", timeout=30).raise_for_status()
    shutil.rmtree(tmp_path / "positions")
    ship(tmp_path, environment)
    twice = documents(options)
    assert len(twice) > len({hit["_id"] for hit in twice})

    assert_well(tmp_path, {"elasticsearch": 6}, **environment)

    hit = next(hit for hit in twice if "number" in hit["_source"].get("labels", {}))
    hit["_source"]["message"] = "forged"
    place = f"{options.url}/{hit['_index']}/_doc/{hit['_id']}?refresh=true"
    requests.put(place, params=version_of(options, hit), json=hit["_source"], timeout=30).raise_for_status()
    status, found = audit(tmp_path, **environment)
    assert status == 1
    assert found["elasticsearch"]["changed"] == [hit["_id"]]


def _statements(folder):
    ids = [event["event"]["id"] for event in events_of(folder)]
    return sorted(id_ for id_ in ids if "-sealed-" in id_)


def _record_three(folder):
    """Three segments, each of 2 events, shipped to the local store."""
    for _ in range(3):
        record(folder, 2)
        ship(folder, {"LOG_BACKEND": "local"})


@pytest.mark.parametrize("place", [0, 1])
def test_a_segment_that_is_gone_with_its_statement(tmp_path, place):
    """The statement behind it names it."""
    _record_three(tmp_path)
    gone = _statements(tmp_path)[place]
    after = _statements(tmp_path)[place + 1]
    rewrite(tmp_path, lambda event: [] if event["event"]["id"].startswith(gone[:24]) else [event])

    status, found = audit(tmp_path / "elsewhere", LOG_BACKEND="local", DASHCAM_DIR=str(tmp_path))

    assert status == 1
    assert found["local"]["gaps"] == [f"the statement {gone}, before {after}, is missing"]
    assert found["local"]["missing"] == []


def test_the_last_segment_is_gone_with_its_statement(tmp_path):
    """No statement stands behind it: the machine that recorded it knows."""
    _record_three(tmp_path)
    gone = _statements(tmp_path)[2]
    rewrite(tmp_path, lambda event: [] if event["event"]["id"].startswith(gone[:24]) else [event])

    status, found = audit(tmp_path, LOG_BACKEND="local")

    assert status == 1
    assert found["local"]["gaps"] == [f"the statement {gone}, made last, is missing"]


def _rewrite(folder, id_, change):
    """Change an event of the local store by its ID."""

    def change_one(event):
        if event["event"]["id"] == id_:
            change(event)
        return [event]

    rewrite(folder, change_one)


def test_a_statement_that_was_changed(tmp_path):
    """To hide a deletion; the statement behind it tells, and what cannot be read is reported."""
    _record_three(tmp_path)
    first, second, third = _statements(tmp_path)
    _rewrite(tmp_path, first, lambda event: event["dashcam"]["statement"].update(digest="0" * 64))

    _, found = audit(tmp_path, LOG_BACKEND="local")
    assert found["local"]["gaps"] == [
        f"{first}: an event of the segment was forged",
        f"the statement {first}, before {second}, was changed",
    ]

    _rewrite(tmp_path, first, lambda event: event["dashcam"]["statement"].update(lines="?"))
    status, found = audit(tmp_path, LOG_BACKEND="local")
    assert status == 1
    assert found["local"]["gaps"][0].startswith(f"{first} is not a statement: ")
    assert third


def test_an_event_that_was_forged_with_its_checksum(tmp_path):
    """Whoever makes a CRC-32 that fits is found by the SHA-256 of the segment."""
    _record_three(tmp_path)
    first = _statements(tmp_path)[0]
    ids = [event["event"]["id"] for event in events_of(tmp_path)]
    forged = next(id_ for id_ in ids if id_.startswith(first[:24]) and id_ != first)

    def forge(event):
        wanted = zlib.crc32(orjson.dumps(event))
        event["message"] = "car stolen"
        event["labels"]["number"] = 0
        _reach(event, wanted)

    _rewrite(tmp_path, forged, forge)
    status, found = audit(tmp_path, LOG_BACKEND="local")

    assert status == 1
    assert faults(found["local"]) == {"gaps": [f"{first}: an event of the segment was forged"]}


def _reach(event, wanted):
    """Change a text of an event by up to 40 letters, `@` or `A`, so that its CRC-32 is the wanted one: it is linear."""
    places = 40
    event["message"] = "@" * places
    plain = zlib.crc32(orjson.dumps(event))
    basis = []
    for place in range(places):
        event["message"] = "@" * place + "A" + "@" * (places - place - 1)
        basis.append((zlib.crc32(orjson.dumps(event)) ^ plain, 1 << place))
    rows, target, chosen = [], wanted ^ plain, 0
    while basis:
        value, mask = basis.pop()
        for high, row, row_mask in rows:
            if value >> high & 1:
                value, mask = value ^ row, mask ^ row_mask
        if value:
            rows.append((value.bit_length() - 1, value, mask))
    for high, row, mask in rows:
        if target >> high & 1:
            target, chosen = target ^ row, chosen ^ mask
    assert target == 0
    event["message"] = "".join("A" if chosen >> place & 1 else "@" for place in range(places))
    assert zlib.crc32(orjson.dumps(event)) == wanted


def test_kills_switches_and_two_at_once_are_no_alarm(tmp_path, stores):
    """Each store is held against what its own route delivered, segments of killed processes among it."""
    both = stores["loggly"] | {"LOG_BACKEND": "local,loggly"}
    service(tmp_path, 3)
    ship(tmp_path, stores["loggly"])
    service(tmp_path, 4)
    ship(tmp_path, stores["local"])
    assert_well(tmp_path, {"local": 7}, **stores["local"])

    service(tmp_path, 5)
    with suppress(AssertionError):
        run(KILLED, env={"DASHCAM_DIR": str(tmp_path), "DASHCAM_CONSOLE": "off"})
    ship(tmp_path, both)

    assert_well(tmp_path, {"local": 17, "loggly": 16}, **both)


def test_what_the_store_lets_go_is_no_alarm(tmp_path):
    """The oldest events go where a limit is reached, in the middle of a segment, and the audit knows up to where."""
    environment = {"LOG_BACKEND": "local", "DASHCAM_LOCAL_LIMIT": "32MB"}
    for _ in range(4):
        run(LARGE, env={"DASHCAM_DIR": str(tmp_path), "DASHCAM_CONSOLE": "off"})
        ship(tmp_path, environment)
    kept = [event["event"]["id"] for event in events_of(tmp_path)]
    assert 1000 < len(kept) < 4 * 8000

    status, found = audit(tmp_path, **environment)

    assert (status, faults(found["local"])) == (0, {})
    assert len(kept) / 2 < found["local"]["expected"] < len(kept) + 8000
    gone = max(id_ for id_ in kept if "-sealed-" not in id_)
    rewrite(tmp_path, lambda event: [] if event["event"]["id"] == gone else [event])
    status, found = audit(tmp_path, **environment)
    assert (status, found["local"]["missing"]) == (1, [gone])


def test_what_is_too_old_for_the_store_is_no_alarm(tmp_path):
    """Also where its age ends in the middle of a segment; what is younger is looked for."""
    environment = {"LOG_BACKEND": "local"}
    for count in (60, 3):
        service(tmp_path, count)
        ship(tmp_path, environment)
    times = sorted(parse_time(event["@timestamp"]) for event in events_of(tmp_path))
    now_ns = time.time_ns()
    age = Bounds(bytes=1 << 30, age_ns=now_ns - times[20], partition_events=500)
    with closing(Local(tmp_path / "events.db", age, clock=lambda: now_ns)) as local:
        local.ship([])
    kept = sorted(event["event"]["id"] for event in events_of(tmp_path))

    status, found = audit(tmp_path, **environment)

    assert 20 < len(kept) < 67
    assert (status, faults(found["local"])) == (0, {})
    gone = next(id_ for id_ in reversed(kept) if "-sealed-" not in id_)
    rewrite(tmp_path, lambda event: [] if event["event"]["id"] == gone else [event])
    assert audit(tmp_path, **environment)[1]["local"]["missing"] == [gone]


LARGE = """
import random
import dashcam
dashcam.init("cars")
log = dashcam.get_logger("cars")
dice = random.Random()
for number in range(8000):
    log.info("car created", number=number, filling=dice.randbytes(500).hex())
"""


def test_letters_are_known_where_they_lie(tmp_path, stores):
    """An event that the store refused is missing there, but for whoever has the letter."""
    service(tmp_path, 3)
    ship(tmp_path, stores["local"])
    refused = next(event for event in events_of(tmp_path) if "labels" in event)
    id_ = refused["event"]["id"]
    rewrite(tmp_path, lambda event: [] if event["event"]["id"] == id_ else [event])
    letter = {"time": "", "reason": "refused", "id": id_, "is_span": False, "event": orjson.dumps(refused).decode()}
    (tmp_path / "dead-letters").mkdir(exist_ok=True)
    (tmp_path / "dead-letters" / "local.jsonl").write_bytes(orjson.dumps(letter) + b"\n")

    assert_well(tmp_path, {"local": 6}, **stores["local"])
