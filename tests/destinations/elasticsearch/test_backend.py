"""The Elasticsearch backend: the suite of all backends on both real engines, and what no engine answers on demand."""

import socket
import threading
from contextlib import contextmanager

import orjson
import pytest
import requests

from dashcam.destinations.elasticsearch.backend import Elasticsearch, connect
from dashcam.destinations.elasticsearch.client import Client, logs_stream, spans_stream
from dashcam.destinations.elasticsearch.options import Options
from dashcam.errors import BackendUnavailable, BatchRejected, SettingsError
from dashcam.settings import load
from dashcam.ship.batch import PartialResult
from dashcam.testing.backend_contract import BackendContract, line, span

from ...engines.streams import documents, set_up, settings_for
from ...scripted import scripted
from ...wire import Wire

KEY = "bm9ib2R5OnNlZXMtdGhpcw=="
BANNER = {"version": {"number": "9.5.3"}}


class Streams:
    """The streams of a namespace in a real engine, behind a wire that can be cut."""

    def __init__(self, url, namespace):
        self.settings = settings_for(url, namespace)
        self.wire = Wire(url)
        set_up(self.settings)

    def connect(self):
        return connect(settings_for(self.wire.url, self.settings.namespace))

    def arrived(self):
        return [document["_source"] for document in documents(self.settings)]

    def stop(self):
        self.wire.cut()


class EngineContract(BackendContract):
    @pytest.fixture
    def destination(self, url, namespace):
        streams = Streams(url, namespace)
        yield streams
        streams.stop()


class TestElasticsearch(EngineContract):
    @pytest.fixture
    def url(self, elasticsearch_url):
        return elasticsearch_url


class TestOpenSearch(EngineContract):
    @pytest.fixture
    def url(self, opensearch_url):
        return opensearch_url


def broken(number, **fields):
    sent = line(number)
    return sent._replace(data=orjson.dumps(orjson.loads(sent.data) | fields))


def test_spans_and_lines_go_to_streams_of_their_own(settings):
    """Kibana looks for traces by the name of the stream."""
    backend = connect(settings)

    backend.ship([line(1), span(2)])

    backend.close()
    streams = {document["_id"]: document["_index"] for document in documents(settings)}
    assert f"logs-dashcam-{settings.namespace}" in streams[line(1).id]
    assert f"traces-apm.dashcam-{settings.namespace}" in streams[span(2).id]


def test_only_the_events_at_fault_are_refused(settings):
    """Each with the engine's own reason; the others of the batch are in."""
    backend = connect(settings)

    undelivered = backend.ship([line(1), broken(2, **{"@timestamp": "yesterday"}), line(3), broken(4, http="none")])

    backend.close()
    assert undelivered.retry == []
    assert list(undelivered.rejected) == [1, 3]
    assert undelivered.rejected[1].startswith("400 ")
    assert "@timestamp" in undelivered.rejected[1]
    assert sorted(document["_id"] for document in documents(settings)) == [line(1).id, line(3).id]


def test_a_value_of_another_type_is_kept(settings):
    """A status that is no number is no reason to lose an event."""
    backend = connect(settings)

    assert backend.ship([broken(1, http={"response": {"status_code": "teapot"}}, client={"ip": "nobody"})]) is None

    backend.close()
    (document,) = documents(settings)
    assert document["_source"]["http"]["response"]["status_code"] == "teapot"


def _narrow_templates(settings, namespaces):
    """Have the templates cover the streams of these namespaces alone."""
    for name, stream in {"logs": logs_stream, "spans": spans_stream}.items():
        template = f"{settings.url}/_index_template/dashcam-{name}"
        (found,) = requests.get(template, timeout=30).json()["index_templates"]
        dates = {"created_date_millis", "modified_date_millis"}
        narrow = {key: value for key, value in found["index_template"].items() if key not in dates}
        narrow["index_patterns"] = [stream(namespaces)]
        requests.put(template, json=narrow, timeout=30).raise_for_status()


