"""A connection against servers of every habit: what is delivered, what is not, and what is said of it."""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import trustme

from dashcam.destinations.fluentd.connection import Reset, Silent, Timeouts, dial
from dashcam.destinations.fluentd.message import Entries, pack_event, pack_message
from dashcam.destinations.fluentd.peer import Peer
from dashcam.errors import BackendUnavailable, BatchRejected
from dashcam.settings import Secret

from . import server as servers
from .server import Guarded, Orderly, Server

SHORT = Timeouts(connect_s=2, handshake_s=0.3, acknowledge_s=0.3, probe_s=0.3)
LONG = Timeouts(connect_s=5, handshake_s=5, acknowledge_s=5, probe_s=5)


def message(events=2, tag="dashcam.log", text=""):
    return pack_message(
        tag, Entries([pack_event({"@timestamp": "2026-11-24T01:35:46Z", "text": text})] * events, events)
    )


def deliver(handle, *messages, timeouts=LONG, doubtful=False, certified=None, **peer):
    """Dial a server of that habit, as a client that is told of it, deliver, and hang up."""
    with Server(handle, tls=certified) as server:
        connection = dial(Peer(**{"host": "127.0.0.1", "port": server.port, **peer}), timeouts)
        try:
            connection.deliver(messages or [message()], doubtful=doubtful)
        finally:
            connection.close()


def test_messages_arrive_as_they_were_packed():
    """Tag, time and record of each event, in order, each message under its own chunk."""
    orderly = Orderly()

    deliver(orderly, message(1, "dashcam.log", "a"), message(2, "dashcam.span", "b"))

    assert [(tag, record["text"]) for tag, _, record in orderly.records] == [
        ("dashcam.log", "a"),
        ("dashcam.span", "b"),
        ("dashcam.span", "b"),
    ]


def test_acknowledgements_may_come_in_any_order():
    """They are told apart by their chunk."""

    def backwards(sock):
        incoming = servers.read(sock)
        texts = [next(incoming)[0][2]["chunk"] for _ in range(2)]
        for styled in reversed(texts):
            servers.say(sock, {"ack": styled})

    deliver(backwards, message(), message())


def test_an_answer_may_come_byte_by_byte():
    """As long as it is whole in time."""
    deliver(servers.drips)


@pytest.mark.parametrize(
    ("handle", "kind", "said"),
    [
        (servers.never_acknowledges, Silent, "gave no answer in time"),
        (partial(servers.drips, pause_s=0.5), Silent, "gave no answer in time"),
        (
            servers.acknowledges_another_chunk,
            BackendUnavailable,
            "acknowledged 'bm90IHlvdXJzIGF0IGFsbA==', a chunk that is not",
        ),
        (
            servers.talks_http,
            BackendUnavailable,
            "answered 72 instead of an acknowledgement: check that a forward server without TLS",
        ),
        (
            servers.talks_tls,
            BackendUnavailable,
            "answered 21 instead of an acknowledgement: check that a forward server without TLS",
        ),
        (servers.says_what_is_no_msgpack, BackendUnavailable, "sent what is not msgpack"),
        (servers.says_a_flood, BackendUnavailable, "sent what is not msgpack"),
        (servers.resets, Reset, "broke off before it answered: Connection reset by peer"),
        (servers.closes, Reset, "closed the connection before it answered"),
        (Guarded(Orderly()), BackendUnavailable, "asks for a handshake: set FLUENTD_SHARED_KEY"),
    ],
)
def test_what_is_no_acknowledgement_leaves_the_batch_undelivered(handle, kind, said):
    """Each habit is named, with the server it was seen at."""
    with pytest.raises(kind, match=f"^forward://127.0.0.1:[0-9]+ {said}"):
        deliver(handle, timeouts=SHORT)


def test_a_large_message_to_a_deaf_server_ends_too():
    """When the network's buffers are full, sending stops in time as well."""
    with pytest.raises(Silent, match="accepts no more data"):
        deliver(servers.reads_nothing, message(200, text="x" * 100_000), timeouts=SHORT)


@pytest.mark.parametrize("doubtful", [True, False])
def test_a_dropped_message_is_refused(doubtful):
    """The server acknowledges an empty message sent behind it, so it is not the server that hangs."""
    orderly = Orderly(limit_bytes=500)

    with pytest.raises(
        BatchRejected, match=r"dropped a message of 20 events, [0-9]+ bytes, without an answer.*chunk_size_limit"
    ):
        deliver(orderly, message(20), timeouts=SHORT, doubtful=doubtful)
    assert orderly.records == []


def test_the_message_that_was_dropped_is_the_one_that_is_named():
    """The others of the batch were acknowledged."""
    with pytest.raises(BatchRejected, match="dropped a message of 20 events"):
        deliver(Orderly(limit_bytes=500), message(1), message(20, "dashcam.span"), timeouts=SHORT)


def test_a_doubted_message_can_arrive():
    """The empty message behind it does no harm."""
    orderly = Orderly()

    deliver(orderly, message(2), doubtful=True)

    assert len(orderly.records) == 2


