"""Keeping events in the local store's file."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from dashcam.destinations.local.backend import DAY_NS, Bounds, Local, connect
from dashcam.destinations.local.blocks.file import MAX_BLOCK_EVENTS, MAX_SPAN_US
from dashcam.destinations.local.options import Options
from dashcam.destinations.local.search.store import LocalStore
from dashcam.errors import BackendUnavailable, SettingsError
from dashcam.event import EncodedEvent, format_time, parse_time
from dashcam.find.query import Phrase, Query
from dashcam.settings import load
from dashcam.testing.backend_contract import BackendContract, line

HOUR_NS = DAY_NS // 24
NOW_NS = parse_time("2026-11-24T00:00:00Z")
PLENTY = Bounds(bytes=100_000_000, age_ns=14 * DAY_NS, partition_events=10_000)


class _File:
    """The file as a destination, read by its store; another writer that never ends makes it take nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.other: sqlite3.Connection | None = None

    def connect(self):
        local = Local(self._path, PLENTY, busy_s=0.05, clock=lambda: NOW_NS)
        local.open()
        return local

    def arrived(self):
        with closing(LocalStore(self._path)) as store:
            return [event.fields for event in store.find(Query())]

    def stop(self):
        self.other = sqlite3.connect(self._path, isolation_level=None)
        self.other.execute("BEGIN IMMEDIATE")


class TestLocal(BackendContract):
    """The file as a destination."""

    @pytest.fixture
    def destination(self, tmp_path):
        """A file that is not there yet."""
        file = _File(tmp_path / "state" / "events.db")
        yield file
        if file.other:
            file.other.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.db"


@pytest.fixture
def opened():
    """A function that gives a backend, closed at the end."""
    backends = []

    def opened(path, bounds=PLENTY, now_ns=NOW_NS):
        backends.append(Local(path, bounds, busy_s=0.05, clock=lambda: now_ns))
        return backends[-1]

    yield opened
    for backend in backends:
        backend.close()


def at(time_ns, number, message="tick"):
    """An event of a time."""
    fields = orjson.loads(line(number, message).data) | {"@timestamp": format_time(time_ns)}
    return EncodedEvent(f"0193a1b2c3d4e5f601020304-{number:08d}", is_span=False, data=orjson.dumps(fields))


def numbers(path, query=Query()):  # noqa: B008 - it is frozen
    with closing(LocalStore(path)) as store:
        return [event.labels["number"] for event in store.find(query)]


def later(path, opened, now_ns):
    """Let an hour pass, and another one with a clock that has jumped: it is trusted then."""
    opened(path, now_ns=NOW_NS + HOUR_NS + 1_000_000).ship([])
    opened(path, Bounds(bytes=1 << 30, age_ns=10**20, partition_events=500), now_ns=now_ns - HOUR_NS).ship([])