def test_without_templates_events_wait(settings):
    """The engine would make up fields of its own; once the templates are there the same shipper goes on."""
    _narrow_templates(settings, "t*")
    bare = settings_for(settings.url, f"bare.{settings.namespace}")
    backend = connect(bare)

    with pytest.raises(BackendUnavailable, match="run `dashcam setup elk`") as raised:
        backend.ship([line(1)])
    assert logs_stream(bare.namespace) in str(raised.value)
    assert raised.value.retry_after_s == 15
    assert documents(bare) == []

    set_up(bare)
    assert backend.ship([line(1)]) is None
    assert len(documents(bare)) == 1
    backend.close()


def test_a_read_only_stream_waits(settings):
    """The text says what blocks it; nothing is refused for good."""
    backend = connect(settings)
    backend.ship([line(1)])
    stream = f"{settings.url}/{logs_stream(settings.namespace)}"
    requests.put(f"{stream}/_settings", json={"index.blocks.write": True}, timeout=30).raise_for_status()

    with pytest.raises(BackendUnavailable, match="blocked") as raised:
        backend.ship([line(2)])

    backend.close()
    assert "cluster_block_exception" in str(raised.value)


@contextmanager
def playing(bulk, banner=BANNER, **environment):
    """A backend of a server that answers each bulk request with what `bulk` gives, and what the server was asked."""

    def answer(asked):
        if asked.path == "/_bulk":
            return bulk(asked)
        return (200, banner) if asked.path == "/" else (200, {"acknowledged": True})

    with scripted(answer) as (url, asked):
        given = {"ELASTICSEARCH_URL": url, "ELASTICSEARCH_API_KEY": KEY, **environment}
        backend = connect(load(Options, given))
        yield backend, asked
        backend.close()


def items(*statuses):
    return 200, {"items": [{"create": {"status": status, **_error(status)}} for status in statuses]}


def _error(status):
    types = {
        400: "document_parsing_exception",
        403: "security_exception",
        404: "index_not_found_exception",
        409: "version_conflict_engine_exception",
        429: "es_rejected_execution_exception",
        503: "unavailable_shards_exception",
    }
    return {"error": {"type": types[status], "reason": "so it is"}} if status in types else {}


def test_what_goes_over_the_wire():
    """An action line before each event; the guards of the request in its address; the key in its header."""
    with playing(lambda _: items(201, 201)) as (backend, asked):
        backend.ship([line(1), span(2)])

    _, request = asked
    assert (request.method, request.path) == ("POST", "/_bulk")
    assert request.params["require_data_stream"] == "true"
    assert request.params["include_source_on_error"] == "false"
    assert request.headers["Authorization"] == f"ApiKey {KEY}"
    assert request.headers["Content-Type"] == "application/x-ndjson"
    assert request.body == (
        b'{"create":{"_index":"logs-dashcam-default","_id":"0193a1b2c3d4e5f601020304-00000001"}}\n%b\n'
        b'{"create":{"_index":"traces-apm.dashcam-default","_id":"0193a1b2c3d4e5f601020304-00000002"}}\n%b\n'
    ) % (line(1).data, span(2).data)


def test_over_a_network_it_is_compressed():
    """Not so within one machine, where it would only cost; 127.1 is this machine, too, but not by its usual names."""
    with scripted(lambda asked: (200, BANNER) if asked.path == "/" else items(201)) as (url, asked):
        backend = connect(load(Options, {"ELASTICSEARCH_URL": url.replace("127.0.0.1", "127.1")}))
        backend.ship([line(1)])
        backend.close()

    assert asked[-1].headers["Content-Encoding"] == "gzip"
    assert asked[-1].body.endswith(line(1).data + b"\n")


