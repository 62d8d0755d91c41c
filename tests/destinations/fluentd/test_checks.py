"""The doctor's look at a forward server: what it says is wrong fits what was seen."""

import threading

import pytest

from dashcam.destinations.checks import Broken
from dashcam.destinations.fluentd.checks import _greet
from dashcam.destinations.fluentd.connection import Timeouts
from dashcam.destinations.fluentd.peer import Peer
from dashcam.settings import Secret

from .server import Guarded, Orderly, Server, never_acknowledges

SHORT = Timeouts(handshake_s=0.3, probe_s=0.3)


def look(handle):
    """What the check says of such a server, and the fix."""
    with Server(handle) as server, pytest.raises(Broken) as caught:
        _greet(Peer("127.0.0.1", server.port, shared_key=Secret("sesame")), SHORT)
    return str(caught.value), caught.value.fix


def test_another_key_is_called_that():
    """It is the key that has to be mended."""
    seen, fix = look(Guarded(Orderly(), key="another"))

    assert "shared_key mismatch" in seen
    assert "FLUENTD_SHARED_KEY" in fix


def test_a_server_without_security_is_called_that():
    """It greets nobody, and accepts a message without a key."""
    seen, fix = look(Orderly())

    assert "it has no <security>" in seen
    assert "Leave FLUENTD_SHARED_KEY empty" in fix


@pytest.mark.parametrize("handle", [never_acknowledges, lambda _: threading.Event().wait(2)])
def test_a_full_or_hung_server_is_called_that(handle):
    """Its key is not the trouble, and nothing is to be changed in the settings."""
    seen, fix = look(handle)

    assert "does not answer" in seen
    assert "buffer is full" in fix
    assert "FLUENTD_SHARED_KEY" not in fix


def test_a_server_that_breaks_off_is_called_that():
    """As one that is stopping."""

    seen, fix = look(lambda sock: sock.close())

    assert "closed the connection before it answered" in seen
    assert "FLUENTD_SHARED_KEY" not in fix
