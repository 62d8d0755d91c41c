"""Finding events in the local store's file."""

import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashcam.destinations.local.backend import Bounds, Local, connect
from dashcam.destinations.local.index.terms import pair_term, value_term
from dashcam.destinations.local.options import Options
from dashcam.destinations.local.search.prefilter import is_plain, lines_with, prefilter_for
from dashcam.destinations.local.search.store import LocalStore, narrow, open_store
from dashcam.errors import StoreUnreachable
from dashcam.event import EncodedEvent, Event, format_time
from dashcam.find import query as ask
from dashcam.find.language import parse
from dashcam.find.values import IDS, SEARCHED
from dashcam.testing.sample import lines
from dashcam.testing.store_contract import StoreContract

DAY_NS = 86_400 * 10**9
BOUNDS = Bounds(10_000_000, 36_500 * DAY_NS, partition_events=100)


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
        """Lines shipped in batches of 50 into partitions of 100."""

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
SEARCHES = [parse(text) for text in ("a", "labels.a:10.0", "b:Abc", "a/b", "-level:info", "POST", "tick", "vw golf")]
SEARCHES += [parse(text) for text in ("kelvin", "gr\u00f6sse", '"gr\u00f6sse a"', "i", "-kelvin")]
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


LINES = [line.data for line in lines()] + [
    b'{"@timestamp":"2026-11-24T00:00:00Z","labels":{"a":1e1,"b":"\\u0041bc"},"message":"a\\/b"}',
    '{"labels":{"a":1e1},"message":"\u0130 A\u0130 GR\u00d6SSE a_B"}'.encode(),
    '{"labels":{"a":1.0,"b":"Abc"},"message":"\u212aelvin"}'.encode(),
    '{"message":"GR\u00d6SSE a"}'.encode(),
]


@given(st.sampled_from(LINES), EXPRESSIONS | st.sampled_from(SEARCHES))
def test_a_prefilter_is_not_mistaken(line, expression):
    """Where the bytes of a line decide, they decide as the event does."""
    prefilter, is_found = prefilter_for(expression), expression.matches(Event.from_json(line))

    if is_plain(line):
        assert prefilter.decide(line) in (None, is_found)
        assert not is_found or prefilter.needle in line.lower()


@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=4), EXPRESSIONS | st.sampled_from(SEARCHES))
def test_a_prefilter_at_several_lines_is_not_mistaken(some, expression):
    """Where it decides, it decides so for each of them."""
    text = b"\n".join(some)
    found = {expression.matches(Event.from_json(line)) for line in some}

    if is_plain(text) and (decided := prefilter_for(expression).decide(text)) is not None:
        assert found == {decided}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b'{"labels":{"a":1e1}}', "a:10.0"),
        (b'{"labels":{"a":"x\\u0041bc"}}', "a:xAbc"),
        (b'{"labels":{"a":"x\\/y"}}', "a:x/y"),
        ('{"labels":{"a":"\u212aelvin"}}'.encode(), "kelvin"),
    ],
)
def test_what_is_written_in_another_way_is_read(line, text):
    """A number, an escape, a sign whose small letter is of ASCII: the bytes that are asked for are not there."""
    expression = parse(text)
    assert expression.matches(Event.from_json(line))

    assert not is_plain(line) or prefilter_for(expression).decide(line) is None


def test_a_prefilter_spares_most_lines():
    """It would be of no use if it decided nothing."""
    trace_id = Event.from_json(LINES[0]).get("trace.id")
    prefilter = prefilter_for(parse(f"trace:{trace_id} -level:debug"))

    decided = [prefilter.decide(line) for line in LINES if is_plain(line)]

    assert decided.count(False) > 0.8 * len(LINES)
    assert prefilter_for(parse("-trace:nosuch")).decide(b"\n".join(filter(is_plain, LINES))) is True
    assert None in decided
    assert prefilter.needle == trace_id.encode()


