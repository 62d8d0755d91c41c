"""HELO, PING and PONG, against digests computed from the protocol's text."""

from hashlib import sha512

import pytest

from dashcam.destinations.fluentd.handshake import Helo, check_pong, make_ping, read_helo
from dashcam.destinations.fluentd.peer import Peer
from dashcam.errors import BackendUnavailable
from dashcam.settings import Secret

PEER = Peer("logs.example", 24224, "user", Secret("word"), Secret("key"))
NONCE, AUTH = bytes(16), bytes(range(16))
HELO = Helo(NONCE, AUTH, keeps_alive=True)


def test_a_helo_is_read():
    """The two salts and whether the connection stays open."""
    assert read_helo(PEER, ["HELO", {"nonce": NONCE, "auth": AUTH, "keepalive": False}]) == Helo(
        NONCE, AUTH, keeps_alive=False
    )


def test_a_helo_may_be_short():
    """Salts may be text, auth may be empty or missing, keepalive is on unless it says no."""
    assert read_helo(PEER, ["HELO", {"nonce": "abc", "auth": ""}]) == Helo(b"abc", b"", keeps_alive=True)
    assert read_helo(PEER, ["HELO", {"nonce": "abc"}]) == Helo(b"abc", b"", keeps_alive=True)


@pytest.mark.parametrize("answer", [72, [], ["HELO"], ["HELO", {}], ["HELO", {"nonce": 1}], {"ack": "x"}, None])
def test_what_is_no_helo_is_named(answer):
    """The message shows what came and where to look."""
    with pytest.raises(
        BackendUnavailable, match=r"forward://logs.example:24224 began with .* check that a forward server"
    ):
        read_helo(PEER, answer)


def test_a_ping_holds_both_proofs():
    """SHA-512 of salt, name, nonce and key; and of the other salt, user and password."""
    ping = make_ping(PEER, HELO, "me", "s")

    assert ping == [
        "PING", "me", "s", sha512(b"s" + b"me" + NONCE + b"key").hexdigest(),
        "user", sha512(AUTH + b"user" + b"word").hexdigest(),
    ]  # fmt: skip


def test_no_salt_for_the_password_no_proof_of_it():
    """The last two are empty then."""
    assert make_ping(Peer("a"), Helo(NONCE, b"", keeps_alive=True), "me", "s")[4:] == ["", ""]


def test_the_right_pong_is_accepted():
    """It proves that the server knows the key too."""
    check_pong(PEER, HELO, "s", ["PONG", True, "", "agg", sha512(b"s" + b"agg" + NONCE + b"key").hexdigest()])


@pytest.mark.parametrize(
    ("pong", "said"),
    [
        (["PONG", True, "", "agg", sha512(b"s" + b"agg" + NONCE + b"another").hexdigest()], "cannot prove"),
        (["PONG", True, "", "agg", "\udcff"], "cannot prove"),
        (["PONG", False, "shared_key mismatch", "", ""], "shared_key mismatch.*FLUENTD_SHARED_KEY"),
        (["PONG", False], "answered PING with"),
        ({"ack": "x"}, "answered PING with"),
    ],
)
def test_any_other_pong_is_refused(pong, said):
    """A wrong proof, a refusal with its reason, and nonsense."""
    with pytest.raises(BackendUnavailable, match=said):
        check_pong(PEER, HELO, "s", pong)
