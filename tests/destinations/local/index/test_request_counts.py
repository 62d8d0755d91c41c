"""The requests that the local store counts as they come: the same as reading them, at any bounds, of any values."""

import random
import sqlite3
from contextlib import closing

import orjson
import pytest

from dashcam.destinations.local import backend as local_backend
from dashcam.destinations.local.index import request_counts
from dashcam.destinations.local.options import Options
from dashcam.destinations.local.search.store import open_store
from dashcam.event import EncodedEvent, Event, format_time
from dashcam.find.aggregation import Grouping, Key, group_events
from dashcam.find.language import parse
from dashcam.find.query import CANARY, OWN, And, Not, Query
from dashcam.find.requests import FINISHED, WITHOUT_ROUTE
from dashcam.settings import load
from dashcam.show.overview import count_requests
from dashcam.testing import sample

START_NS = sample.START_NS
BY_ROUTE = Grouping(("service.name", "http.route", "event.outcome"), is_timed=True)

ODD = [
    {"service": {"name": ["cars", "parts"]}},
    {"service.name": "dotted", "service": {}},
    {"http": {"route": None, "response": {"status_code": "503"}}},
    {"http": {"route": "/caf\\u00e9 \\ud83d", "request": {"method": 7}}},
    {"event": {"duration": "7", "outcome": True}},
    {"event": {"duration": -5}},
    {"event": {"duration": 2**63}},
    {"event": {"duration": 7.9}},
    {"event": {"duration": [3, 4]}},
    {"event": {"duration": None}},
    {"event": {"action": "request-aborted"}},
    {"event": {"dataset": "dashcam-doctor"}},
    {"event": {"action": "segment-sealed"}},
    {"event.action": "other"},
    {"span": {"kind": "internal"}},
    {"span": {"kind": "internal"}, "transaction": {"type": "job"}},
    {"span": {"kind": ["client", "server"]}},
    {"processor": {"event": ["transaction", "x"]}},
    {"processor": [{"event": "transaction"}]},
    {"processor": {"event": "span"}},
]


def served(number, at_ns, more=None):
    fields = {
        "@timestamp": format_time(at_ns),
        "processor": {"event": "transaction"},
        "span": {"id": f"{number:016x}", "kind": "server"},
        "http": {"route": f"/{number % 3}", "response": {"status_code": 200 + number % 2 * 300}},
        "service": {"name": "cars", "version": "1.0"},
        "event": {"duration": number * 1000 + 7, "outcome": "failure" if number % 2 else "success"},
    }
    for name, value in (more or {}).items():
        fields[name] = fields.get(name, {}) | value if isinstance(value, dict) else value
    fields["event"] = fields["event"] | {"id": f"{7:024x}-{number:08d}"}
    return EncodedEvent(fields["event"]["id"], is_span=True, data=orjson.dumps(fields))


@pytest.fixture
def kept(tmp_path):
    """Put events into a store; gives it."""
    stores = []

    def put(*batches):
        settings = load(Options, {"DASHCAM_DIR": str(tmp_path), "DASHCAM_RETENTION": "36500d"})
        backend = local_backend.connect(settings)
        for batch in batches:
            backend.ship(list(batch))
        backend.close()
        stores.append(open_store(settings))
        return stores[-1]

    yield put
    for store in stores:
        store.close()


def counted(store, query, grouping):
    """What the store counts by itself."""
    (groups,) = store.aggregate(query, [grouping])
    return groups


def change(store, statement):
    """Change the file of a store behind its back."""
    with store._reading() as db:
        path = db.execute("PRAGMA database_list").fetchone()[2]
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)


def many(count=400, seed=3):
    chance = random.Random(seed)
    events = [served(number, START_NS + chance.randrange(600) * 10**9) for number in range(count)]
    odd = [served(count + number, START_NS + number * 10**9, more) for number, more in enumerate(ODD)]
    found = [*events, *odd]
    chance.shuffle(found)
    return found


