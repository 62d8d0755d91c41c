"""The configuration of logging/fluentd, run by a real fluentd before real engines, fed by the real backend."""

import json
import re
import struct
import threading
import urllib.request
import uuid
from contextlib import suppress
from itertools import zip_longest
from urllib.error import HTTPError

import msgpack
import orjson
import pytest
import requests
import trustme
from fluent.sender import EventTime, FluentSender

from dashcam.destinations.destination import KeyFile
from dashcam.destinations.elasticsearch import streams
from dashcam.destinations.elasticsearch.client import Client
from dashcam.destinations.elasticsearch.keys import set_up as make_keys
from dashcam.destinations.elasticsearch.options import Options as EngineOptions
from dashcam.destinations.fluentd.backend import connect
from dashcam.destinations.fluentd.connection import Timeouts, dial
from dashcam.destinations.fluentd.message import ENTRY, Entries, pack_message
from dashcam.destinations.fluentd.options import Options
from dashcam.destinations.fluentd.peer import Peer
from dashcam.errors import BackendUnavailable
from dashcam.event import EncodedEvent
from dashcam.settings import Secret, load

from ..balancer import balanced
from ..cli.commands.test_audit import assert_well, audit, service, ship
from ..engines.streams import documents, set_up, settings_for
from ..processes import until
from .runner import SHARED_KEY, Fluentd

SEGMENT = "0193a1b2c3d4e5f601020304"


