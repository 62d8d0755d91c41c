"""Finding in Loggly: what is asked for, and what comes back."""

import traceback
from contextlib import ExitStack

import orjson
import pytest
import requests

from dashcam.destinations.loggly.backend import Loggly as Backend
from dashcam.destinations.loggly.options import Options
from dashcam.destinations.loggly.store import LogglyStore, Timeouts, loggly_query, open_store
from dashcam.errors import SettingsError, StoreUnreachable
from dashcam.event import EncodedEvent, Event, format_time, parse_time
from dashcam.find.query import And, Exists, MatchAll, Not, Or, Phrase, Query, Range, Term, Wildcard
from dashcam.settings import Secret, load
from dashcam.testing.fake_loggly import Behaviour, StandIn
from dashcam.testing.store_contract import StoreContract

from ...scripted import scripted
from ..shared_searches import each

API_TOKEN = "an-api-token-that-nobody-may-see"
ALL_EVENTS = MatchAll()
NOW_NS = parse_time("2026-11-24T02:00:00Z")


def event(number, at="2026-11-24T01:35:46.123456Z", **fields):
    key = f'"event":{{"id":"0193a1b2c3d4e5f601020304-{number:08}","sequence":{number}}}'
    return Event.from_json(f'{{"@timestamp":"{at}","message":"event {number}",{key}}}').fields | fields


def line(fields):
    made = Event(fields)
    return EncodedEvent(made.id, made.is_span, made.to_json())


class Account:
    """A stand-in whose clock moves a second with each batch, its backend and its store."""

    def __init__(self, **options):
        self.options = options
        self.now_ns = NOW_NS

    def __enter__(self):
        quick = self.options.pop("quick", False)
        self.stand_in = StandIn(Behaviour(api_token=API_TOKEN, **self.options), clock=self.clock).start()
        self.backend = Backend(self.stand_in.url, Secret(self.stand_in.behaviour.token))
        self.store = LogglyStore(
            self.stand_in.url, Secret(API_TOKEN), quick=quick, timeouts=Timeouts(busy_s=1.5), clock=self.clock
        )
        return self

    def clock(self):
        return self.now_ns

    def ship(self, *events):
        self.backend.ship([line(fields) for fields in events])
        self.now_ns += 10**9

    def find(self, expression=ALL_EVENTS, **query):
        return [hit.fields for hit in self.store.find(Query(expression, **query))]

    def sequences(self, expression=ALL_EVENTS, **query):
        return [fields["event"]["sequence"] for fields in self.find(expression, **query)]

    def __exit__(self, *_):
        self.backend.close()
        self.store.close()
        self.stand_in.stop()


ODD = {"most_fields": 100, "one_type": True, "drift_s": 60, "whole_values": True, "indexes_values": False}


@pytest.mark.parametrize(
    "behaviour",
    [pytest.param(ODD, id="at its oddest"), pytest.param({}, id="as seen", marks=pytest.mark.long)],
    scope="class",
)
class TestLoggly(StoreContract):
    @pytest.fixture(scope="class")
    @classmethod
    def accounts(cls):
        """Those that are open, the one of all tests first."""
        with ExitStack() as accounts:
            yield accounts

    @pytest.fixture(scope="class")
    @classmethod
    def fill(cls, behaviour, accounts):
        def fill(lines):
            account = accounts.enter_context(Account(**behaviour))
            account.backend.ship(lines)
            account.now_ns += 10**9
            list(account.store.find(Query(limit=1)))  # its connection is there before the test begins
            return account.store

        return fill

    @each(4, first=0)
    def test_hits_are_what_matches(self, store, texts):
        """A quarter of them; both search engines together and the local store have them all."""
        super().test_hits_are_what_matches(store, texts)

    @pytest.fixture(autouse=True)
    def accounts_of_one_test(self, accounts):
        """Those that a test opens end with it."""
        lasting = accounts.pop_all()
        yield
        accounts.close()
        accounts.enter_context(lasting)


@pytest.fixture
def account():
    with Account() as account:
        yield account


