"""The Elasticsearch store: the suite of all stores on both real engines, and answers no engine gives on demand."""

import socket
from contextlib import closing, contextmanager

import hypothesis
import orjson
import pytest
import requests

from dashcam.destinations.elasticsearch.backend import connect
from dashcam.destinations.elasticsearch.client import logs_stream
from dashcam.destinations.elasticsearch.expressions import at_least
from dashcam.destinations.elasticsearch.options import Options
from dashcam.destinations.elasticsearch.store import open_store
from dashcam.errors import StoreUnreachable
from dashcam.event import Event
from dashcam.find.aggregation import Group, Grouping, group_events
from dashcam.find.language import parse
from dashcam.find.query import Not, Or, Phrase, Query, Range, Term, Wildcard
from dashcam.settings import load
from dashcam.testing.backend_contract import line
from dashcam.testing.store_contract import StoreContract

from ...engines.streams import documents, new_namespace, set_up, settings_for
from ...find import odd
from ...scripted import scripted
from ..shared_searches import each


class EngineContract(StoreContract):
    @pytest.fixture(scope="class")
    @classmethod
    def fill(cls, url):
        cls.stores = []

        def filled(lines):
            settings = settings_for(url, new_namespace())
            set_up(settings)
            backend = connect(settings)
            assert backend.ship(lines) is None
            backend.close()
            documents(settings)
            cls.stores.append(open_store(settings))
            return cls.stores[-1]

        return filled

    @pytest.fixture(autouse=True)
    def _hang_up(self, fill):
        """No connection outlives a test; the next one opens its own."""
        yield
        for store in self.stores:
            store.close()


class TestElasticsearch(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, elasticsearch_url):
        return elasticsearch_url

    @each(2, first=0)
    def test_hits_are_what_matches(self, store, texts):
        """Half of them; OpenSearch has the others."""
        super().test_hits_are_what_matches(store, texts)


class TestOpenSearch(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, opensearch_url):
        return opensearch_url

    @each(2, first=1)
    def test_hits_are_what_matches(self, store, texts):
        """Half of them; Elasticsearch has the others."""
        super().test_hits_are_what_matches(store, texts)


def ship(settings, *lines):
    backend = connect(settings)
    assert backend.ship(lines) is None
    backend.close()
    documents(settings)


def found(settings, **query):
    store = open_store(settings)
    events = list(store.find(Query(**query)))
    store.close()
    return events


def test_streams_that_are_not_there_are_empty(engine_url, namespace):
    """A new stack has no events, and that is no fault."""
    assert found(settings_for(engine_url, namespace)) == []


def test_one_stream_alone_is_read(engine_url, namespace):
    """Log lines are found before the first span is there."""
    settings = settings_for(engine_url, namespace)
    requests.put(f"{engine_url}/_data_stream/{logs_stream(namespace)}", timeout=30)
    ship(settings, line(1))

    assert [event.id for event in found(settings)] == [line(1).id]


def test_an_event_in_two_indices_is_found_once(settings):
    """An engine knows an id within one index; a resend after a rollover makes a second copy."""
    ship(settings, line(1), line(2))
    stream = f"{settings.url}/{logs_stream(settings.namespace)}"
    requests.post(f"{stream}/_rollover", timeout=30).raise_for_status()
    ship(settings, line(2), line(3))

    assert len(documents(settings)) == 4
    assert [event.id for event in found(settings)] == [line(1).id, line(2).id, line(3).id]
    assert [event.id for event in found(settings, limit=2)] == [line(2).id, line(3).id]


def test_an_abort_told_twice_is_found_once(settings):
    """Two finders tell it by one id but another time, and a rollover lies between."""
    told = line(1)._replace(id=f"{line(1).id}-aborted")
    again = line(2)._replace(id=told.id)
    ship(settings, _identified(told))
    stream = f"{settings.url}/{logs_stream(settings.namespace)}"
    requests.post(f"{stream}/_rollover", timeout=30).raise_for_status()
    ship(settings, _identified(again))

    assert len(documents(settings)) == 2
    assert len(found(settings)) == 1


