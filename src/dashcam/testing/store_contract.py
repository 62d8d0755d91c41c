"""Tests that every store must pass: inherit `StoreContract` and define the fixture `fill`.

class TestMyStore(StoreContract):
@pytest.fixture(scope="class")
@classmethod
def fill(cls): ...
"""

from functools import cache

import orjson
import pytest

from dashcam.event import NS_PER_S
from dashcam.find.aggregation import Grouping, aggregate, group_events
from dashcam.find.language import parse
from dashcam.find.query import MatchAll, Phrase, Query, Term
from dashcam.testing.expressions import EXPRESSIONS
from dashcam.testing.sample import START_NS, events, lines

EVENTS = events()
MIDDLE_NS = EVENTS[len(EVENTS) // 2].time_ns

PERIODS = (
    (MIDDLE_NS, None),
    (None, MIDDLE_NS),
    (MIDDLE_NS, MIDDLE_NS + 1000),
    (MIDDLE_NS + 1, MIDDLE_NS + 1000),
    (MIDDLE_NS, MIDDLE_NS),
    (START_NS, MIDDLE_NS + 1),
    (0, START_NS),
    (MIDDLE_NS, START_NS),
)

# Some together: a test of its own for each of them costs more than its search.
SEARCHES = [EXPRESSIONS[start : start + 16] for start in range(0, len(EXPRESSIONS), 16)]

GROUPINGS = (
    Grouping(("service.name", "http.route", "http.request.method", "event.outcome"), is_timed=True),
    Grouping(("service.name", "transaction.name", "event.outcome"), is_timed=True),
    Grouping(("log.level",), 15 * 60 * NS_PER_S),
    Grouping(("http.response.status_code",)),
    Grouping(("labels.car_id", "processor.event")),
    Grouping(("tags",)),
    Grouping(("labels.tags", "labels.order.id")),
    Grouping(("error.message",)),
    Grouping((), NS_PER_S),
)


class StoreContract:
    """The same searches over the same events, compared with `matches` for each event."""

    @pytest.fixture(scope="class")
    @classmethod
    def fill(cls):
        """A function from shipped lines, in the order they came, to a store that holds these and no others.

        Lines may come twice. When it returns, all of them can be found.
        """
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def store(cls, fill):
        """A store with the events of `sample`."""
        return fill(lines())

    @pytest.mark.parametrize("texts", SEARCHES, ids=lambda texts: f"{texts[0]} to {texts[-1]}")
    def test_hits_are_what_matches(self, store, texts):
        """A search returns the events that match, oldest first, each once."""
        found = {text: _ids(store.find(Query(parse(text)))) for text in texts}

        assert found == {text: _matching(text) for text in texts}

    def test_events_come_back_whole(self, store):
        """Nothing of an event is lost or changed."""
        assert list(store.find(Query())) == EVENTS

    @pytest.mark.parametrize("text", ["*", "service:cars", "tick", "-level:info"])
    def test_limit_keeps_the_newest(self, store, text):
        """A limit keeps the newest events, and they still come oldest first."""
        limits = (1, 2, 20, 340, 1000)

        found = {limit: _ids(store.find(Query(parse(text), limit=limit))) for limit in limits}

        assert found == {limit: _matching(text)[-limit:] for limit in limits}

    @pytest.mark.parametrize("limit", [0, 5])
    @pytest.mark.parametrize("expression", [MatchAll(), Phrase("created"), Term("service.name", "cars")])
    def test_span_of_time(self, store, limit, expression):
        """The first moment is in, the last is not, to the microsecond; a limit counts within them."""
        queries = [Query(expression, since_ns, until_ns, limit) for since_ns, until_ns in PERIODS]

        found = {query: _ids(store.find(query)) for query in queries}

        assert found == {query: _ids(filter(query.matches, EVENTS))[-limit:] for query in queries}

    @pytest.mark.parametrize("text", ["*", "kind:server", "NOT (service:parts OR route:*)", "status:>=500", "golf"])
    def test_groups_are_of_what_matches(self, store, text):
        """A store with `aggregate` returns the counts and times of its events, in the same buckets."""
        query = Query(parse(text), START_NS + 1, EVENTS[-1].time_ns)

        found = {grouping: aggregate(store, query, [grouping])[0] for grouping in GROUPINGS}

        assert found == dict(zip(GROUPINGS, group_events(filter(query.matches, EVENTS), GROUPINGS), strict=True))

    def test_ids_tell_the_order_within_a_moment(self, store):
        """Events of one microsecond come in the order of their ids, also where a limit cuts through them."""
        tick = parse("tick")

        found = list(store.find(Query(tick, limit=7)))

        assert [event.labels["tick"] for event in found] == list(range(23, 30))

    def test_an_iterator_may_be_left(self, store):
        """A caller that reads only the first event leaves the store usable."""
        assert next(iter(store.find(Query()))) == EVENTS[0]

        assert _ids(store.find(Query(limit=3))) == _ids(EVENTS)[-3:]

    def test_searches_side_by_side(self, store):
        """Two searches that are read alternately return the same events as each one alone."""
        pairs = zip(store.find(Query(parse("service:cars"))), store.find(Query(parse("service:parts"))), strict=False)

        assert [(one.get("service.name"), two.get("service.name")) for one, two in pairs][:50] == [
            ("cars", "parts")
        ] * 50

    def test_an_empty_store_finds_nothing(self, fill):
        """A store without events returns none, without an error."""
        assert list(fill([]).find(Query())) == []

    def test_a_resend_is_found_once(self, fill):
        """Lines that came again, in another order, are the same events."""
        some = lines()[:20]

        store = fill([*some, *reversed(some)])

        assert sorted(_ids(store.find(Query()))) == sorted({line.id for line in some})

    def test_an_event_made_again_later_is_found_once(self, fill):
        """The same id with another time, as of a request found aborted twice, is one event."""
        first = lines()[0]
        fields = orjson.loads(first.data)
        again = first._replace(data=orjson.dumps(fields | {"@timestamp": "2026-11-23T12:00:00.000001Z"}))

        store = fill([first, again])

        assert _ids(store.find(Query())) == [first.id]


@cache
def _matching(text: str) -> list[str]:
    expression = parse(text)
    return _ids(event for event in EVENTS if expression.matches(event))


def _ids(found) -> list[str]:
    return [event.id for event in found]
