"""All events that the local store counts as they come: the same as reading them, at any bounds, of any values."""

import random
import sqlite3

import orjson
import pytest

from dashcam.destinations.local import backend as local_backend
from dashcam.destinations.local.index import tallies
from dashcam.destinations.local.options import Options
from dashcam.destinations.local.search import store as local_store
from dashcam.destinations.local.search.store import open_store
from dashcam.event import EncodedEvent, Event, format_time
from dashcam.find.aggregation import Grouping, group_events
from dashcam.find.language import parse
from dashcam.find.query import Query, without_own
from dashcam.settings import load
from dashcam.testing import sample

START_NS = sample.START_NS
GROUPINGS = [
    Grouping(("log.level",), 15 * 10**9),
    Grouping(("log.level",), 10**6),
    Grouping(("service.name",)),
    Grouping(("http.response.status_code", "log.logger")),
]
ODD = [
    {"service": {"name": ["cars", "parts"]}},
    {"service.name": "dotted"},
    {"service": "no name"},
    {"http": {"response": {"status_code": "503"}}},
    {"log.level": None},
    {"log.level": 'caf\u00e9 \\ " \u2028'},
    {"log": {"logger": 7.5}, "log.logger": "twice"},
    {"log": {"logger": "x" * 1000}},
    {"event": {"dataset": "dashcam-doctor"}},
    {"event": {"action": "segment-sealed"}},
]


def line(number, at_ns, more):
    fields = {
        "@timestamp": format_time(at_ns),
        "log.level": ("info", "error", "debug")[number % 3],
        "service": {"name": ("cars", "parts")[number % 2]},
        "log": {"logger": f"cars.{number % 5}"},
        "message": "tick",
        **more,
    }
    fields["event"] = fields.get("event", {}) | {"id": f"{7:024x}-{number:08d}"}
    return EncodedEvent(fields["event"]["id"], is_span=False, data=orjson.dumps(fields))


def many(count=400, seed=3):
    chance = random.Random(seed)
    found = [line(number, START_NS + chance.randrange(600 * 10**6) * 1000, {}) for number in range(count)]
    found += [line(count + number, START_NS + number * 10**9, more) for number, more in enumerate(ODD)]
    chance.shuffle(found)
    return found


LINES = many()
EVENTS = [Event.from_store(one.data) for one in LINES]


@pytest.fixture
def settings(tmp_path):
    return load(Options, {"DASHCAM_DIR": str(tmp_path), "DASHCAM_RETENTION": "36500d"})


def ship(settings, *batches):
    backend = local_backend.connect(settings)
    for batch in batches:
        backend.ship(list(batch))
    backend.close()


def counted(settings, query, groupings):
    store = open_store(settings)
    groups = store.aggregate(query, groupings)
    store.close()
    return groups


def wanted(query, groupings):
    return group_events(filter(query.matches, EVENTS), groupings)


@pytest.fixture
def path(settings):
    return settings.dir / "events.db"


def test_counting_is_reading(settings):
    """At any bounds, for any values, by any fields of a key."""
    ship(settings, LINES[:150], LINES[150:160], LINES[160:])

    for text in ("*", "level:error service:cars", "-status:503 OR logger:cars.1*", "event.action:segment-sealed"):
        for since_s, until_s in ((None, None), (0, 600), (17, 300.000001), (299, 300), (900, 901)):
            bounds = [None if one is None else START_NS + int(one * 10**9) for one in (since_s, until_s)]
            query = Query(without_own(parse(text), text), *bounds)

            assert counted(settings, query, GROUPINGS) == wanted(query, GROUPINGS), (text, since_s, until_s)


def test_blocks_within_a_step_are_not_read(settings, monkeypatch):
    """Only those at its ends, or of several steps; that is what makes it fast."""
    ship(settings, [line(number, START_NS + number * 10**6, {}) for number in range(1600)])
    query = Query(parse("*"), START_NS - 10**9, START_NS + 10**10)
    read = []
    monkeypatch.setattr(local_store, "_read", lambda db, rowids: read.append(len(rowids)) or [])

    counted(settings, query, [Grouping(("log.level",), 10**10), Grouping(("service.name",))])

    assert read == []


@pytest.mark.parametrize(
    ("text", "grouping"),
    [("tick", GROUPINGS[0]), ("car_id:7", GROUPINGS[2]), ("*", Grouping(("labels.car_id",)))],
)
def test_what_is_not_in_a_key_is_read(settings, text, grouping):
    """By whoever asks; what can be counted is counted all the same."""
    ship(settings, LINES)

    first, second = counted(settings, Query(parse(text)), [grouping, GROUPINGS[2]])

    assert first is None
    assert (second is None) == (text != "*")


def test_too_many_keys_are_read(settings, path, monkeypatch):
    """The file does not grow by loggers that are as many as events."""
    monkeypatch.setattr(tallies, "MAX_KEYS", 20)
    ship(settings, LINES)

    assert counted(settings, Query(), GROUPINGS) == wanted(Query(), GROUPINGS)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM event_keys").fetchone() == (20,)
    db.close()


def test_what_is_forgotten_is_not_counted(settings, path):
    """The tally of a block goes with it."""
    ship(settings, LINES)
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM blocks")
    db.close()

    assert counted(settings, Query(), GROUPINGS) == [{}, {}, {}, {}]