@pytest.mark.parametrize("since_s", [None, 0, 1, 17, 300, 599, 900])
@pytest.mark.parametrize("until_s", [None, 0, 18, 300.000001, 600])
def test_counting_is_reading(kept, since_s, until_s):
    """At any bounds, for any values."""
    lines = many()
    store = kept(lines[:150], lines[150:160], lines[160:])
    bounds = [None if one is None else START_NS + int(one * 10**9) for one in (since_s, until_s)]
    query = Query(And((FINISHED, Not(OWN))), *bounds)
    events = [Event.from_store(line.data) for line in lines]

    assert counted(store, query, BY_ROUTE) == group_events(filter(query.matches, events), [BY_ROUTE])[0]


@pytest.mark.parametrize(
    "text", ["service:cars", "status:>=500 NOT route:/1", "method:7 OR service.version:1.*", "route:*"]
)
def test_requests_are_chosen_by_what_their_keys_hold(kept, text):
    """Without reading them."""
    lines = many()
    store = kept(lines)
    query = Query(And((FINISHED, parse(text))))
    events = [Event.from_store(line.data) for line in lines]
    grouping = Grouping(("http.response.status_code", "service.version"))

    assert counted(store, query, grouping) == group_events(filter(query.matches, events), [grouping])[0]


@pytest.mark.parametrize(
    ("expression", "grouping"),
    [
        (And((FINISHED, parse("car_id=7"))), BY_ROUTE),
        (And((FINISHED, parse("timed out"))), BY_ROUTE),
        (parse("service:cars"), BY_ROUTE),
        (FINISHED, Grouping(("log.logger",), is_timed=True)),
        (FINISHED, Grouping((), 10**9, is_timed=True)),
    ],
)
def test_what_is_not_in_a_key_is_read(kept, expression, grouping):
    """By whoever asks."""
    assert counted(kept(many()), Query(expression), grouping) is None


def test_too_many_routes_are_read(kept, monkeypatch):
    """An address for a route would give each request a key; the file does not grow by that."""
    monkeypatch.setattr(request_counts, "MAX_KEYS", 50)
    lines = [served(number, START_NS + number, {"http": {"route": f"/{number}"}}) for number in range(200)]
    store = kept(lines)

    groups = counted(store, Query(FINISHED), BY_ROUTE)

    assert len(groups) == 200
    with store._reading() as db:
        assert db.execute("SELECT count(*) FROM request_keys").fetchone() == (50,)


def test_what_is_forgotten_is_not_counted(kept):
    """The counts of a block go with it."""
    store = kept(many())
    change(store, "DELETE FROM blocks")

    assert counted(store, Query(FINISHED), BY_ROUTE) == {}


def jobs():
    """Requests without a route, jobs and tasks among others."""
    lines = [served(number, START_NS + number * 10**9) for number in range(100)]
    names = {"http": None, "transaction": {"name": "nightly", "type": "job"}}
    lines += [served(1000 + number, START_NS + number * 10**9, names) for number in range(9)]
    names = {"http": {"route": None, "request": {"method": "GET"}}, "transaction": {"name": "GET /7"}}
    return lines + [served(2000 + number, START_NS + number * 10**9, names) for number in range(9)]


def test_jobs_are_counted_by_name(kept):
    """Without reading any; requests without a route are counted by their method."""
    store = kept(jobs())

    assert _numbers(count_requests(store, Query())) == _numbers(count_requests(_Read(store), Query()))
    rows = {row.title: row.requests for row in count_requests(store, Query()).values()}
    assert (rows["nightly"], rows["GET (no known route)"]) == (9, 9)
    named = Query(And((FINISHED, WITHOUT_ROUTE)))
    assert counted(store, named, Grouping(("transaction.name",)))[Key(("nightly",))].count == 9


def test_an_overview_of_the_sample_is_the_same(kept):
    """Aborted requests included."""
    lines = sample.lines()
    store = kept(lines)
    query = Query(Not(CANARY))

    assert _numbers(count_requests(store, query)) == _numbers(count_requests(_Read(store), query))
    assert sum(row.requests for row in count_requests(store, query).values()) == 80


def _numbers(stats):
    return {key: (row.requests, row.failures, row.durations) for key, row in stats.items()}


class _Read:
    def __init__(self, store):
        self.find = store.find