@pytest.mark.parametrize(
    ("banner", "params"),
    [
        ({"version": {"number": "7.17.28"}}, set()),
        ({"version": {"number": "8.13.0"}}, {"require_data_stream"}),
        ({"version": {"number": "8.18.0"}}, {"require_data_stream", "include_source_on_error"}),
        ({"version": {"number": "3.8.0", "distribution": "opensearch"}}, set()),
    ],
)
def test_only_guards_that_a_version_knows(banner, params):
    """One it does not know is a 400 for the whole request."""
    with playing(lambda _: items(201), banner) as (backend, asked):
        backend.ship([line(1)])

    assert set(asked[-1].params) - {"filter_path"} == params


def test_streams_come_before_events_where_the_guard_is_missing():
    """Such a version would make a plain index out of the first event."""
    with playing(lambda _: items(201), {"version": {"number": "7.17.28"}}) as (backend, asked):
        backend.ship([line(1)])

    assert [request.path for request in asked] == [
        "/",
        "/_data_stream/logs-dashcam-default",
        "/_data_stream/traces-apm.dashcam-default",
        "/_bulk",
    ]


def test_it_asks_for_the_version_once():
    """Not before each batch."""
    with playing(lambda _: items(201)) as (backend, asked):
        for _ in range(3):
            backend.ship([line(1)])

    assert [request.path for request in asked] == ["/", "/_bulk", "/_bulk", "/_bulk"]


def test_each_item_has_its_own_fate():
    """Taken, there already, refused, not now: only the last two are named."""
    with playing(lambda _: items(201, 409, 400, 429, 503, 200)) as (backend, _):
        undelivered = backend.ship([line(number) for number in range(6)])

    assert undelivered == PartialResult(retry=[3, 4], rejected={2: "400 document_parsing_exception: so it is"})


def test_the_failure_store_is_no_delivery():
    """The engine says 201, but the event is not where anybody looks for it."""
    kept_aside = {"items": [{"create": {"status": 201, "failure_store": "used"}}]}

    with playing(lambda _: (200, kept_aside)) as (backend, _):
        undelivered = backend.ship([line(1)])

    assert "failure store" in undelivered.rejected[0]


@pytest.mark.parametrize(
    "answer",
    [
        items(201),
        (200, {"items": "two"}),
        (200, {"items": [{"create": {"status": 201}}, {"create": {}}]}),
        (200, {"items": [{"create": {"status": 201}}, {"index": {"status": 201}}]}),
        (200, {}),
        (200, []),
        (200, b"<html>welcome</html>"),
        (200, b'{"items":[{"create":{"sta'),
        (302, b"", {"Location": "https://login.example"}),
    ],
)
def test_an_answer_that_does_not_name_every_event_is_none(answer):
    """All are sent again: their ids make that safe."""
    with playing(lambda _: answer) as (backend, _), pytest.raises(BackendUnavailable):
        backend.ship([line(1), line(2)])


@pytest.mark.parametrize("status", [401, 403, 404, 405, 408, 429, 500, 502, 503, 504])
def test_a_request_that_failed_as_a_whole_is_sent_again(status):
    """Whatever the reason, the events are not at fault."""
    with (
        playing(lambda _: (status, {"error": "no"})) as (backend, _),
        pytest.raises(BackendUnavailable, match=str(status)),
    ):
        backend.ship([line(1)])


@pytest.mark.parametrize(
    "answer",
    [
        (413, b"too large"),
        (400, {"error": {"type": "illegal_argument_exception", "reason": "Malformed action/metadata line [3]"}}),
    ],
)
def test_a_text_that_cannot_be_taken_is_refused(answer):
    """So that it is halved down to the event at fault."""
    with playing(lambda _: answer) as (backend, _), pytest.raises(BatchRejected):
        backend.ship([line(1), line(2)])


def test_a_400_for_another_reason_refuses_nothing():
    """A server that takes no such request at all would send every event to the dead letters."""
    fault = {"error": {"type": "media_type_header_exception", "reason": "Accept version must be either 8 or 7"}}

    with playing(lambda _: (400, fault)) as (backend, _), pytest.raises(BackendUnavailable, match="media_type"):
        backend.ship([line(1)])