def _identified(sent):
    fields = orjson.loads(sent.data)
    fields["event"]["id"] = sent.id
    return sent._replace(data=orjson.dumps(fields))


def test_an_empty_value_fits_an_empty_pattern(settings):
    """As a pattern the engine would take it for none."""
    sent = line(1)
    ship(settings, sent._replace(data=orjson.dumps(orjson.loads(sent.data) | {"url": {"path": ""}})))

    assert len(found(settings, expression=Wildcard("url.path", ""))) == 1


def test_more_than_a_page(settings):
    """Pages join without a gap or a second copy, also amid events of one moment, in both directions."""
    sent = [line(number // 7 * 7) for number in range(2500)]
    sent = [_identified(one._replace(id=line(number).id)) for number, one in enumerate(sent)]
    ship(settings, *sent)

    ids = [one.id for one in sent]
    assert [event.id for event in found(settings)] == ids
    assert [event.id for event in found(settings, limit=1500)] == ids[-1500:]


@pytest.mark.parametrize("alike", [2, 1000])
def test_copies_where_a_page_ends(settings, alike):
    """Documents of one time and one `event.id` are all found, though a page has room for a part of them."""
    sent = [_identified(line(number)) for number in range(999)]
    copied = _identified(line(999))
    ship(settings, *sent, *(copied._replace(id=f"copy-{number}") for number in range(alike)), _identified(line(1001)))
    with closing(open_store(settings)) as store:
        copies = list(store.find_copies(Query()))

    assert [event.id for event in copies] == [one.id for one in sent] + [copied.id] * alike + [line(1001).id]


def test_fields_of_an_older_index_are_found_too(settings):
    """A field that one of the indices does not map is looked for in every event."""
    ship(settings, line(1))
    stream = f"{settings.url}/{logs_stream(settings.namespace)}"
    requests.post(f"{stream}/_rollover", timeout=30).raise_for_status()
    mapping = {"properties": {"db": {"properties": {"shard": {"type": "keyword"}}}}}
    requests.put(f"{stream}/_mapping?write_index_only=true", json=mapping, timeout=30).raise_for_status()
    ship(settings, line(2))
    expression = Not(Term("db.shard", "7"))

    assert len(found(settings, expression=expression)) == 2


@pytest.fixture(scope="module", params=["elasticsearch", "opensearch"])
def one_event(request):
    """The settings of a store with one event in each engine, and the event: what is asked leaves it as it is."""
    settings = settings_for(request.getfixturevalue(f"{request.param}_url"), new_namespace())
    set_up(settings)
    ship(settings, timed(1, 5))
    return settings, Event.from_json(timed(1, 5).data)


@pytest.mark.parametrize(
    "expression",
    [
        Wildcard("url.path", "*a" + "?" * 40 + "b*"),
        Wildcard("url.path", "*" + "ab" * 2000 + "*"),
        Phrase("x" * 5000),
        Term("http.response.status_code", "9" * 30),
        Term("client.ip", "nobody"),
        Range("event.duration", -1e300, 1e300),
        Range("timestamp.us", float("-inf"), float("inf")),
        Wildcard("labels.number", "*" * 500),
        Wildcard("url.path", "*a*" * 50),
        Wildcard("url.path", "?" * 300),
        Term("trace.id", "x" * 40_000),
        Term("labels.number", "x" * 40_000),
        Or(tuple(Term(f"labels.name_{number}", "1") for number in range(500))),
        Wildcard("event.id", "0193" + "?" * 29),
        Wildcard("event.id", r"*\-0000*1"),
        Wildcard("message", "c?r cr*d" + "\\"),
    ],
)
def test_a_hostile_search_is_no_fault(one_event, expression):
    """The engine has limits of its own: a pattern of many states, a number too large, a text that is no address."""
    settings, event = one_event

    events = found(settings, expression=expression)

    assert events == [event] * expression.matches(event)


CAPS = {
    "indices": [".ds-logs-dashcam-default-000001"],
    "fields": {
        "@timestamp": {"date_nanos": {}},
        "event.id": {"keyword": {}},
        "trace.id": {"keyword": {}},
        "message": {"text": {}},
        "error.type": {"keyword": {}},
        "error.message": {"text": {}},
        "error.stack_trace": {"text": {}},
        "http.response.status_code": {"long": {}},
        "labels": {"flattened": {}},
    },
}
KINDS = {name: next(iter(types)) for name, types in CAPS["fields"].items()}


def page(*lines, **more):
    hits = [{"_id": one.id, "_source": orjson.loads(one.data), "sort": [1, one.id]} for one in lines]
    return {"timed_out": False, "_shards": {"total": 2, "failed": 0}, "hits": {"hits": hits}} | more


@contextmanager
def playing(respond, **answers):
    """A store of a server that answers each search with what `respond` gives, and what the server was asked."""

    def answer(asked):
        name = asked.path.rpartition("/")[2].lstrip("_")
        if name in answers:
            return answers[name]
        if name == "search":
            return respond(asked)
        return (200, CAPS) if name == "field_caps" else (200, {"id": "point-1", "succeeded": True})

    with scripted(answer) as (url, asked):
        store = open_store(load(Options, {"ELASTICSEARCH_URL": url, "ELASTICSEARCH_API_KEY": "c2VjcmV0"}))
        yield store, asked
        store.close()


def test_a_search_over_the_wire():
    """How the engine holds the field, then the events that have it, in order of time."""
    with playing(lambda _: (200, page(line(1)))) as (store, asked):
        list(store.find(Query(Term("trace.id", "ab"), since_ns=10**18)))

    caps, search = asked
    assert caps.path == "/logs-dashcam-default,traces-apm.dashcam-default/_field_caps"
    assert caps.params["fields"] == "@timestamp,trace,trace.id"
    assert search.path == "/logs-dashcam-default,traces-apm.dashcam-default/_search"
    assert search.params == {"allow_partial_search_results": "false", "ignore_unavailable": "true"}
    assert [list(key) for key in search.json["sort"]] == [["@timestamp"], ["event.id"]]
    assert {"range": {"@timestamp": {"gte": "2001-09-09T01:46:40.000000Z"}}} in search.json["query"]["bool"]["filter"]


FULL = [line(number) for number in range(1000)]


def test_pages_behind_the_first_are_of_one_point_in_time():
    """It may change its name from answer to answer, and is given back at the end; each begins with the last before."""
    more = [line(number) for number in range(999, 1999)]
    pages = [page(*FULL), page(*more, pit_id="point-2"), page(line(1998), line(1999), line(2000))]

    with playing(lambda _: (200, pages.pop(0))) as (store, asked):
        assert len(list(store.find(Query()))) == 2001

    _, _, point, second, third, end = asked
    assert point.path == "/logs-dashcam-default,traces-apm.dashcam-default/_pit"
    assert second.path == "/_search"
    assert second.json["pit"] == {"id": "point-1", "keep_alive": "2m"}
    assert second.json["search_after"] == [1, line(998).id]
    assert third.json["pit"]["id"] == "point-2"
    assert third.json["search_after"] == [1, line(1997).id]
    assert (end.method, end.path, end.json) == ("DELETE", "/_pit", {"id": "point-2"})


def test_a_limit_within_a_page_needs_no_second():
    """However many more there are."""
    newest = page(*FULL[:102])
    for age, hit in enumerate(newest["hits"]["hits"]):
        hit["sort"][0] = -age

    with playing(lambda _: (200, newest)) as (store, asked):
        assert len(list(store.find(Query(limit=100)))) == 100

    assert [request.path.rpartition("/")[2] for request in asked] == ["_field_caps", "_search"]


@pytest.mark.parametrize(
    "more",
    [
        {"timed_out": True},
        {"_shards": {"total": 2, "failed": 1}},
        {"_shards": {}},
    ],
)
def test_a_part_is_no_answer(more):
    """A story with holes that nobody sees is worse than none."""
    with (
        playing(lambda _: (200, page(line(1), **more))) as (store, _),
        pytest.raises(StoreUnreachable, match="only a partial answer"),
    ):
        list(store.find(Query()))


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>"),
        (200, {}),
        (200, []),
        (200, {"timed_out": False, "_shards": {"total": 1, "failed": 0}}),
        (200, page() | {"hits": {"hits": [{"_id": "1"}]}}),
        (401, {"error": {"type": "security_exception", "reason": "x"}}),
        (403, {"error": {"type": "security_exception", "reason": "x"}}),
        (404, {"error": {"type": "search_context_missing_exception", "reason": "x"}}),
        (429, {"error": {"type": "circuit_breaking_exception", "reason": "x"}}),
        (503, b"no master"),
    ],
)
@pytest.mark.parametrize("name", ["search", "pit", "field_caps"])
def test_whatever_is_no_answer_is_unreachable(answer, name):
    """With the address, and never with the key."""
    with (
        playing(lambda _: (200, page(*FULL)), **{name: answer}) as (store, _),
        pytest.raises(StoreUnreachable, match="http://127") as raised,
    ):
        list(store.find(Query(Term("trace.id", "ab"))))

    assert "c2VjcmV0" not in str(raised.value)


