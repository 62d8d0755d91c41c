"""A file of the format before: read as it is, and converted by the first writer."""

import gzip
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from dashcam.destinations.local import former
from dashcam.destinations.local.backend import DAY_NS, Bounds, Local
from dashcam.destinations.local.keep import keep
from dashcam.destinations.local.store import LocalStore
from dashcam.event import Event, parse_time
from dashcam.find.language import parse
from dashcam.find.query import Query
from dashcam.testing.expressions import EXPRESSIONS
from dashcam.testing.sample import lines

FILE = Path(__file__).with_name("format-2.db.gz")
NOW_NS = parse_time("2026-11-23T12:00:00Z")
BOUNDS = Bounds(bytes=100_000_000, age_ns=14 * DAY_NS, partition_events=40)
EARLIER = "2020-11-23T09:01:05.941728Z"  # what one of its events claims

KEPT = [Event.from_json(line.data) for line in list(dict.fromkeys(lines()))[::4]]
KEPT = sorted([Event(KEPT[0].fields | {"@timestamp": EARLIER}), *KEPT], key=lambda event: (event.time_ns, event.id))


def copy(folder):
    """A copy of the file, as a version of before has written it."""
    path = folder / "events.db"
    path.write_bytes(gzip.decompress(FILE.read_bytes()))
    return path


@pytest.fixture
def path(tmp_path):
    """The file of a test's own."""
    return copy(tmp_path)


def found(path, query):
    with closing(LocalStore(path)) as store:
        return list(store.find(query))


def writer(path, now_ns=NOW_NS):
    return closing(Local(path, BOUNDS, clock=lambda: now_ns))


def convert_some(db, *, is_killed=False):
    """One step of the conversion, of 30 events, or all but the end of it."""
    db.execute("BEGIN IMMEDIATE")
    events, age_of = former.take(db, 30)
    keep(db, events, age_of, BOUNDS.partition_events)
    if is_killed:
        os.kill(os.getpid(), signal.SIGKILL)
    db.execute("COMMIT")


def tables(path):
    with closing(sqlite3.connect(path)) as db:
        return {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}


@pytest.fixture(scope="module", params=["former", "begun", "converted"])
def state(request):
    return request.param


@pytest.fixture(scope="module", params=[1, 2])
def read(request, state, tmp_path_factory):
    """A file of each version, in each state; it is only read."""
    path = copy(tmp_path_factory.mktemp(state))
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {request.param}")
    if state == "begun":
        with writer(path) as local:
            convert_some(local.open())
    if state == "converted":
        with writer(path) as local:
            local.ship([])
    return path


def test_its_events_are_found(read):
    """Before a writer came, when one was killed in the middle, and after it."""
    middle_ns = KEPT[40].time_ns
    for text in ["*", '"car created"', "vw", *EXPRESSIONS[::20]]:
        expression = parse(text)
        wanted = [event for event in KEPT if expression.matches(event)]
        late = [event for event in wanted if event.time_ns >= middle_ns]

        assert found(read, Query(expression)) == wanted, text
        assert found(read, Query(expression, limit=7)) == wanted[-7:], text
        assert found(read, Query(expression, since_ns=middle_ns)) == late, text


def test_nothing_is_left_of_it(path):
    """The converted file has the tables of a new one."""
    with writer(path) as local:
        local.ship([])
    with writer(path.with_name("new.db")) as local:
        local.ship(lines()[:60])

    both = [{name for name in tables(each) if "terms_" not in name} for each in (path, path.with_name("new.db"))]

    assert both[0] == both[1]


def test_what_it_has_is_not_kept_twice(path):
    """An event that was acknowledged by the version before, and comes again, is one event."""
    with writer(path) as local:
        local.ship(lines())

    assert len(found(path, Query())) == len(set(lines())) + 1


def test_an_event_of_a_wrong_clock_keeps_its_age(path):
    """It is as old as its arrival, and goes when that is too long ago."""
    with writer(path) as local:
        local.ship([])
    assert found(path, Query())[0].fields["@timestamp"] == EARLIER

    for hours in (0, 2):
        with writer(path, NOW_NS + BOUNDS.age_ns + (hours + 1) * DAY_NS // 24) as local:
            local.ship([])

    assert found(path, Query()) == []


def test_a_kill_between_two_steps_costs_nothing(path):
    """What is converted is no longer in the former tables, and the next writer goes on."""
    code = f"""if True:
        from tests.destinations.local.test_former import Path, convert_some, writer
        with writer(Path({str(path)!r})) as local:
            db = local.open()
            convert_some(db)
            convert_some(db, is_killed=True)
    """

    died = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False)

    assert died.returncode == -signal.SIGKILL
    assert {"events", "blocks"} < tables(path)
    assert found(path, Query()) == KEPT
    with writer(path) as local:
        local.ship([])
    assert found(path, Query()) == KEPT
