"""The backend against forward servers: packing, failover, what is kept, what is given up."""

import threading
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
import trustme

from dashcam.destinations.fluentd.backend import RESETS, SHUN_S, Fluentd, connect, pack
from dashcam.destinations.fluentd.connection import WHY_RESET, WHY_SILENT, Timeouts, dial
from dashcam.destinations.fluentd.options import Options
from dashcam.destinations.fluentd.peer import Peer
from dashcam.errors import BackendUnavailable, BatchRejected, SettingsError
from dashcam.event import EncodedEvent
from dashcam.settings import Secret, load
from dashcam.ship.batch import PartialResult
from dashcam.testing.backend_contract import BackendContract
from tests.destinations.fluentd import server as servers
from tests.destinations.fluentd.server import Guarded, Orderly, Server
from tests.peers.node import FluentOrgServer

SHORT = Timeouts(connect_s=2, handshake_s=0.3, acknowledge_s=0.3, probe_s=0.3)


def line(number, *, is_span=False, **fields):
    id_ = f"0193a1b2c3d4e5f601020304-{number:08}"
    event = {"@timestamp": "2026-11-24T01:35:46.123456Z", "event": {"id": id_}, **fields}
    return EncodedEvent(id_, is_span, orjson.dumps(event))


def ids(orderly):
    return [record["event"]["id"][-8:] for _, _, record in orderly.records]


@pytest.fixture
def make_backend():
    made = []

    def make(*servers, clock=None, timeouts=SHORT, **peer):
        backend = Fluentd(
            [Peer("127.0.0.1", server.port, **peer) for server in servers], timeouts, *([clock] if clock else [])
        )
        made.append(backend)
        return backend

    yield make
    for backend in made:
        backend.close()


def test_logs_and_spans_are_told_apart_by_their_tag(make_backend):
    """One message of each kind, their events in the order of the batch, as they were recorded."""
    with Server(Orderly()) as server:
        make_backend(server).ship([line(1), line(2, is_span=True), line(3, labels={"ü": [1.5, None, True]})])
        orderly = server.handle

    assert [(tag, record["event"]["id"][-1]) for tag, _, record in orderly.records] == [
        ("dashcam.log", "1"),
        ("dashcam.log", "3"),
        ("dashcam.span", "2"),
    ]
    assert orderly.records[1][2]["labels"] == {"ü": [1.5, None, True]}


def test_an_event_that_cannot_be_packed_is_refused_alone(make_backend):
    """The others of its batch arrive."""
    with Server(Orderly()) as server:
        answer = make_backend(server).ship(
            [line(1), EncodedEvent("x", is_span=False, data=b'{"@timestamp":"never"}'), line(3)]
        )

    assert ids(server.handle) == ["00000001", "00000003"]
    assert answer == PartialResult(rejected={1: "cannot be sent as msgpack: Invalid isoformat string: 'never'"})


def test_no_message_without_events(make_backend):
    """When none can be packed nothing is sent."""
    with Server(Orderly()) as server:
        answer = make_backend(server).ship([EncodedEvent("x", is_span=False, data=b"{}")])

    assert list(answer.rejected) == [0]
    assert server.connections == 0


def test_a_connection_is_kept(make_backend):
    """Many batches, one connection."""
    with Server(Orderly()) as server:
        backend = make_backend(server)
        for number in range(5):
            backend.ship([line(number)])

    assert server.connections == 1
    assert len(ids(server.handle)) == 5


def test_a_server_that_keeps_no_connections_gets_new_ones(make_backend):
    """HELO said so; nothing is lost on a connection that is about to end."""
    with Server(Guarded(Orderly(keep=False), keepalive=False)) as server:
        backend = make_backend(server, shared_key=Secret("sesame"))
        for number in range(3):
            backend.ship([line(number)])

    assert server.connections == 3
    assert len(ids(server.handle.then)) == 3


def test_a_connection_that_ended_unasked_is_no_failure(make_backend):
    """A server without handshake closes after each message: the next batch dials anew, at once."""
    with Server(Orderly(keep=False)) as server:
        backend = make_backend(server)
        for number in range(3):
            backend.ship([line(number)])

    assert ids(server.handle) == ["00000000", "00000001", "00000002"]


def test_a_reset_in_the_middle_of_a_kept_connection_is_tried_again_with_the_same_bytes(make_backend):
    """The server had gone while the connection was idle; what it may have read has the same chunk id."""
    orderly, seen = Orderly(), []

    def acknowledges_once_then_resets(sock):
        for (tag, body, option), _ in servers.read(sock):
            seen.append((tag, body, option["chunk"]))
            if len(seen) == 2:
                return
            orderly.messages.append((tag, body, option))
            servers.say(sock, {"ack": option["chunk"]})

    with Server(acknowledges_once_then_resets) as server:
        backend = make_backend(server)
        backend.ship([line(1)])
        backend.ship([line(2)])

    assert seen[1] == seen[2]
    assert ids(orderly) == ["00000001", "00000002"]