def test_an_index_that_was_just_made_is_asked_again():
    """Its shards are not started yet: the engine answers 503 for a moment, and not that it has nothing."""
    starting = 503, {"error": {"type": "search_phase_execution_exception", "reason": "start", "phase": "query"}}
    answers = iter([starting, starting, (200, page(line(1)))])

    with playing(lambda _: next(answers)) as (store, _):
        assert len(list(store.find(Query()))) == 1


def test_a_version_without_points_in_time_is_too_old():
    """Neither of the two ways is known to it."""
    unknown = 400, {"error": "no handler found for uri [/x] and method [POST]"}

    with (
        playing(lambda _: (200, page(*FULL)), pit=unknown, point_in_time=unknown) as (store, _),
        pytest.raises(StoreUnreachable, match="no handler found"),
    ):
        list(store.find(Query()))


def test_a_dead_engine_is_unreachable():
    """What the operating system said, and where."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    store = open_store(load(Options, {"ELASTICSEARCH_URL": f"http://me:secret@127.0.0.1:{port}"}))

    with pytest.raises(StoreUnreachable, match=rf"http://127\.0\.0\.1:{port} cannot be reached: .*refused") as raised:
        list(store.find(Query()))

    assert "secret" not in str(raised.value)


def test_ids_are_asked_for_exactly():
    """The look-up of a story costs what its events cost, not what the time costs."""
    assert at_least(Term("trace.id", "ab"), KINDS) == _with_ignored("trace.id", {"term": {"trace.id": "ab"}})


def test_labels_are_asked_for_exactly():
    """They are held as texts, whatever type they had."""
    assert at_least(Term("labels.car_id", "7"), KINDS) == {"term": {"labels.car_id": "7"}}


def test_words_are_asked_for_within_the_engines_own():
    """A standard tokenizer takes `errors.UniqueViolation` for one word."""
    assert at_least(Phrase("UniqueViolation on", "message"), KINDS) == {
        "bool": {
            "filter": [
                {"wildcard": {"message": {"value": "*uniqueviolation*"}}},
                {"wildcard": {"message": {"value": "*on*"}}},
            ]
        }
    }


def test_not_asks_for_what_is_certain():
    """Leaving out must not leave out too much: a number is held without the form it was written in."""
    assert at_least(Not(Term("trace.id", "ab")), KINDS) == {"bool": {"must_not": [{"term": {"trace.id": "ab"}}]}}
    assert at_least(Not(Term("http.response.status_code", "200")), KINDS) == {
        "bool": {"must_not": [{"match_none": {}}]}
    }


def test_a_field_nobody_mapped_is_looked_for_in_every_event():
    """The engine cannot say which event has it."""
    assert at_least(Term("db.shard", "7"), KINDS) == {"match_all": {}}


def _with_ignored(field, search):
    return {"bool": {"should": [search, {"term": {"_ignored": field}}], "minimum_should_match": 1}}


@pytest.fixture(scope="module", params=["elasticsearch", "opensearch"])
def odd_store(request):
    """A store of odd events in each engine, and the events."""
    settings = settings_for(request.getfixturevalue(f"{request.param}_url"), new_namespace())
    set_up(settings)
    sent = odd.lines()
    ship(settings, *sent)
    events = sorted((Event.from_json(one.data) for one in sent), key=lambda event: (event.time_ns, event.id))
    return open_store(settings), events


@hypothesis.given(expression=odd.expressions)
@hypothesis.settings(derandomize=True)
def test_odd_hits_are_what_matches(odd_store, expression):
    """Whatever the engine makes of a value, no event is missed and none is too much."""
    store, events = odd_store

    found = [event.id for event in store.find(Query(expression))]
    store.close()

    assert found == [event.id for event in events if expression.matches(event)]


def test_bytes_that_are_not_utf8_cost_their_value():
    """One event with a surrogate encoded by itself does not hide the others."""
    broken = line(2, "car BAD")
    answer = orjson.dumps(page(line(1), broken, line(3))).replace(b"BAD", b"\xed\xa0\x80")

    with playing(lambda _: (200, answer)) as (store, _):
        found = [event.get("message") for event in store.find(Query())]

    assert found == ["car created", "car \ufffd\ufffd\ufffd", "car created"]


BY_SERVICE = Grouping(("service.name",), is_timed=True)


def counted(settings, query=Query(), grouping=BY_SERVICE):  # noqa: B008 - it is frozen
    store = open_store(settings)
    (groups,) = store.aggregate(query, [grouping])
    store.close()
    return groups


def timed(number, took_ns, **event):
    fields = orjson.loads(line(number).data)
    fields["event"] |= {"duration": took_ns, "id": line(number).id, **event}
    return line(number)._replace(data=orjson.dumps(fields))


@pytest.mark.parametrize(
    ("text", "fields", "is_counted"),
    [
        ("*", ("service.name", "http.route", "event.outcome"), True),
        ("NOT event.dataset:dashcam-doctor duration:>5ms", ("http.response.status_code",), True),
        ("status:(200 OR >=500) path:/c*", ("log.level",), True),
        ("created", ("service.name",), False),
        ("*", ("error.message",), False),
    ],
)
def test_the_engine_counts_where_it_is_exact(one_event, text, fields, is_counted):
    """Keywords and whole numbers; words and texts are read."""
    settings, _ = one_event

    assert (counted(settings, Query(parse(text)), Grouping(fields)) is not None) == is_counted


def test_labels_are_counted_where_they_can_be(elasticsearch_url, namespace):
    """A label of any type, by its text."""
    settings = settings_for(elasticsearch_url, namespace)
    set_up(settings)
    labels = [{"car_id": 7}, {"car_id": "7"}, {"car_id": ["8", 9]}, {}]
    ship(settings, *(_labelled(number, one) for number, one in enumerate(labels)))

    groups = counted(settings, grouping=Grouping(("labels.car_id",)))

    assert {key.values: group.count for key, group in groups.items()} == {("7",): 2, ("8",): 1, ("9",): 1, ("",): 1}


def _labelled(number, labels):
    return line(number)._replace(data=orjson.dumps(orjson.loads(line(number).data) | {"labels": labels}))


def test_a_value_that_is_in_no_index_has_to_be_read(elasticsearch_url, namespace):
    """The engine would count it for one that is missing; OpenSearch does not tell which events have such values."""
    settings = settings_for(elasticsearch_url, namespace)
    set_up(settings)
    sent = line(1)
    ship(settings, sent._replace(data=orjson.dumps(orjson.loads(sent.data) | {"http": {"route": "/x" * 9000}})))

    assert counted(settings, grouping=Grouping(("http.route",))) is None
    assert counted(settings, grouping=Grouping(("log.level",))) is not None


def test_a_copy_in_another_index_is_counted_once(settings):
    """Also where it is in a third, and where the copy of an abort has another time."""
    told = line(1)._replace(id=f"{line(1).id}-aborted")
    again = line(5)._replace(id=told.id)
    stream = f"{settings.url}/{logs_stream(settings.namespace)}"
    for sent in ([timed(1, 7), timed(2, 9), told], [timed(2, 9), timed(3, 4), again], [timed(2, 9), timed(4, 1)]):
        aborts = [_aborted(one) if one.id == told.id else one for one in sent]
        ship(settings, *aborts)
        requests.post(f"{stream}/_rollover", timeout=30).raise_for_status()

    (group,) = counted(settings).values()

    assert len(documents(settings)) == 8
    assert group == Group(5, group_events(found(settings), [BY_SERVICE])[0].popitem()[1].durations)
    assert group.durations.count == 4


def _aborted(sent):
    fields = orjson.loads(sent.data)
    fields["event"] |= {"id": sent.id, "action": "request-aborted"}
    return sent._replace(data=orjson.dumps(fields))


def test_more_groups_than_a_page(settings):
    """Each once, with its own times: a page of 60,000 buckets has 70 groups with times of up to 0.2 s."""
    ship(settings, *(_routed(number) for number in range(200)))

    groups = counted(settings, grouping=Grouping(("http.route",), is_timed=True))

    assert sorted(key.values[0] for key in groups) == sorted(f"/{number}" for number in range(200))
    assert all(group.durations.most_ns == int(key.values[0][1:]) * 10**6 for key, group in groups.items())


def _routed(number):
    sent = timed(number, number * 10**6)
    return sent._replace(data=orjson.dumps(orjson.loads(sent.data) | {"http": {"route": f"/{number}"}}))


NO_HITS = {"hits": {"total": {"value": 0}, "hits": []}}


@pytest.mark.parametrize(
    ("outline", "groups"),
    [
        (None, {}),
        ({"indices": 7}, {}),
        ({"indices": {"buckets": [{"doc_count": 1}]}}, {}),
        ({"indices": {"buckets": []}, "least": 7, "most": None}, {}),
        ({"indices": {"buckets": []}}, {"groups": {"buckets": [7]}}),
        ({"indices": {"buckets": []}}, {"groups": {"buckets": [{"key": {"0": "x"}}]}}),
        ({"indices": {"buckets": []}}, {"groups": 7}),
    ],
)
def test_an_odd_answer_is_no_count(outline, groups):
    """It is reported, whatever is odd about it."""
    whole = {"timed_out": False, "_shards": {"total": 1, "failed": 0}}
    caps = {"service.name": {"keyword": {}}, "event.duration": {"long": {}}, "@timestamp": {"date_nanos": {}}}
    answers = iter([whole | NO_HITS, whole | {"aggregations": outline}, whole | {"aggregations": groups}])

    def answer(asked):
        is_caps = asked.path.endswith("_field_caps")
        return (200, {"indices": ["x"], "fields": caps}) if is_caps else (200, next(answers))

    with scripted(answer) as (url, _):
        store = open_store(load(Options, {"ELASTICSEARCH_URL": url}))
        with pytest.raises(StoreUnreachable, match="gave an answer without"):
            store.aggregate(Query(), [BY_SERVICE])
        store.close()