def test_the_message_that_arrived_is_not_the_one_refused():
    """Of two messages only one is dropped: the batch is refused, halved and sent again."""
    orderly = Orderly(limit_bytes=500)

    with pytest.raises(BatchRejected):
        deliver(orderly, message(1), message(20, "dashcam.span"), doubtful=True)
    assert [tag for tag, *_ in orderly.records] == ["dashcam.log"]


def test_keys_and_users_are_proved():
    """After the handshake the connection is as any other."""
    orderly = Orderly()

    deliver(Guarded(orderly, users={"cars": "p:w"}), shared_key=Secret("sesame"), user="cars", password=Secret("p:w"))

    assert len(orderly.records) == 2


@pytest.mark.parametrize(
    ("handle", "client", "said"),
    [
        (Guarded(Orderly()), {"shared_key": "simsalabim"}, "refused the handshake: shared_key mismatch"),
        (Guarded(Orderly(), proves=False), {"shared_key": "sesame"}, "cannot prove that it knows the shared key"),
        (
            Guarded(Orderly(), users={"cars": "right"}),
            {"shared_key": "sesame", "user": "cars", "password": "wrong"},
            "refused the handshake: username/password mismatch",
        ),
        (servers.never_acknowledges, {"shared_key": "sesame"}, "sent no HELO in 0.3 s: either it has no <security>"),
        (lambda sock: None, {"shared_key": "sesame"}, "closed the connection before it answered"),
        (lambda sock: sock.sendall(b"SSH-2.0-x\r\n"), {"shared_key": "sesame"}, "began with 83 instead of HELO"),
    ],
)
def test_a_failed_handshake_is_explained(handle, client, said):
    """No batch is to blame for it, so it is never a `Reset`; neither key nor password is shown."""
    client = {name: Secret(value) for name, value in client.items()}

    with pytest.raises(BackendUnavailable, match=said) as caught:
        deliver(handle, timeouts=SHORT, **client)

    assert not isinstance(caught.value, Reset)
    assert not any(secret in str(caught.value) for secret in ("sesame", "simsalabim", "right", "'wrong"))


def test_a_server_may_want_each_connection_once():
    """HELO says `keepalive: false`."""
    with Server(Guarded(Orderly(), keepalive=False)) as server:
        connection = dial(Peer("127.0.0.1", server.port, shared_key=Secret("sesame")), LONG)
        connection.close()

    assert connection.keeps_alive is False


def test_an_idle_connection_that_ended_is_not_used_again():
    """Its end is seen before anything is sent."""
    with Server(Orderly()) as server:
        connection = dial(Peer("127.0.0.1", server.port), LONG)
        connection.deliver([message()])
        usable = connection.is_usable()

    assert (usable, connection.is_usable()) == (True, False)
    connection.close()


def test_nobody_listens():
    """The address and the reason, no user and no password."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(BackendUnavailable, match=f"^forward://127.0.0.1:{port} cannot be reached: Connection refused"):
        dial(Peer("127.0.0.1", port, "user", Secret("word")), SHORT)


def test_a_host_without_address():
    """A name that no one knows."""
    with pytest.raises(BackendUnavailable, match=r"^forward://no-such-host.invalid:24224 cannot be reached: "):
        dial(Peer("no-such-host.invalid"), SHORT)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def client_side(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_tls_with_a_good_certificate(authority):
    """Signed by the authority that is trusted, for the host that is dialled."""
    orderly = Orderly()

    deliver(orderly, certified=servers.certified(authority.issue_cert("127.0.0.1")), tls=client_side(authority))

    assert len(orderly.records) == 2


def test_tls_and_handshake_go_together(authority):
    """First TLS, then HELO."""
    orderly = Orderly()
    certified = servers.certified(authority.issue_cert("127.0.0.1"))

    deliver(Guarded(orderly), certified=certified, tls=client_side(authority), shared_key=Secret("sesame"))

    assert len(orderly.records) == 2


@pytest.mark.parametrize(
    ("issue", "said"),
    [
        (lambda authority: trustme.CA().issue_cert("127.0.0.1"), "unable to get local issuer certificate"),
        (lambda authority: authority.issue_cert("another.example"), "IP address mismatch"),
        (
            lambda authority: authority.issue_cert("127.0.0.1", not_after=datetime.now(UTC) - timedelta(days=1)),
            "certificate has expired",
        ),
    ],
)
def test_tls_with_a_bad_certificate(authority, issue, said):
    """Another authority's, another host's, or one that has run out."""
    with pytest.raises(BackendUnavailable, match=f"shows a certificate that is not trusted: .*{said}.*FLUENTD_CA"):
        deliver(Orderly(), certified=servers.certified(issue(authority)), tls=client_side(authority))


def test_tls_to_a_server_without(authority):
    """It answers with something else."""
    with pytest.raises(
        BackendUnavailable,
        match=r"^forward\+tls://.* does not speak TLS: .*For a connection without TLS, use forward://",
    ):
        deliver(servers.talks_http, tls=client_side(authority), timeouts=SHORT)