@pytest.mark.parametrize(
    ("expression", "query"),
    [
        (MatchAll(), 'tag:"dashcam"'),
        (Term("trace.id", "ab12"), 'tag:"dashcam" AND (json.trace.id:"ab12" OR "ab12")'),
        (Term("labels.x", 'a"b\\c'), r'tag:"dashcam" AND (json.labels.x:"a\"b\\c" OR "a\"b\\c")'),
        (Term("labels.strange name", "v"), 'tag:"dashcam" AND "v"'),
        (Term("labels.x", "--"), 'tag:"dashcam"'),
        (Term("labels.x", "two\nlines"), 'tag:"dashcam"'),
        (Term("labels.x", "long " * 50), 'tag:"dashcam"'),
        (Term("timestamp.us", "5"), 'tag:"dashcam" AND (json.timestamp_ecs.us:"5" OR "5")'),
        (Range("event.duration", 250.5, None), 'tag:"dashcam" AND json.event.duration:[250 TO 9223372036854775807]'),
        (Range("event.duration", None, 250.5), 'tag:"dashcam" AND json.event.duration:[0 TO 251]'),
        (Range("event.duration", -9, -5), 'tag:"dashcam" AND json.event.duration:[0 TO 0]'),
        (Range("labels.size", 1, 2), 'tag:"dashcam"'),
        (Phrase("timed out"), 'tag:"dashcam"'),
        (Exists("labels.x"), 'tag:"dashcam"'),
        (Wildcard("labels.x", "a*"), 'tag:"dashcam"'),
        (Not(Term("trace.id", "ab12")), 'tag:"dashcam"'),
        (And((Phrase("timed"), Term("span.id", "c3"))), 'tag:"dashcam" AND (json.span.id:"c3" OR "c3")'),
        (Or((Phrase("timed"), Term("span.id", "c3"))), 'tag:"dashcam"'),
        (
            Or((Term("labels.a b", "1"), Term("labels.a b", "2"))),
            'tag:"dashcam" AND ("1" OR "2")',
        ),
        (Or(tuple(Term("trace.id", f"{n:032}") for n in range(100))), 'tag:"dashcam"'),
    ],
)
def test_at_least_what_is_wanted_is_asked_for(expression, query):
    """In forms that clients were seen to use; where there is none, for all events of ours."""
    assert loggly_query(expression) == query


@pytest.mark.parametrize(
    ("expression", "query"),
    [
        (Phrase("timed out"), 'tag:"dashcam" AND ("timed" AND "out")'),
        (Phrase("timed ou", prefix=True), 'tag:"dashcam" AND "timed"'),
        (Exists("labels.x"), 'tag:"dashcam" AND json.labels.x:*'),
        (Wildcard("labels.x", "a*b?"), 'tag:"dashcam" AND json.labels.x:a*b?'),
        (Wildcard("labels.x", "a\\*b"), 'tag:"dashcam"'),
        (Wildcard("labels.x", "/cars/*"), 'tag:"dashcam"'),
    ],
)
def test_quick_asks_for_more_forms(expression, query):
    """Which Loggly may know, as Lucene does."""
    assert loggly_query(expression, quick=True) == query


@pytest.mark.parametrize("behaviour", [{}, {"most_fields": 0}, {"whole_values": True}, {"indexes_values": False}])
def test_an_event_reads_back_as_it_was_shipped(behaviour):
    """Byte for byte, keys in their order, whether or not Loggly took up its fields."""
    sent = event(1, timestamp={"us": 1795484146123456}, labels={"timestamp": 1, "timestamp_ecs": None}, ae="ä\u2028\n")

    with Account(**behaviour) as account:
        account.ship(sent)
        found = list(account.store.find(Query(Term("event.id", sent["event"]["id"]))))

    assert [hit.to_json() for hit in found] == [line(sent).data]


def test_many_labels_leave_the_fields_to_be_found():
    """They go as one text, so that Loggly takes up the others; they come back as they were."""
    sent = event(1, labels={f"label {number}": number for number in range(200)} | {"car_id": "x-7"}, process={"pid": 7})
    with Account(most_fields=100) as account:
        account.ship(sent)

        assert account.find(Term("labels.car_id", "x-7")) == [sent]
        assert account.find(Range("process.pid", 7, 7)) == [sent]


def test_the_parsed_event_will_do(account):
    """Where neither raw nor logmsg holds the line."""
    account.ship(event(1, timestamp={"us": 5}))
    answer = type(account.stand_in.archive.search(lambda _: True, 0, 2**62)[0]).answer

    def without_text(stored):
        return answer(stored) | {"raw": "cut {", "logmsg": None}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dashcam.testing.fake_loggly.archive.Stored.answer", without_text)
        assert account.find() == [event(1, timestamp={"us": 5})]


def test_what_others_sent_is_left_out(account):
    """By its tag, and where it has ours, by its shape."""
    account.ship(event(1))
    for tags, body in (
        ("dashcam", b"plain"),
        ("dashcam", b"[1]"),
        ("dashcam", b'{"a":1}'),
        ("other", line(event(2)).data),
    ):
        requests.post(
            f"{account.stand_in.url}/bulk/{account.stand_in.behaviour.token}/tag/{tags}/", data=body, timeout=5
        )

    assert account.sequences() == [1]