@pytest.mark.parametrize("bad", [servers.resets, servers.never_acknowledges, servers.says_what_is_no_msgpack])
def test_another_server_takes_over(make_backend, bad):
    """The one that fails is asked last for a while, then first again."""
    now_s = [1000.0]
    with Server(bad) as first, Server(Orderly()) as second:
        backend = make_backend(first, second, clock=lambda: now_s[0])
        backend.ship([line(1)])
        backend.ship([line(2)])
        tried = first.connections
        now_s[0] += SHUN_S
        backend.ship([line(3)])

    assert (tried, first.connections) == (1, 2)
    assert ids(second.handle) == ["00000001", "00000002", "00000003"]


def test_when_no_server_takes_it_each_is_named(make_backend):
    """The batch is to be sent again; the reasons are side by side."""
    with (
        Server(servers.closes) as first,
        Server(servers.never_acknowledges) as second,
        pytest.raises(BackendUnavailable) as caught,
    ):
        make_backend(first, second).ship([line(1)])

    assert str(caught.value) == (
        f"forward://127.0.0.1:{first.port} closed the connection before it answered. {WHY_RESET} "
        f"forward://127.0.0.1:{second.port} gave no answer in time: {WHY_SILENT}"
    )


class AcknowledgingServer:
    """A forward server, and what a reader behind it would find: `create` with the event's id keeps each once."""

    def __init__(self, server):
        self.server = server

    def connect(self):
        return Fluentd([Peer("127.0.0.1", self.server.port)], SHORT)

    def arrived(self):
        return list({record["event"]["id"]: record for _, _, record in self.server.handle.records}.values())

    def stop(self):
        self.server.stop()


class TestContract(BackendContract):
    """What every backend is held to, before a server of this test."""

    @pytest.fixture
    def destination(self):
        with Server(Orderly()) as server:
            yield AcknowledgingServer(server)


@pytest.fixture
def start_peer():
    started = []

    def start(**options):
        started.append(FluentOrgServer(**options))
        return started[-1]

    yield start
    for peer in started:
        peer.stop()


SECURITY = {"serverHostname": "aggregator", "sharedKey": "sesame", "authorize": True, "userDict": {"cars": "p:w"}}


class FluentOrg:
    """The server of @fluent-org/logger with key and user, and what a reader behind it would find."""

    def __init__(self, peer):
        self.peer = peer

    def connect(self):
        peer = Peer("127.0.0.1", self.peer.port, "cars", Secret("p:w"), Secret("sesame"))
        return Fluentd([peer], Timeouts(acknowledge_s=10))

    def arrived(self):
        return list({record["event"]["id"]: record for _, _, record in self.peer.entries()}.values())

    def stop(self):
        self.peer.stop()


class TestContractWithAnothersServer(BackendContract):
    """The same before a server that others wrote, through its handshake."""

    @pytest.fixture
    def destination(self, start_peer):
        return FluentOrg(start_peer(security=SECURITY))


def test_anothers_server_reads_what_is_compressed(start_peer):
    """Tag, time to the nanosecond and record of each event."""
    peer = start_peer()
    messages, _ = pack([line(number, labels={"n": number}) for number in range(100)], compress=True)
    connection = dial(Peer("127.0.0.1", peer.port), Timeouts())

    connection.deliver(messages)
    connection.close()

    assert [(tag, record["labels"]["n"]) for tag, _, record in peer.entries()] == [
        ("dashcam.log", number) for number in range(100)
    ]
    assert peer.entries()[0][1] == [1795484146, 123456000]