def tables(path):
    with closing(sqlite3.connect(path)) as db:
        return {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL%'")}


def test_connect_makes_the_file(tmp_path):
    """A reader finds an empty store as soon as there is a shipper."""
    settings = Options(dir=tmp_path / "new")

    connect(settings).close()

    assert numbers(settings.dir / "events.db") == []


def test_only_the_group_may_read_beside_the_owner(path, opened):
    """The file is as closed as the spool is."""
    opened(path).ship([line(1)])

    assert path.stat().st_mode & 0o7 == 0


def test_a_batch_is_on_disk_before_it_is_answered_for(path, opened):
    """The write-ahead log is synced at each commit."""
    db = opened(path).open()

    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (3,)


def test_a_file_that_was_left_without_a_log_gets_one(path, opened):
    """A fault of the disk can leave a new file so."""
    first = opened(path)
    first.ship([line(1)])
    first.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode = DELETE").fetchall() == [("delete",)]

    db = opened(path).open()

    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_killed_writer_loses_nothing(path):
    """What was answered for is there after kill -9, and a writer goes on."""
    code = f"""if True:
        import os, signal
        from pathlib import Path
        from tests.destinations.local.test_backend import PLENTY, Local, line
        local = Local(Path({str(path)!r}), PLENTY, clock=lambda: {NOW_NS})
        for number in range(20):
            local.ship([line(number)])
        os.kill(os.getpid(), signal.SIGKILL)
    """
    root = Path(__file__).parents[3]

    died = subprocess.run([sys.executable, "-c", code], cwd=root, check=False)

    assert died.returncode == -signal.SIGKILL
    assert numbers(path) == list(range(20))


@pytest.mark.parametrize(
    "data", [b'{"message":"no time"}', b'{"@timestamp":"yesterday"}', b'{"@timestamp":7}', b"[]", b"rubbish"]
)
def test_an_event_without_a_time_is_refused(path, opened, data):
    """It goes to the dead letters, the others are kept."""
    answer = opened(path).ship([line(1), EncodedEvent("bad-00000001", is_span=False, data=data), line(2)])

    assert list(answer.rejected) == [1]
    assert numbers(path) == [1, 2]


def test_many_events_of_one_moment(path, opened):
    """Thousands with the same time are kept and come in the order of their ids, resent ones too."""
    events = [at(NOW_NS, number) for number in range(3000)]
    backend = opened(path)

    for first in (0, 1000, 2000, 500):
        backend.ship(events[first : first + 1000])

    assert numbers(path) == list(range(3000))
    assert numbers(path, Query(limit=5)) == [2995, 2996, 2997, 2998, 2999]
    assert numbers(path, Query(until_ns=NOW_NS + 1, limit=1)) == [2999]
    assert numbers(path, Query(since_ns=NOW_NS + 1)) == []


def test_odd_ids_are_kept_apart(path, opened):
    """An id that is nearly in the common form is another one."""
    ids = ["0193a1b2c3d4e5f601020304-00000001", "0193A1B2C3D4E5F601020304-00000001", "0193a1b2c3d4e5f601020304-1"]
    ids += ["0193a1b2c3d4e5f601020304-00000001-aborted", "short-id", "é", "0193a1b2c3d4e5f601020304-99999999999"]

    opened(path).ship([line(1)._replace(id=event_id) for event_id in ids])

    assert len(numbers(path)) == len(ids)


def test_old_events_go(path, opened):
    """What is older than it is to be kept goes with the next batch."""
    opened(path).ship([at(NOW_NS, 1), at(NOW_NS + DAY_NS, 2)])

    later(path, opened, NOW_NS + PLENTY.age_ns + 1000)
    opened(path, now_ns=NOW_NS + PLENTY.age_ns + 1000).ship([at(NOW_NS + 2 * DAY_NS, 3)])

    assert numbers(path) == [2, 3]


def test_what_is_there_costs_a_batch_nothing(path, opened):
    """SQLite takes about as many steps for a batch beside 1,000 blocks as beside 10: no batch looks at all of them."""
    events = [at(NOW_NS - number * 2 * MAX_SPAN_US * 1000, number) for number in range(1_020)]
    backend, steps = opened(path), []
    backend.ship(events[:10])
    backend.open().set_progress_handler(lambda: steps.append(1), 1)

    def cost(events):
        steps.clear()
        for event in events:
            backend.ship([event])
        return len(steps)

    few = cost(events[10:15])
    backend.ship(events[15:1_015])
    many = cost(events[1_015:])

    assert many < 1.5 * few


@pytest.mark.parametrize("claim_ns", [0, parse_time("2020-01-01T00:00:00Z"), parse_time("2040-01-01T00:00:00Z")])
def test_an_event_of_a_wrong_clock_is_as_old_as_its_arrival(path, opened, claim_ns):
    """It is found until its time is over, and no longer."""
    opened(path).ship([at(claim_ns, 1), at(NOW_NS, 2)])
    opened(path).ship([at(NOW_NS + 1000, 3)])
    assert sorted(numbers(path)) == [1, 2, 3]

    now_ns = NOW_NS + PLENTY.age_ns + 2_000_000
    later(path, opened, now_ns)
    opened(path, now_ns=now_ns).ship([at(now_ns, 4)])

    assert numbers(path) == [4]


def test_a_clock_that_jumps_ahead_is_not_obeyed(path, opened, caplog):
    """It is reported; what was fresh is there when it is right again, and an hour later if it stays."""
    opened(path).ship([at(NOW_NS + number, number) for number in range(5)])

    opened(path, now_ns=NOW_NS + 20 * DAY_NS).ship([at(NOW_NS + 20 * DAY_NS, 5)])
    assert "the clock is 20 days ahead" in caplog.text
    opened(path, now_ns=NOW_NS + 2 * HOUR_NS).ship([at(NOW_NS + HOUR_NS, 6)])
    assert sorted(numbers(path)) == [0, 1, 2, 3, 4, 5, 6]

    opened(path, now_ns=NOW_NS + 4 * HOUR_NS).ship([at(NOW_NS + 4 * HOUR_NS, 7)])
    for hours in (0, 2):
        opened(path, now_ns=NOW_NS + 30 * DAY_NS + hours * HOUR_NS).ship([])
    assert sorted(numbers(path)) == [7]


def test_what_came_while_a_new_machine_had_no_time_stays(path, opened):
    """The clock said 1970 until the network told it the time; the age of all that came then begins with that."""
    opened(path, now_ns=60_000_000_000).ship([at(30_000_000_000, 1), at(2 * DAY_NS, 2)])
    opened(path, now_ns=NOW_NS).ship([at(31_000_000_000, 3)])

    opened(path, now_ns=NOW_NS + 2 * HOUR_NS).ship([])
    assert sorted(numbers(path)) == [1, 2, 3]
    days, each_day = PLENTY.age_ns // DAY_NS + 1, opened(path)
    for day in range(1, days + 1):
        each_day._clock = lambda day=day: NOW_NS + 2 * HOUR_NS + day * DAY_NS
        each_day.ship([])
    assert numbers(path) == []


def test_a_clock_that_was_behind_forgets_nothing(path, opened):
    """Events that came while it was 300 days behind stay when it is right again but for some hours."""
    opened(path, now_ns=NOW_NS - 300 * DAY_NS).ship([at(NOW_NS, 1)])

    for hours in (-6, -4):  # within which the jump to the right time is trusted
        opened(path, now_ns=NOW_NS + hours * HOUR_NS).ship([at(NOW_NS + 1000, 2)])

    assert sorted(numbers(path)) == [1, 2]


def test_two_jumps_are_not_one_that_has_stayed(path, opened):
    """The clock is 300 days behind, then right, then 20 days ahead for a moment, and only asked these three times."""
    for days in (-300, 0, 20):
        opened(path, now_ns=NOW_NS + days * DAY_NS).ship([at(NOW_NS + days, days)])
    for hours in (1, 2, 3):
        opened(path, now_ns=NOW_NS + hours * HOUR_NS).ship([])

    assert sorted(numbers(path)) == [-300, 0, 20]


def test_a_clock_that_is_behind_twice(path, opened):
    """The second time some hours later: what came at first is not old because of the hours between."""
    for days, hours in ((-300, 0), (0, 0), (-300, 6)):
        now_ns = NOW_NS + days * DAY_NS + hours * HOUR_NS
        opened(path, now_ns=now_ns).ship([at(now_ns, hours - days)])
    for hours in (7, 9):
        opened(path, now_ns=NOW_NS + hours * HOUR_NS).ship([])

    assert sorted(numbers(path)) == [0, 300, 306]


def test_a_clock_that_was_behind_for_days_costs_nothing(path, opened):
    """It goes back by 300 days, stays there for ten, and is set right: all that came meanwhile is as old as it is."""
    opened(path).ship([at(NOW_NS, 0)])
    for hours in range(0, 240, 8):
        now_ns = NOW_NS - 300 * DAY_NS + hours * HOUR_NS
        opened(path, now_ns=now_ns).ship([at(now_ns, hours + 1)])
    for hours in (240, 242):
        opened(path, now_ns=NOW_NS + hours * HOUR_NS).ship([])

    assert sorted(numbers(path)) == [0, *range(1, 241, 8)]


def test_a_clock_that_is_right_for_a_moment_while_it_is_behind(path, opened):
    """It is 300 days behind from the first, right for minutes, behind again for hours, and right again."""
    wrong = (NOW_NS - 300 * DAY_NS, 0, NOW_NS - 300 * DAY_NS, NOW_NS - 300 * DAY_NS)
    for hours, offset in enumerate(wrong):
        now_ns = (offset or NOW_NS) + hours * HOUR_NS
        opened(path, now_ns=now_ns).ship([at(now_ns, hours)])
    now_ns = NOW_NS - 300 * DAY_NS + 7 * HOUR_NS
    opened(path, now_ns=now_ns).ship([at(now_ns, 7)])
    for hours in (7, 9):
        opened(path, now_ns=NOW_NS + hours * HOUR_NS).ship([])

    assert sorted(numbers(path)) == [0, 1, 2, 3, 7]


def test_a_machine_that_is_off_for_days_keeps_no_event_for_longer(path, opened):
    """A jump ahead that does not come back to a time that the clock had is time that has passed."""
    opened(path).ship([at(NOW_NS, 0)])
    for days in (-300, -292, -284, -276):
        now_ns = NOW_NS + days * DAY_NS
        for hours, batch in ((0, []), (2, [at(now_ns, days)]), (4, [])):
            opened(path, now_ns=now_ns + hours * HOUR_NS).ship(batch)

    assert numbers(path) == [-284, -276]


def test_what_comes_while_the_clock_is_behind_for_a_moment_stays(path, opened, caplog):
    """It claims to be 300 days old, and so does its arrival; when the clock is right again it is as old as it is."""
    opened(path).ship([at(NOW_NS, 1)])
    opened(path, now_ns=NOW_NS - 300 * DAY_NS).ship([at(NOW_NS - 300 * DAY_NS, 2)])
    for hours in (1, 3):
        opened(path, now_ns=NOW_NS + hours * HOUR_NS).ship([])

    assert "the clock is 300 days behind" in caplog.text
    assert sorted(numbers(path)) == [1, 2]


def test_a_clock_that_stays_behind_is_obeyed(path, opened):
    """It was wrong before: what came meanwhile is as old as the right time, and what comes later as it says."""
    opened(path, now_ns=NOW_NS + 300 * DAY_NS).ship([])
    for hours in (0, 2):
        opened(path, now_ns=NOW_NS + hours * HOUR_NS).ship([at(NOW_NS, hours)])
    opened(path, now_ns=NOW_NS + 4 * HOUR_NS).ship([])
    assert sorted(numbers(path)) == [0, 2]
    for days in (15, 16):
        opened(path, now_ns=NOW_NS + days * DAY_NS).ship([])
        opened(path, now_ns=NOW_NS + days * DAY_NS + 2 * HOUR_NS).ship([])

    assert numbers(path) == []


def test_the_oldest_go_when_there_are_too_many(path, opened):
    """The file stays within its limit, and the newest events are those that are left and found."""
    bounds = Bounds(bytes=16_000_000, age_ns=14 * DAY_NS, partition_events=500)
    backend = opened(path, bounds)
    for first in range(0, 5_000, 500):
        large = [f"tick {os.urandom(4000).hex()}" for _ in range(500)]
        backend.ship([at(NOW_NS + (first + number) * 1000, first + number, large[number]) for number in range(500)])

    left = numbers(path)

    assert sum(part.stat().st_size for part in path.parent.glob("events.db*")) < bounds.bytes
    assert left == list(range(left[0], 5_000))
    assert 500 <= len(left) < 4_000
    assert numbers(path, Query(Phrase("tick"))) == left


def test_partitions_without_events_are_dropped(path, opened):
    """An index goes when the last of its events has gone."""
    bounds = Bounds(bytes=100_000_000, age_ns=DAY_NS, partition_events=10)
    for first in range(0, 50, 10):
        backend = opened(path, bounds, now_ns=NOW_NS + first * 1000)
        backend.ship([at(NOW_NS + number * 1000, number) for number in range(first, first + 10)])
    assert numbers(path, Query(Phrase("tick"))) == list(range(50))
    assert tables(path) == {"terms_1", "terms_2", "terms_3", "terms_4", "terms_5"}

    later(path, opened, NOW_NS + DAY_NS + 25_000)
    opened(path, bounds, now_ns=NOW_NS + DAY_NS + 25_000).ship([at(NOW_NS + DAY_NS, 50)])

    assert tables(path) == {"terms_3", "terms_4", "terms_5", "terms_6"}
    assert numbers(path, Query(Phrase("tick"))) == list(range(20, 51))


def test_a_lowered_limit_makes_the_file_smaller(path, opened):
    """Batches that come give back the room of those that went."""
    events = [at(NOW_NS + number * 1000, number, os.urandom(500).hex()) for number in range(5000)]
    backend = opened(path)
    for first in range(0, 5000, 1000):
        backend.ship(events[first : first + 1000])
    backend.close()
    before = path.stat().st_size

    backend = opened(path, Bounds(bytes=before // 4, age_ns=14 * DAY_NS, partition_events=300))
    for number in range(5000, 5020):
        backend.ship([at(NOW_NS + number * 1000, number)])
    backend.close()

    assert path.stat().st_size < before // 2
    assert numbers(path)[-1] == 5019


def test_what_is_known_of_events_goes_with_them(path, opened):
    """An account of all events that ever came would grow without end."""
    for day in range(3):
        opened(path, now_ns=NOW_NS + day * DAY_NS).ship([at(NOW_NS + day * DAY_NS, day)])

    later(path, opened, NOW_NS + PLENTY.age_ns + DAY_NS)
    opened(path, now_ns=NOW_NS + PLENTY.age_ns + DAY_NS).ship([at(NOW_NS + 3 * DAY_NS, 3)])

    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT first FROM runs ORDER BY first").fetchall() == [(1,), (2,), (3,)]
    assert numbers(path) == [1, 2, 3]


@pytest.mark.parametrize("content", [b"not a database at all" * 500, b"\0" * 5000])
def test_a_file_of_something_else_is_left_alone(path, opened, content):
    """It is not touched; the events wait, and the operator is told what to do."""
    path.write_bytes(content)

    with pytest.raises(BackendUnavailable, match=r"events\.db cannot be used: .*dashcam repair"):
        opened(path).ship([line(1)])

    assert path.read_bytes() == content


def test_a_database_of_something_else_is_left_alone(path, opened):
    """Another program's tables stay as they are."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE events (mine TEXT)")
    before = path.read_bytes()

    with pytest.raises(BackendUnavailable, match="a database of something else"):
        opened(path).ship([line(1)])

    assert path.read_bytes() == before


def test_a_newer_format_is_left_alone(path, opened):
    """A file that a later Dashcam made is not written to."""
    backend = opened(path)
    backend.open().execute("PRAGMA user_version = 99")
    backend.close()

    with pytest.raises(BackendUnavailable, match="it has format 99, and this Dashcam reads format 4"):
        opened(path).ship([line(1)])


def test_a_damaged_file_says_so(path, opened):
    """Pages overwritten in the middle are noticed; moving the file away is enough to go on."""
    backend = opened(path)
    backend.ship([line(number) for number in range(1000)])
    backend.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))

    with pytest.raises(BackendUnavailable, match="dashcam repair"):
        backend.ship([line(1)])
    path.rename(path.with_suffix(".broken"))
    backend.ship([line(1)])

    assert numbers(path) == [1]


def test_one_changed_byte_in_a_block(path, opened, caplog):
    """It costs that block alone, and is reported; the others are found, and new ones are kept."""
    opened(path).ship([at(NOW_NS + number * 1000, number) for number in range(5 * MAX_BLOCK_EVENTS)])
    with closing(sqlite3.connect(path)) as db:
        rowid, body = db.execute("SELECT rowid, body FROM blocks ORDER BY rowid LIMIT 1 OFFSET 2").fetchone()
        middle = len(body) // 2
        damaged = body[:middle] + bytes([body[middle] ^ 255]) + body[middle + 1 :]
        db.execute("UPDATE blocks SET body = ? WHERE rowid = ?", (damaged, rowid))
        db.commit()

    opened(path).ship([at(NOW_NS + 5_000_000, 1_000)])

    left = [number for number in range(5 * MAX_BLOCK_EVENTS) if number // MAX_BLOCK_EVENTS != 2]
    assert numbers(path) == [*left, 1_000]
    assert f"block {rowid} of the local store is damaged, and its {MAX_BLOCK_EVENTS} events left out" in caplog.text


def test_a_full_disk(path, opened):
    """Nothing of the batch is kept and the reason is told; when there is room again it goes on."""
    backend = opened(path)
    backend.ship([line(1)])
    db = backend.open()
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages + 5}")

    with pytest.raises(BackendUnavailable, match="cannot grow: the disk is full"):
        backend.ship([at(NOW_NS, number, os.urandom(500).hex()) for number in range(2, 500)])
    assert numbers(path) == [1]

    backend.ship([line(2)])
    assert numbers(path) == [1, 2]


def test_a_locked_file_is_waited_for_and_told(path, opened):
    """Another writer's transaction is no loss, only a delay."""
    backend = opened(path)
    backend.ship([line(1)])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendUnavailable, match="locked by another process"):
            backend.ship([line(2)])

    backend.ship([line(2)])

    assert numbers(path) == [1, 2]


@pytest.mark.parametrize("take_away", [Path.unlink, lambda path: path.rename(path.with_suffix(".old"))])
def test_a_file_taken_away_is_made_anew(path, opened, take_away):
    """No batch goes into a file that nobody can find any more."""
    backend = opened(path)
    backend.ship([line(1)])

    take_away(path)
    backend.ship([line(2)])

    assert numbers(path) == [2]


def test_a_folder_that_cannot_be_made(tmp_path, opened):
    """The reason names the path."""
    (tmp_path / "file").touch()

    with pytest.raises(BackendUnavailable, match=r"file/events\.db cannot be made: "):
        opened(tmp_path / "file" / "events.db").ship([line(1)])


def test_connect_leaves_trouble_to_ship(tmp_path):
    """A shipper starts also when its file cannot be opened yet."""
    (tmp_path / "events.db").mkdir()
    backend = connect(Options(dir=tmp_path))

    with pytest.raises(BackendUnavailable):
        backend.ship([line(1)])


def test_reading_goes_on_while_a_batch_is_written(path, opened):
    """A reader sees what was kept before, and waits for nobody."""
    backend = opened(path)
    backend.ship([line(number) for number in range(2000)])
    with closing(LocalStore(path)) as store:
        found = store.find(Query())
        first = next(found)

        backend.ship([line(number) for number in range(2000, 4000)])

        assert [first.labels["number"], *(event.labels["number"] for event in found)] == list(range(4000))


def test_a_limit_that_could_keep_nothing_is_refused():
    """Less than the write-ahead log needs is no room for events."""
    with pytest.raises(
        SettingsError, match="DASHCAM_LOCAL_LIMIT='1MB' cannot be used: expected a size of at least 32MB"
    ):
        load(Options, {"DASHCAM_LOCAL_LIMIT": "1MB"})