def test_doubles_are_one(account):
    """A batch sent again is found once."""
    account.ship(event(1), event(2))
    account.ship(event(1), event(2))

    assert account.sequences() == [1, 2]


def test_events_come_oldest_first(account):
    """By time, then by id."""
    account.ship(event(3), event(2), event(1, "2026-11-24T01:50:00.000000Z"))

    assert account.sequences() == [2, 3, 1]


def test_pages_are_followed_to_the_last(account):
    """2,500 events take three."""
    account.ship(*(event(number) for number in range(2500)))

    assert account.sequences() == list(range(2500))
    assert account.stand_in.answers() == {"200": 4}


def test_a_limit_takes_the_newest_and_no_more_pages_than_it_needs(account):
    """Ten of 5,000 are on the first page."""
    account.ship(*(event(number, format_time(NOW_NS - (5000 - number) * 10**9)) for number in range(5000)))

    assert account.sequences(limit=10) == list(range(4990, 5000))
    assert account.stand_in.answers() == {"200": 2}


def test_a_limit_counts_hits(account):
    """Where the filter here leaves few of a page, more pages are read."""
    account.ship(*(event(number, format_time(NOW_NS - (5000 - number) * 10**9)) for number in range(5000)))

    assert account.sequences(Wildcard("event.sequence", "*999"), limit=3) == [2999, 3999, 4999]


def test_a_span_of_time_has_its_ends(account):
    """`since` is in, `until` is not, to the nanosecond."""
    times = ["2026-11-24T01:00:00.000000Z", "2026-11-24T01:00:00.000001Z", "2026-11-24T01:00:00.000002Z"]
    account.ship(*(event(number, at) for number, at in enumerate(times)))

    assert account.sequences(since_ns=parse_time(times[1]), until_ns=parse_time(times[2])) == [1]


@pytest.mark.parametrize("drift_s", [None, 0, 3600])
def test_events_that_loggly_stamped_anew_are_found(drift_s):
    """They came a day late, or from a host whose clock runs ahead; their own time decides."""
    late, ahead = "2026-11-23T01:00:00.000000Z", "2026-11-24T02:05:00.000000Z"
    with Account(drift_s=drift_s) as account:
        account.ship(event(1, late), event(2, ahead))

        around_late = {"since_ns": parse_time(late) - 10**9, "until_ns": parse_time(late) + 10**9}
        assert account.sequences(**around_late) == [1]
        account.now_ns += 600 * 10**9
        assert account.sequences(since_ns=parse_time(ahead) - 10**9) == [2]


def test_an_unparsed_event_is_found_by_its_id():
    """Its words are, though its fields are not."""
    with Account(most_fields=1) as account:
        account.ship(event(1, trace={"id": "abc-1"}))

        assert account.sequences(Term("trace.id", "abc-1")) == [1]


@pytest.mark.parametrize("lucene", [True, False])
def test_quick_needs_lucenes_forms(lucene):
    """Where Loggly does not know them it says so, and the error what to do."""
    with Account(lucene=lucene, quick=True) as account:
        account.ship(event(1, labels={"x": "abc"}), event(2))

        if lucene:
            assert account.sequences(And((Exists("labels.x"), Wildcard("labels.x", "a*")))) == [1]
        else:
            with pytest.raises(StoreUnreachable, match="LOGGLY_SEARCH=complete"):
                account.sequences(Exists("labels.x"))


def test_a_rate_limit_is_waited_for(account):
    """As long as Retry-After says."""
    account.ship(event(1))
    account.stand_in.searching.plan("503", retry_after="1")

    assert account.sequences() == [1]


@pytest.mark.parametrize("fault", ["429", "503"])
def test_a_rate_limit_that_lasts_is_an_error(account, fault):
    """A person is not left waiting."""
    account.stand_in.searching.plan(fault, retry_after="100")

    with pytest.raises(StoreUnreachable, match=f"no more searches now .{fault}"):
        account.find()


def test_a_search_that_is_too_much_is_cut_in_halves(account):
    """Every event is found all the same, once."""
    account.ship(*(event(number, format_time(NOW_NS - number * 86_400 * 10**9)) for number in range(1, 60)))
    account.stand_in.searching.plan("504", "504", "ok", "504")

    assert account.sequences() == list(range(59, 0, -1))


def test_a_search_that_is_always_too_much_is_an_error(account):
    """It ends."""
    account.stand_in.searching.chance({"504": 1})

    with pytest.raises(StoreUnreachable, match="times out even for"):
        account.find()


