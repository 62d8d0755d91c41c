"""Where the stand-in listens."""

import socket

from dashcam.testing.fake_loggly import StandIn


def test_it_listens_at_the_address_that_is_given():
    """At that one alone; for a container's there is one that can be reached from here."""
    stand_in = StandIn(host="127.0.0.2").start()
    port = int(stand_in.url.rpartition(":")[2])
    try:
        assert stand_in.url == f"http://127.0.0.2:{port}"
        socket.create_connection(("127.0.0.2", port), 5).close()
        with socket.socket() as other:
            assert other.connect_ex(("127.0.0.1", port)) != 0
    finally:
        stand_in.close()

    assert StandIn(host="0.0.0.0", port=1).url == "http://127.0.0.1:1"
