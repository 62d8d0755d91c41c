"""A server's URL."""

import ssl

import pytest

from dashcam.destinations.fluentd.peer import Peer
from dashcam.settings import Secret

TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def peer(url, key=""):
    return Peer.from_url(url, Secret(key), TLS)


def test_the_port_need_not_be_said():
    """24224 is the protocol's."""
    assert peer("forward://logs.example").port == 24224


def test_user_and_password_may_hold_anything():
    """They are percent-encoded in the URL."""
    made = peer("forward://us%40er:p%3A%2F%40ss@logs.example:1")

    assert (made.user, str(made.password)) == ("us@er", "p:/@ss")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("forward://user:secret@logs.example:99", "forward://logs.example:99"),
        ("forward+tls://logs.example", "forward+tls://logs.example:24224"),
        ("forward://[::1]:7", "forward://[::1]:7"),
    ],
)
def test_it_is_shown_without_secrets(url, shown):
    """Neither the user nor the password may reach an error, not even by `repr`."""
    assert str(peer(url)) == shown
    assert "secret" not in repr(peer(url))


def test_tls_only_where_the_url_says_so():
    """One list may hold servers of both kinds."""
    assert (peer("forward+tls://a").tls, peer("forward://a").tls) == (TLS, None)


@pytest.mark.parametrize(
    ("host", "near"),
    [("127.0.0.1", True), ("127.3.2.1", True), ("[::1]", True), ("localhost", True), ("10.0.0.7", False), ("a", False)],
)
def test_a_server_on_this_machine_is_near(host, near):
    """Only there is compressing a waste."""
    assert peer(f"forward://{host}").is_near is near


@pytest.mark.parametrize(
    ("url", "key", "wants"),
    [("forward://a", "", False), ("forward://a", "sesame", True), ("forward://user:word@a", "", True)],
)
def test_a_key_or_a_user_asks_for_a_handshake(url, key, wants):
    """The client cannot see from outside whether the server will greet."""
    assert peer(url, key).wants_handshake is wants