def test_anothers_server_over_tls(start_peer, tmp_path):
    """With key, user and certificate, from settings alone."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    peer = start_peer(security=SECURITY, certificate=str(tmp_path / "server.pem"))
    backend = connect(
        load(
            Options,
            {
                "FLUENTD_URL": f"forward+tls://cars:p%3Aw@127.0.0.1:{peer.port}",
                "FLUENTD_SHARED_KEY": "sesame",
                "FLUENTD_CA": str(tmp_path / "ca.pem"),
            },
        )
    )

    backend.ship([line(1)])
    backend.close()

    assert len(peer.entries()) == 1


@pytest.mark.parametrize(
    ("key", "password", "reason"),
    [("simsalabim", "p:w", "shared key mismatch"), ("sesame", "wrong", "username/password mismatch")],
)
def test_anothers_server_refuses_wrong_secrets(start_peer, key, password, reason):
    """Its own words are in the message."""
    peer = start_peer(security=SECURITY)

    with pytest.raises(BackendUnavailable, match=f"refused the handshake: .*{reason}"):
        dial(Peer("127.0.0.1", peer.port, "cars", Secret(password), Secret(key)), Timeouts())


def halve(backend, batch):
    """What the shipper does: the events that are refused when they are alone."""
    try:
        backend.ship(batch)
    except BatchRejected:
        if len(batch) == 1:
            return batch
        middle = len(batch) // 2
        return [*halve(backend, batch[:middle]), *halve(backend, batch[middle:])]
    return []


def test_a_message_too_large_is_found_by_halving(make_backend):
    """The server drops it without a word; all other events arrive, and only the first wait is for nothing."""
    large = line(5, message="x" * 4000)
    with Server(Orderly(limit_bytes=2000)) as server:
        refused = halve(make_backend(server), [*map(line, range(5)), large, *map(line, range(6, 9))])

    assert refused == [large]
    assert sorted(set(ids(server.handle))) == [f"{number:08}" for number in range(9) if number != 5]


class ResetsWhatHolds:
    """Resets on a message that holds some bytes, as fluentd does on what it cannot read; takes all others."""

    def __init__(self, poison):
        self.poison = poison
        self.orderly = Orderly()

    def __call__(self, sock):
        for (tag, body, option), _ in servers.read(sock):
            if self.poison in body:
                servers.abort(sock)
                return
            self.orderly.messages.append((tag, body, option))
            servers.say(sock, {"ack": option["chunk"]})


def test_a_batch_that_alone_meets_resets_is_refused(make_backend):
    """Others are acknowledged meanwhile, so the server is neither full nor gone."""
    poison = [line(1, message="poison")]
    with Server(ResetsWhatHolds(b"poison")) as server:
        backend = make_backend(server)
        for number in range(RESETS - 1):
            with pytest.raises(BackendUnavailable):
                backend.ship(poison)
            backend.ship([line(100 + number)])
        with pytest.raises(BatchRejected, match=f"{RESETS} times, while it acknowledged other batches"):
            backend.ship(poison)


def test_a_server_that_resets_everything_refuses_nothing(make_backend):
    """It is full, or starting; the batch waits for as long as that lasts."""
    with Server(servers.resets) as server:
        backend = make_backend(server)
        for _ in range(RESETS + 2):
            with pytest.raises(BackendUnavailable):
                backend.ship([line(1)])


def test_several_batches_are_under_way_at_once(make_backend):
    """As many as `limits` says, each over its own connection; the server holds its answers until all are there."""
    together = threading.Barrier(Fluentd.limits.in_flight, timeout=10)

    def waits_for_the_others(sock):
        for (_, _, option), _ in servers.read(sock):
            together.wait()
            servers.say(sock, {"ack": option["chunk"]})

    with Server(waits_for_the_others) as server:
        backend = make_backend(server, timeouts=Timeouts())
        with ThreadPoolExecutor(Fluentd.limits.in_flight) as threads:
            answers = list(threads.map(backend.ship, [[line(number)] for number in range(Fluentd.limits.in_flight)]))

    assert answers == [None] * Fluentd.limits.in_flight


def test_a_near_server_gets_plain_messages_and_a_far_one_compressed():
    """One far server among several decides, since all get the same bytes."""
    batch = [line(number, message="x" * 100) for number in range(50)]

    (plain,), _ = pack(batch, compress=False)
    (compressed,), _ = pack(batch, compress=True)

    assert len(compressed.data) < len(plain.data) / 3
    assert (b"compressed" in plain.data, b"compressed" in compressed.data) == (False, True)


@pytest.mark.parametrize(("hosts", "compressed"), [(["127.0.0.1"], False), (["127.0.0.1", "logs.example"], True)])
def test_the_hosts_decide_about_compression(hosts, compressed):
    """Loopback costs nothing per byte, everything else is taken for a network."""
    assert Fluentd([Peer(host) for host in hosts])._compress is compressed


def test_settings_make_a_backend():
    """Hosts in their order, users from their URLs, the key for all."""
    settings = load(
        Options,
        {"FLUENTD_URL": "forward://cars:p%40ss@127.0.0.1:1,forward://127.0.0.1:2", "FLUENTD_SHARED_KEY": "sesame"},
    )

    peers = list(connect(settings)._idle)

    assert peers == [
        Peer("127.0.0.1", 1, "cars", Secret("p@ss"), Secret("sesame")),
        Peer("127.0.0.1", 2, "", Secret(), Secret("sesame")),
    ]


def test_settings_name_the_authority(tmp_path):
    """From FLUENTD_URL and FLUENTD_CA to an acknowledged batch over TLS."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with Server(Orderly(), tls=servers.certified(certificate)) as server:
        url = f"forward+tls://127.0.0.1:{server.port}"
        backend = connect(load(Options, {"FLUENTD_URL": url, "FLUENTD_CA": str(tmp_path / "ca.pem")}))
        backend.ship([line(1)])
        backend.close()

    assert ids(server.handle) == ["00000001"]


def test_an_authority_without_use_is_a_fault(tmp_path):
    """Whoever sets FLUENTD_CA believes the connection to be encrypted."""
    (tmp_path / "ca.pem").write_text("any")

    with pytest.raises(SettingsError, match=r"FLUENTD_CA is set, but FLUENTD_URL has no forward\+tls://"):
        connect(load(Options, {"FLUENTD_CA": str(tmp_path / "ca.pem")}))


def test_an_authority_that_cannot_be_read_is_a_fault(tmp_path):
    """The file holds no certificate."""
    (tmp_path / "ca.pem").write_text("no certificate")

    with pytest.raises(SettingsError, match=r"FLUENTD_CA='.*ca.pem' cannot be used: "):
        connect(load(Options, {"FLUENTD_URL": "forward+tls://a", "FLUENTD_CA": str(tmp_path / "ca.pem")}))