def ask(method, url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def line(number, *, is_span=False, **fields):
    id_ = f"{SEGMENT}-{number:08}"
    event = {
        "@timestamp": f"2026-11-24T01:35:46.{number:06}Z",
        "labels": {"number": number},
        "event": {"id": id_, "sequence": number},
    }
    return EncodedEvent(id_, is_span, orjson.dumps({**event, **fields}))


class Stack:
    """A fluentd before an engine, and what is to be found behind it."""

    def __init__(self, folder, engine_url, **environment):
        self.url, self.namespace = engine_url, f"t{uuid.uuid4().hex[:12]}"
        name = "opensearch" if "distribution" in ask("GET", engine_url)["version"] else "elasticsearch"
        self.fluentd = Fluentd(folder, engine_url, self.namespace, FLUENTD_STORE=name, **environment)

    def set_up(self):
        settings = load(EngineOptions, {"ELASTICSEARCH_URL": self.url})
        list(streams.set_up(Client(settings), self.namespace, 14))
        return self

    @property
    def address(self):
        """Where its fluentd listens."""
        return f"forward://127.0.0.1:{self.fluentd.port}"

    def connect(self, **settings):
        given = {"FLUENTD_URL": self.address, "FLUENTD_SHARED_KEY": SHARED_KEY}
        return connect(load(Options, {**given, **settings}))

    def ship(self, *batch):
        backend = self.connect()
        backend.ship(batch)
        backend.close()

    def found(self, stream="logs-dashcam-{}"):
        """The documents of a stream of this namespace, by their `_id`; none while it is being made."""
        address = f"{self.url}/{stream.format(self.namespace)}"
        try:
            ask("POST", f"{address}/_refresh?ignore_unavailable=true")
            answer = ask("POST", f"{address}/_search?ignore_unavailable=true", {"size": 10_000})
        except HTTPError as fault:
            with fault:  # it is the answer, and holds the connection
                if fault.code != 503:
                    raise
            return {}
        return {hit["_id"]: hit["_source"] for hit in answer["hits"]["hits"]}

    def of_container(self, container_id):
        """The documents of what a container printed."""
        return [e for e in self.found().values() if e.get("labels", {}).get("container_id") == container_id]

    def wait_for(self, *ids, stream="logs-dashcam-{}"):
        """Those documents, once all are there."""
        until(lambda: set(ids) <= set(self.found(stream)), "documents")
        found = self.found(stream)
        return [found[id_] for id_ in ids]


@pytest.fixture(scope="module", params=["elasticsearch", "opensearch"])
def stack(request, tmp_path_factory):
    """One fluentd a module and engine: the tests use ids of their own."""
    folder = tmp_path_factory.mktemp("fluentd")
    Fluentd.require()
    stack = Stack(folder, request.getfixturevalue(f"{request.param}_url")).set_up()
    stack.fluentd.start()
    yield stack
    stack.fluentd.stop()


@pytest.fixture
def make_stack(tmp_path, elasticsearch_url):
    """A fluentd of this test alone, before Elasticsearch."""
    made = []

    def make(**environment):
        made.append(Stack(tmp_path, elasticsearch_url, **environment).set_up())
        made[-1].fluentd.start()
        return made[-1]

    Fluentd.require()
    yield make
    for stack in made:
        stack.fluentd.stop()


def test_lines_and_spans_reach_their_streams(stack):
    """Whole, each under its own id; what fluentd adds is when it came."""
    log, span = line(1, message="東京 🚗"), line(2, is_span=True)

    stack.ship(log, span)

    ((found_log,), (found_span,)) = stack.wait_for(log.id), stack.wait_for(span.id, stream="traces-apm.dashcam-{}")
    for sent, found in ((log, found_log), (span, found_span)):
        assert found["event"].pop("ingested").endswith("Z")
        assert found == orjson.loads(sent.data)


def test_an_audit_finds_all_as_it_was_recorded(stack, tmp_path):
    """Texts, numbers, lists, a failure and a span: what fluentd adds is no change."""
    environment = {
        "LOG_BACKEND": "elk",
        "FLUENTD_URL": stack.address,
        "FLUENTD_SHARED_KEY": SHARED_KEY,
        "ELASTICSEARCH_URL": stack.url,
        "DASHCAM_NAMESPACE": stack.namespace,
    }
    service(tmp_path, 30)
    ship(tmp_path, environment)

    with suppress(AssertionError):  # the comparison below says what is wrong
        until(lambda: audit(tmp_path, **environment)[0] == 0, "audit that finds all well", 40)
    assert_well(tmp_path, {"elk": 33}, **environment)


def test_a_batch_sent_again_is_indexed_once(stack):
    """As after a lost acknowledgement, even when another fluentd takes it."""
    batch = [line(number) for number in range(100, 110)]

    for _ in range(3):
        stack.ship(*batch)

    stack.wait_for(*(sent.id for sent in batch))
    assert [id_ for id_ in stack.found() if id_.startswith(f"{SEGMENT}-000001")] == [
        id_ for id_ in stack.found() if id_ in {sent.id for sent in batch}
    ]


def test_what_cannot_be_indexed_is_told_and_stops_nobody(stack):
    """Without a usable id, or against the mapping: to the dead letters, beside the others of its batch."""
    bad = [line(201, event={"id": ""}), line(202, event="text"), line(203, http="no object")]

    stack.ship(line(200), *bad, line(204))

    stack.wait_for(f"{SEGMENT}-00000200", f"{SEGMENT}-00000204")
    (dead,) = stack.wait_for(f"{SEGMENT}-00000203-dead", stream="logs-dashcam-{}.dead")
    assert dead["message"] == f'fluentd could not deliver event "{SEGMENT}-00000203"'
    assert orjson.loads(dead["event"]["original"])["http"] == "no object"
    assert not set(stack.found()) & {f"{SEGMENT}-0000020{number}" for number in (1, 2, 3)}
    until(lambda: len(kept(stack, "2026-11-24T01:35:46.0002")) == 3, "three documents")


def kept(stack, start):
    records = [letter["record"] for letter in stack.fluentd.dead_letters()]
    return [record for record in records if str(record.get("@timestamp")).startswith(start)]


def test_what_no_encoder_of_ours_would_send_goes_around_in_no_circle(stack):
    """Broken UTF-8, in an id too, NaN, 5 MB: each is a dead letter once, and the way stays free."""
    records = [
        msgpack.packb({"event": {"id": f"{SEGMENT}-00000301"}, "m": b"\xff\xfe"}).replace(b"\xc4\x02", b"\xa2"),
        msgpack.packb({"event": {"id": b"\xff" * 10}}).replace(b"\xc4\x0a", b"\xaa"),
        msgpack.packb({"event": {"id": f"{SEGMENT}-00000302"}, "labels": {"n": float("nan")}}),
        msgpack.packb({"event": {"id": f"{SEGMENT}-00000303"}, "message": "x" * 5_000_000}),
    ]
    entry = ENTRY + struct.pack(">II", 1795484146, 0)
    connection = dial(Peer("127.0.0.1", stack.fluentd.port, shared_key=Secret(SHARED_KEY)), Timeouts())

    connection.deliver([pack_message("dashcam.log", Entries([entry + record], 1)) for record in records])
    connection.close()

    dead = [f"{SEGMENT}-0000030{number}-dead" for number in (1, 2, 3)]
    stack.wait_for(*dead, stream="logs-dashcam-{}.dead")
    stack.ship(line(304))
    stack.wait_for(f"{SEGMENT}-00000304")
    notes = [event["message"] for event in stack.found("logs-dashcam-{}.dead").values()]
    assert len([note for note in notes if "xFF" in note]) == 1
    until(lambda: stack.fluentd.plugins()["dead_letter_index"]["buffer_queue_length"] == 0, "empty buffer")


def test_a_container_that_is_not_ours_is_a_service_too(stack):
    """What Docker's log driver sends: no handshake, no id; the same line sent again gets the same id."""
    record = {"container_id": "4c1f", "container_name": "/dashcam-postgres-1", "source": "stderr"}
    lines = [
        (1795484146, "2026-11-24 01:35:46 UTC [1] LOG:  database system is ready"),
        (1795484147, "2026-11-24 01:35:47 UTC [7] FATAL:  role x does not exist"),
        (1795484147, "2026-11-24 01:35:47 UTC [7] FATAL:  role x does not exist"),
    ]
    with FluentSender("docker", port=stack.fluentd.containers_port) as sender:
        for time, text in lines:
            sender.emit_with_time("postgres", time, {**record, "log": text})

    until(lambda: len(stack.of_container("4c1f")) == 2, "two documents")
    found = sorted(stack.of_container("4c1f"), key=lambda event: event["@timestamp"])
    assert {event["service"]["name"] for event in found} == {"postgres"}
    assert [(event["log.level"], event["message"].split("] ")[1]) for event in found] == [
        ("info", "LOG:  database system is ready"),
        ("critical", "FATAL:  role x does not exist"),
    ]
    assert found[0]["labels"] == {"container_id": "4c1f", "container_name": "dashcam-postgres-1"}


def parts_of(texts, part_id):
    """A long line as Docker's log driver sends it."""
    for ordinal, part in enumerate(texts, 1):
        marks = {"partial_message": "true", "partial_id": part_id, "partial_ordinal": str(ordinal)}
        yield {"log": part, **marks, "partial_last": str(ordinal == len(texts)).lower()}


def test_the_parts_of_a_long_line_are_one(stack):
    """Equal ones too, in their order, with others between them, and one that misses its end after a while."""
    container = {"container_id": uuid.uuid4().hex, "container_name": "/x", "source": "stdout"}
    equal, counted, unfinished = ["abc"] * 3, [f"{number}," for number in range(1, 201)], ["no", " end", "!"]
    streams = [list(parts_of(*each)) for each in ((equal, "1"), (counted[:100], "2"), (unfinished, "3"))]
    mixed = [part for each in zip_longest(*streams[:2]) for part in each if part] + streams[2][:2]
    with FluentSender("docker", port=stack.fluentd.containers_port) as sender:
        for part in mixed:
            sender.emit_with_time("other", 1795484146, {**container, **part})

    def lines():
        return sorted(event["message"] for event in stack.of_container(container["container_id"]))

    assert until(lambda: (found := lines()) and len(found) == 3 and found, "three lines") == sorted(
        ["abcabcabc", "".join(counted[:100]), "no end"]
    )


def test_equal_lines_of_one_second_are_told_apart(stack):
    """By the parts of a second that Docker sends when it is asked to."""
    container = {"container_id": uuid.uuid4().hex, "container_name": "/x", "source": "stdout", "log": "again"}
    with FluentSender("docker", port=stack.fluentd.containers_port) as sender:
        for number in range(5):
            sender.emit_with_time("other", EventTime(1795484146 + number / 1000), container)

    until(lambda: len(stack.of_container(container["container_id"])) == 5, "five documents")


def test_the_shared_key_is_asked_for_and_kept_secret(stack):
    """A wrong one is refused; the right one is not in fluentd's own log."""
    with pytest.raises(BackendUnavailable, match="shared_key mismatch"):
        stack.connect(FLUENTD_SHARED_KEY="simsalabim").ship([line(401)])
    with pytest.raises(BackendUnavailable, match="asks for a handshake"):
        stack.connect(FLUENTD_SHARED_KEY="").ship([line(401)])

    assert SHARED_KEY not in stack.fluentd.log.read_text()


def test_the_writer_s_key_is_enough(tmp_path, request, namespace):
    """As the set-up writes it to its file."""
    Fluentd.require()  # before an engine is started for it
    settings = settings_for(request.getfixturevalue("elasticsearch_with_users_url"), namespace)
    set_up(settings)
    client, keys = Client(settings), tmp_path / "keys.env"
    make_keys(client, KeyFile(keys))
    client.close()
    first = {"@timestamp": "2026-11-24T01:35:46Z"}  # makes the stream, which the writer may not
    requests.post(f"{settings.url}/logs-dashcam-{namespace}/_doc", json=first, timeout=30).raise_for_status()
    key = re.search(r"WRITER_KEY=(\S+)", keys.read_text())[1]
    fluentd = Fluentd(tmp_path, re.sub("//.*@", "//", settings.url), namespace, ELASTICSEARCH_API_KEY=key).start()

    try:
        address = {"FLUENTD_URL": f"forward://127.0.0.1:{fluentd.port}", "FLUENTD_SHARED_KEY": SHARED_KEY}
        backend = connect(load(Options, address))
        backend.ship((line(1),))
        backend.close()
        until(lambda: len(documents(settings)) == 2, "two documents")
    finally:
        fluentd.stop()


def test_over_tls(make_stack, tmp_path):
    """One variable turns it on; the certificate is checked."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    stack = make_stack(
        FLUENTD_TRANSPORT="tls",
        FLUENTD_CERTIFICATE=str(tmp_path / "cert.pem"),
        FLUENTD_PRIVATE_KEY=str(tmp_path / "key.pem"),
    )
    url = f"forward+tls://127.0.0.1:{stack.fluentd.port}"

    untrusting = stack.connect(FLUENTD_URL=url)
    with pytest.raises(BackendUnavailable, match="certificate that is not trusted"):
        untrusting.ship([line(2)])
    untrusting.close()
    backend = stack.connect(FLUENTD_URL=url, FLUENTD_CA=str(tmp_path / "ca.pem"))
    backend.ship([line(1)])
    backend.close()

    stack.wait_for(line(1).id)


def test_without_an_engine_events_are_taken_and_kept(make_stack, elasticsearch_url):
    """fluentd starts, acknowledges, and delivers after its next start, when the engine is there."""
    stack = make_stack()
    stack.fluentd.stop()
    stack.fluentd.environment["ELASTICSEARCH_URL"] = "http://127.0.0.1:9"
    stack.fluentd.start()
    stack.ship(line(1))
    stack.fluentd.stop()
    stack.fluentd.environment["ELASTICSEARCH_URL"] = elasticsearch_url

    stack.fluentd.start()

    stack.wait_for(line(1).id)


def test_killed_in_mid_stream_it_loses_nothing_and_doubles_nothing(make_stack):
    """Three kills of supervisor and worker under a steady stream; what was not acknowledged is sent again."""
    stack = make_stack()
    sent, over = [], threading.Event()

    def stream():
        backend, number = stack.connect(), 0
        while not over.is_set():
            batch = [line(number + step) for step in range(50)]
            try:
                backend.ship(batch)
            except BackendUnavailable:
                over.wait(0.05)
            else:
                sent.extend(each.id for each in batch)
                number += 50
        backend.close()

    thread = threading.Thread(target=stream)
    thread.start()
    try:
        for count in (500, 1000, 1500):
            until(lambda count=count: len(sent) >= count, "events sent")
            stack.fluentd.kill()
            stack.fluentd.start()
        until(lambda: len(sent) >= 2000, "2000 events")
    finally:
        over.set()
        thread.join()

    stack.wait_for(*sent)
    assert sorted(stack.found()) == sorted(sent)
    assert stack.found("logs-dashcam-{}.dead") == {}


def is_shipped(backend, batch):
    """Send a batch as the shipper does, which tries again when there is no answer."""
    with suppress(BackendUnavailable):
        backend.ship(batch)
        return True
    return False


@pytest.mark.parametrize("are_balanced", [False, True], ids=["a list", "one address"])
def test_two_take_turns_and_one_goes_on_alone(make_stack, tmp_path, *, are_balanced):
    """Two before one engine; what the killed one had acknowledged is delivered when it is back, and nothing twice."""
    stack = make_stack()
    (tmp_path / "second").mkdir()
    second = Fluentd(tmp_path / "second", stack.url, stack.namespace).start()
    batches = [[line(10 * number + step) for step in range(10)] for number in range(40)]
    try:
        with balanced(lambda: [stack.fluentd.port, second.port]) as address:
            urls = f"forward://{address}" if are_balanced else f"{stack.address},forward://127.0.0.1:{second.port}"
            backend = stack.connect(FLUENTD_URL=urls)
            for number, batch in enumerate(batches):
                if number == 20:
                    stack.fluentd.kill()
                until(lambda batch=batch: is_shipped(backend, batch), "acknowledgement")
            backend.close()
        stack.fluentd.start()
        stack.wait_for(*(each.id for batch in batches for each in batch))
    finally:
        second.stop()

    assert len(stack.found()) == 400
    assert stack.found("logs-dashcam-{}.dead") == {}