def test_a_forgotten_page_is_asked_for_again(account):
    """From where the pages had come to."""
    account.ship(*(event(number, format_time(NOW_NS - number * 10**9)) for number in range(1, 2501)))
    account.stand_in.searching.plan("ok", "404", "ok", "404")

    assert len(account.sequences()) == 2500


def test_pages_that_are_always_forgotten_are_an_error(account):
    """It ends: 1,500 events in one ms make no way."""
    account.ship(*(event(number) for number in range(1500)))
    account.stand_in.searching.plan(*["ok", "404"] * 5)

    with pytest.raises(StoreUnreachable, match="forgets"):
        account.find()


@pytest.mark.parametrize("fault", ["400", "401", "403", "404", "500", "other", "reset", "stopped"])
def test_a_store_that_gives_no_answer_is_unreachable(account, fault):
    """The text has its address, and the token appears nowhere."""
    account.stand_in.stop() if fault == "stopped" else account.stand_in.searching.plan(fault)

    with pytest.raises(StoreUnreachable, match=r"Loggly at 127\.0\.0\.1") as seen:
        account.find()
    told = "".join(traceback.TracebackException.from_exception(seen.value, capture_locals=True).format())

    assert API_TOKEN not in told


def test_part_of_an_answer_is_no_answer(account):
    """An error on a later page leaves no hits behind."""
    account.ship(*(event(number) for number in range(1500)))
    account.stand_in.searching.plan("ok", "500")

    with pytest.raises(StoreUnreachable):
        next(account.store.find(Query()))


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example/apiv2/events/iterate?next=1",
        "https://{host}/apiv2/events/iterate?next=1",
        "http://{host}@evil.example/apiv2/events/iterate?next=1",
        "http://{host}/elsewhere?next=1",
        "/apiv2/events/iterate?next=1",
        "http://[",
    ],
)
def test_next_is_followed_to_our_own_host_alone(account, url):
    """Over the same scheme, to the same path: elsewhere the token would be shown."""
    account.ship(event(1))
    host = account.stand_in.url.removeprefix("http://")

    with pytest.raises(StoreUnreachable, match="API token"):
        account.store._own(url.format(host=host))


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"[]",
        b"{}",
        b'{"events":{}}',
        b'{"events":[1]}',
        b'{"events":[{}]}',
        b'{"events":[{"timestamp":"now"}]}',
        b'{"events":[{"timestamp":1}],"next":7}',
        b'{"events":[],"next":"http://["}',
    ],
)
def test_a_page_that_is_none_is_no_answer(page):
    """Whatever it holds instead."""
    with scripted(lambda _: (200, page)) as (url, _):
        store = LogglyStore(url, Secret(API_TOKEN))
        with pytest.raises(StoreUnreachable):
            list(store.find(Query()))
        store.close()


def test_an_event_whose_time_is_none_is_left_out(account):
    """It is not one of ours."""
    account.ship(event(1), event(2, "yesterday"), event(3, "99999-01-01"))

    assert account.sequences() == [1]


def test_netrc_does_not_overrule_the_token(account, tmp_path, monkeypatch):
    """A line for that host would take the place of a header."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    account.ship(event(1))

    assert account.sequences() == [1]


def test_settings_lead_to_the_account():
    """What the stand-in says of itself is enough to find in it."""
    with StandIn() as stand_in:
        store = open_store(load(Options, stand_in.environment()))
        assert list(store.find(Query())) == []
        store.close()


def test_the_subdomain_makes_the_address():
    """As in the account's own address."""
    store = open_store(load(Options, {"LOGGLY_SUBDOMAIN": "acme", "LOGGLY_API_TOKEN": "t"}))

    assert store._address == "https://acme.loggly.com"
    store.close()


@pytest.mark.parametrize("subdomain", ["", "evil.example/#"])
def test_settings_that_lead_nowhere_are_told_at_once(subdomain):
    """Both faults in one message."""
    with pytest.raises(SettingsError, match=r"LOGGLY_API_TOKEN.*\n.*LOGGLY_SUBDOMAIN"):
        open_store(load(Options, {"LOGGLY_SUBDOMAIN": subdomain}))


def test_bytes_that_are_not_utf8_cost_their_value():
    """One event with a surrogate encoded by itself does not hide the others."""
    hits = [{"timestamp": 1, "raw": orjson.dumps(event(number)).decode()} for number in (1, 2, 3)]
    hits[1]["raw"] = hits[1]["raw"].replace("sequence", "BAD")
    answer = orjson.dumps({"events": hits}).replace(b"BAD", b"\xed\xa0\x80")

    with scripted(lambda _: (200, answer)) as (url, _):
        store = LogglyStore(url, Secret(API_TOKEN))
        assert len(list(store.find(Query()))) == 3
        store.close()
