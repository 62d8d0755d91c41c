"""The end of a request is found at the same byte however the bytes arrive."""

import pytest

from chassis.arrival import Arrival, State

HEAD = b"POST /cars HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def states(data, size):
    """The state after each piece of that many bytes."""
    arrival = Arrival(200, 100)
    return [arrival.add(data[start : start + size]) for start in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        HEAD + b"Content-Length: 5\r\n\r\nabcde",
        HEAD + b"content-length : 0\r\n\r\n",
        CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"3;name=value\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
    ],
    ids=lambda data: repr(data[-20:]),
)
def test_a_request_is_complete_with_its_last_byte(data, size):
    """Not before, and not after."""
    seen = states(data, size)

    assert set(seen[:-1]) <= {State.PARTIAL}
    assert seen[-1] is State.COMPLETE
    assert states(data[:-1], size)[-1] is State.PARTIAL


@pytest.mark.parametrize("body", [b"zz\r\n", b"\r\n", b"-1\r\n", b"3\r\nabcde", b"3 x\r\n"])
def test_broken_chunks_are_complete(body):
    """The parser refuses them where they are, so nobody waits for more."""
    assert states(CHUNKED + body, 1000) == [State.COMPLETE]


def test_a_head_without_end_is_found():
    """Its first 200 bytes are enough."""
    assert states(HEAD + b"X-Long: " + b"x" * 200, 1000) == [State.ENDLESS_HEAD]


def test_an_announced_body_that_is_too_large_is_not_waited_for():
    """The app refuses it by its length."""
    assert states(HEAD + b"Content-Length: 101\r\n\r\n", 1000) == [State.UNWANTED]


@pytest.mark.parametrize("chunks", [b"1\r\nx\r\n" * 20, b"ffff\r\n" + b"x" * 101, b"0\r\n" + b"X: y\r\n" * 20])
def test_chunks_without_end_are_found(chunks):
    """However they are cut, and in the trailers too."""
    assert states(CHUNKED + chunks, 1000) == [State.ENDLESS_BODY]


def test_a_client_that_asks_is_told_to_continue():
    """Only once the head is there."""
    arrival = Arrival(200, 100)

    arrival.add(HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n")
    assert not arrival.is_waited_for
    arrival.add(b"\r\n")
    assert arrival.is_waited_for
