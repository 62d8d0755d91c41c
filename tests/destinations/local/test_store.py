"""Finding events in the local store's file."""

import sqlite3
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashcam.destinations.local import file as local_file
from dashcam.destinations.local.backend import Bounds, Local, connect
from dashcam.destinations.local.options import Options
from dashcam.destinations.local.store import LocalStore, narrow, open_store
from dashcam.errors import StoreUnreachable
from dashcam.event import EncodedEvent, Event, format_time
from dashcam.find import query as ask
from dashcam.find.values import SEARCHED
from dashcam.testing.sample import lines
from dashcam.testing.store_contract import StoreContract

DAY_NS = 86_400 * 10**9
BOUNDS = Bounds(10_000_000, 36_500 * DAY_NS, shelf_events=100)


def filled(path, shipped, batch=50):
    """The file with these lines."""
    local = Local(path, BOUNDS)
    local.open()
    for first in range(0, len(shipped), batch):
        local.ship(shipped[first : first + batch])
    local.close()
    return LocalStore(path)


class TestLocalStore(StoreContract):
    """The file as a store."""

    @pytest.fixture(scope="class")
    @classmethod
    def fill(cls, tmp_path_factory):
        """Lines shipped in batches of 50 into shelves of 100."""

        def fill(shipped):
            fill.stores.append(filled(tmp_path_factory.mktemp("store") / "events.db", shipped))
            return fill.stores[-1]

        fill.stores = []
        return fill

    @pytest.fixture(autouse=True)
    def _close(self, fill):
        """The files are open until the end of the test; the next one's first search opens them again."""
        yield
        for store in fill.stores:
            store.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.db"


FIELDS = st.sampled_from(["labels.a", "labels.a.b", "log.level", "http.response.status_code", "event.duration", "tags"])
TEXTS = st.text("ab A_é1*", max_size=6)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9) | st.floats(-1e6, 1e6)
SIMPLE = (
    st.builds(ask.Phrase, TEXTS, st.sampled_from(["", *SEARCHED, "labels.a"]), st.booleans())
    | st.builds(ask.Term, FIELDS, TEXTS | NUMBERS.map(str))
    | st.builds(ask.Wildcard, FIELDS, TEXTS)
    | st.builds(ask.Range, FIELDS, st.none() | NUMBERS, st.none() | NUMBERS, st.booleans(), st.booleans())
    | st.builds(ask.Exists, FIELDS)
    | st.just(ask.MatchAll())
)
EXPRESSIONS = st.recursive(
    SIMPLE,
    lambda inner: (
        st.builds(ask.Not, inner)
        | st.builds(ask.And, st.lists(inner, max_size=3).map(tuple))
        | st.builds(ask.Or, st.lists(inner, max_size=3).map(tuple))
    ),
    max_leaves=6,
)
VALUES = st.none() | st.booleans() | NUMBERS | TEXTS
EVENTS = st.fixed_dictionaries(
    {"@timestamp": st.integers(0, 20).map(lambda us: format_time(us * 1000))},
    optional={
        "message": TEXTS,
        "log.level": TEXTS,
        "tags": st.lists(TEXTS, max_size=2),
        "labels": st.fixed_dictionaries({}, optional={"a": VALUES | st.lists(VALUES, max_size=2), "a.b": VALUES}),
        "http": st.fixed_dictionaries({"response": st.fixed_dictionaries({"status_code": NUMBERS})}),
        "error": st.fixed_dictionaries({}, optional={"type": TEXTS, "message": TEXTS}),
    },
)


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENTS, max_size=12), EXPRESSIONS, st.integers(0, 5), st.none() | st.integers(0, 20))
def test_any_search_over_any_events(tmp_path_factory, events, expression, limit, since_us):
    """Hits, order and limit are as plain Python has them, with many events of the same times."""
    for number, fields in enumerate(events):
        fields["event"] = {"id": f"id-{(7 * number) % 13:08}"}
    shipped = [EncodedEvent(fields["event"]["id"], is_span=False, data=orjson.dumps(fields)) for fields in events]
    query = ask.Query(expression, since_ns=None if since_us is None else since_us * 1000, limit=limit)

    with closing(filled(tmp_path_factory.mktemp("any") / "events.db", shipped, batch=4)) as store:
        found = list(store.find(query))

    wanted = sorted(filter(query.matches, map(Event, events)), key=lambda event: (event.time_ns, event.id))
    assert found == wanted[-limit:]


@pytest.mark.parametrize("depth", [5, 60])
def test_a_deep_search_is_not_beyond_the_index(path, depth):
    """Brackets within brackets, deeper than FTS5 reads them, find what they mean."""
    expression = ask.Phrase("created")
    for _ in range(depth):
        expression = ask.And((ask.Or((expression, ask.Phrase("nosuchword"))), ask.MatchAll()))

    with closing(filled(path, lines())) as store:
        deep = list(store.find(ask.Query(expression)))
        assert deep == list(store.find(ask.Query(ask.Phrase("created"))))
        assert deep != []


def test_a_search_of_very_many_parts(path):
    """Thousands of ids may be asked for at once."""
    many = tuple(ask.Term("trace.id", f"{number:032x}") for number in range(5000))

    with closing(filled(path, lines())) as store:
        assert list(store.find(ask.Query(ask.Or(many)))) == []