def test_the_pause_is_the_servers():
    """It knows best when it has room again."""
    busy = 429, {"error": "busy"}, {"Retry-After": "7"}

    with playing(lambda _: busy) as (backend, _), pytest.raises(BackendUnavailable) as raised:
        backend.ship([line(1)])

    assert raised.value.retry_after_s == 7


def test_an_engine_that_takes_nothing_says_why():
    """The reason of the first stands for all."""
    with (
        playing(lambda _: items(429, 429)) as (backend, _),
        pytest.raises(BackendUnavailable, match="es_rejected_execution"),
    ):
        backend.ship([line(1), line(2)])


@pytest.mark.parametrize(("status", "text"), [(401, "is wrong, has expired, or was withdrawn"), (403, "create_doc")])
def test_a_key_that_is_not_enough_is_named_but_not_shown(status, text):
    """Which setting, which right; never the key itself."""
    refusal = status, {"error": {"type": "security_exception", "reason": "x"}}

    with playing(lambda _: refusal) as (backend, _), pytest.raises(BackendUnavailable, match=text) as raised:
        backend.ship([line(1)])

    assert "ELASTICSEARCH_API_KEY" in str(raised.value)
    assert KEY not in str(raised.value)


def test_a_right_that_is_missing_for_one_item_holds_all():
    """The others are there already when the batch comes again."""
    with playing(lambda _: items(201, 403)) as (backend, _), pytest.raises(BackendUnavailable, match="create_doc"):
        backend.ship([line(1), line(2)])


def test_an_engine_that_is_too_old_says_so():
    """Its version, and the oldest that will do."""
    banner = {"version": {"number": "6.8.23"}}

    text = r"Elasticsearch 6\.8 .* is too old: Dashcam needs 7\.17 or later"

    with playing(lambda _: items(201), banner) as (backend, asked), pytest.raises(BackendUnavailable, match=text):
        backend.ship([line(1)])

    assert [request.path for request in asked] == ["/"]


def test_something_else_at_the_address_says_so():
    """A web server answers too."""
    text = "neither Elasticsearch nor OpenSearch"

    with (
        playing(lambda _: items(201), {"hello": "world"}) as (backend, _),
        pytest.raises(BackendUnavailable, match=text),
    ):
        backend.ship([line(1)])


def test_a_key_that_may_not_ask_for_the_version_may_still_write():
    """`create_doc` alone is enough where the streams are there."""
    refusal = (403, {"error": {"type": "security_exception", "reason": "action [cluster:monitor/main]"}})

    with scripted(lambda asked: items(201) if asked.path == "/_bulk" else refusal) as (url, asked):
        backend = connect(load(Options, {"ELASTICSEARCH_URL": url}))
        assert backend.ship([line(1)]) is None
        backend.close()

    assert set(asked[-1].params) == {"filter_path"}


def test_an_answer_that_trickles_is_given_up():
    """A byte now and then is no answer; the socket's own timeout would never end it."""
    is_over = threading.Event()

    def trickle(server):
        client, _ = server.accept()
        client.recv(65536)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not is_over.wait(0.02):
            client.sendall(b" ")
        client.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=trickle, args=[server])
        thread.start()
        options = load(Options, {"ELASTICSEARCH_URL": f"http://127.0.0.1:{server.getsockname()[1]}"})
        backend = Elasticsearch(Client(options, answer_timeout_s=0.2), "default")
        with pytest.raises(BackendUnavailable, match=r"no whole answer within 0\.2 s"):
            backend.ship([line(1)])
        is_over.set()
        thread.join()
        backend.close()


def test_a_key_with_a_line_break_is_a_setting_at_fault():
    """It cannot be a header; the text does not show it."""
    with pytest.raises(SettingsError) as raised:
        connect(load(Options, {"ELASTICSEARCH_API_KEY": "ab\ncd"}))

    assert "ab" not in str(raised.value).replace("ELASTICSEARCH", "")