@given(st.lists(st.text("aAb", max_size=4).map(str.encode), min_size=1), st.sampled_from([b"a", b"ab"]))
def test_lines_with_a_needle(lines, needle):
    """Each once, with its number."""
    wanted = [(number, line) for number, line in enumerate(lines) if needle in line.lower()]

    assert list(lines_with(b"\n".join(lines), needle)) == wanted


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


TIMED_OUT = f'"{pair_term("timed", "out")}"'
ANY_ID = " OR ".join(f'("{value_term(field, "timed")}")' for field in IDS)


@pytest.mark.parametrize(
    ("expression", "narrowed"),
    [
        (ask.Phrase("timed"), f'("timed") OR {ANY_ID}'),
        (ask.Phrase("timed Out"), TIMED_OUT),
        (ask.Phrase("timed out late", "message"), f'{TIMED_OUT} AND "=cda532a8"'),
        (ask.Phrase("timed o", prefix=True), '"timed" AND "o" *'),
        (ask.Phrase("timed out o", prefix=True), f'{TIMED_OUT} AND "o" *'),
        (ask.Phrase("timed", "labels.a"), None),
        (ask.Not(ask.Phrase("timed")), None),
        (ask.Term("span.name", "POST"), None),
        (ask.And((ask.Phrase("a b"), ask.Not(ask.Phrase("b")), ask.Phrase("c d"))), '("=806c5cd3") AND ("=6a8b2d88")'),
        (ask.Or((ask.Phrase("a b"), ask.Phrase("c d"))), '("=806c5cd3") OR ("=6a8b2d88")'),
        (ask.Or((ask.Phrase("a"), ask.MatchAll())), None),
        (ask.Or(()), '"="'),
        (ask.And(()), None),
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

    with pytest.raises(StoreUnreachable, match=r"events\.db cannot be used: .*dashcam repair"):
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


def test_what_a_power_cut_left_is_put_right(path, tmp_path):
    """A file that a cut left in the middle of its first change is read, though no shipper has opened it since."""
    with closing(sqlite3.connect(tmp_path / "changing.db", isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = 10")  # pages: a longer change goes to the file before its end
        db.execute("CREATE TABLE blocks (body)")
        db.execute("BEGIN")
        db.executemany("INSERT INTO blocks VALUES (?)", [(bytes(1000),)] * 1000)
        for suffix in ("", "-journal"):
            path.with_name(path.name + suffix).write_bytes((tmp_path / f"changing.db{suffix}").read_bytes())

    with closing(LocalStore(path)) as store, pytest.raises(StoreUnreachable, match="something else"):
        list(store.find(ask.Query()))
    assert not path.with_name(f"{path.name}-journal").exists()


def test_a_new_file_in_the_place_of_the_old_one_is_read(path):
    """A store that is open sees what is at its path now."""
    with closing(filled(path, lines()[:1])) as store:
        assert len(list(store.find(ask.Query()))) == 1
        path.rename(path.with_suffix(".old"))
        filled(path, lines()[:3])

        assert len(list(store.find(ask.Query()))) == 3


PLAIN = [line for line in lines() if len(line.data) < 1_000][:40]


def _at(number):
    """An ordinary event, a second after the one before."""
    line = PLAIN[number % len(PLAIN)]
    data = b'{"@timestamp":"' + format_time((1 + number) * 10**9).encode() + line.data[42:]
    return line._replace(id=f"id-{number}", data=data)


def _peak_of_reading(path, count):
    """The most memory that a search for all events held at once, in bytes."""
    events = [_at(number) for number in range(count)]
    with closing(filled(path, events, batch=1000)) as store:
        tracemalloc.start()
        assert sum(1 for _ in store.find(ask.Query())) == len(events)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def test_all_events_are_read_in_bounded_memory(tmp_path):
    """However many there are: four times the events take no more."""
    few, many = (_peak_of_reading(tmp_path / f"{count}.db", count) for count in (2_000, 8_000))

    assert many < 1.2 * few


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