@pytest.mark.parametrize(
    ("expression", "narrowed"),
    [
        (ask.Phrase("timed Out"), '"timed out"'),
        (ask.Phrase("timed o", prefix=True), '"timed o" *'),
        (ask.Phrase("timed", "labels.a"), None),
        (ask.Not(ask.Phrase("timed")), None),
        (ask.Term("span.name", "POST"), None),
        (ask.And((ask.Phrase("a b"), ask.Not(ask.Phrase("b")), ask.Phrase("c d"))), '("a b") AND ("c d")'),
        (ask.Or((ask.Phrase("a b"), ask.Phrase("c d"))), '("a b") OR ("c d")'),
        (ask.Or((ask.Phrase("a"), ask.MatchAll())), None),
        (ask.Or(()), '"="'),
        (ask.And(()), None),
        (ask.Phrase("a"), '("a") OR ("=c0b3688f") OR ("=1b079d13") OR ("=bb140035") OR ("=a39098cd")'),
        (ask.Phrase(". ."), '"="'),
    ],
)
def test_how_far_the_index_narrows(expression, narrowed):
    """What the index cannot say is left to be read and held against the search."""
    assert narrow(expression) == narrowed


def test_without_a_file(tmp_path):
    """The error says what is missing and what would make it."""
    store = open_store(Options(dir=tmp_path))

    with pytest.raises(StoreUnreachable, match=r"events\.db does not exist.*Is `dashcam ship` running"):
        list(store.find(ask.Query()))


def test_a_file_of_something_else(path):
    """It is named, and what to do about it."""
    path.write_bytes(b"rubbish" * 1000)

    with pytest.raises(StoreUnreachable, match=r"events\.db cannot be used: .*Move it away"):
        list(LocalStore(path).find(ask.Query()))


def test_a_file_of_a_newer_format(path):
    """A later Dashcam's file is not misread."""
    filled(path, lines())
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")

    with pytest.raises(StoreUnreachable, match="format 99"):
        list(LocalStore(path).find(ask.Query()))


def test_a_file_that_is_being_made(path):
    """Between its making and its first table it holds nothing."""
    path.touch()

    with closing(LocalStore(path)) as store:
        assert list(store.find(ask.Query())) == []


def test_a_reader_writes_nothing(path):
    """A search leaves the file as it was."""
    with closing(filled(path, lines())) as store:
        before = path.read_bytes()
        list(store.find(ask.Query()))

    assert path.read_bytes() == before


def test_a_new_file_in_the_place_of_the_old_one_is_read(path):
    """A store that is open sees what is at its path now."""
    with closing(filled(path, lines()[:1])) as store:
        assert len(list(store.find(ask.Query()))) == 1
        path.rename(path.with_suffix(".old"))
        filled(path, lines()[:3])

        assert len(list(store.find(ask.Query()))) == 3


def _open_files():
    return len(list(Path("/dev/fd").iterdir()))


def test_the_file_is_opened_once(path):
    """By the first search; a later one goes on with it, whether or not another was read to its end."""
    with closing(filled(path, lines())) as store:
        list(store.find(ask.Query()))
        opened = _open_files()
        next(store.find(ask.Query()))
        list(store.find(ask.Query(limit=1)))

        assert _open_files() == opened
    assert _open_files() < opened


def test_a_folder_that_is_a_file(tmp_path):
    """As a DASHCAM_DIR may be: there is no store in it."""
    (tmp_path / "file").touch()
    store = open_store(Options(dir=tmp_path / "file"))

    with pytest.raises(StoreUnreachable, match="does not exist"):
        list(store.find(ask.Query()))


def test_a_path_with_odd_signs(tmp_path):
    """A folder's name may hold what means something in an address."""
    folder = tmp_path / "a?b#c%20d é"
    settings = Options(dir=folder, retention_days=36_500)
    backend = connect(settings)
    backend.ship(lines()[:1])
    backend.close()

    with closing(open_store(settings)) as store:
        assert len(list(store.find(ask.Query()))) == 1


def test_a_file_of_the_format_before(path):
    """Its index has no words of labels: they are found all the same, and no event is lost."""
    with closing(filled(path, lines())) as store, closing(sqlite3.connect(path)) as db:
        found = list(store.find(ask.Query(ask.Phrase("vw golf"))))
        for (number,) in db.execute("SELECT number FROM shelves").fetchall():
            db.execute(f"DROP TABLE terms_{number}")
            db.execute(local_file.SHELF.format(f"terms_{number}"))
        db.execute("PRAGMA user_version = 1")
        db.commit()

    with closing(LocalStore(path)) as store:
        assert list(store.find(ask.Query(ask.Phrase("vw golf")))) == found
        assert found


def test_bytes_that_are_not_utf8_cost_their_value(path):
    """A damaged row does not hide the others."""
    shipped = lines()
    with closing(filled(path, shipped)), closing(sqlite3.connect(path)) as db:
        bad = local_file.pack(shipped[0].data.replace(b'"log.level":', b'"bad\xed\xa0\x80":1,"log.level":', 1))[0]
        db.execute("UPDATE events SET own = ? WHERE place = (SELECT min(place) FROM events)", (bad,))
        db.commit()

    with closing(LocalStore(path)) as store:
        assert len(list(store.find(ask.Query()))) == len(set(shipped))
