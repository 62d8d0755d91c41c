"""Every client against servers that never end, or answer far too much: each exchange ends in time, in little memory."""

import gc
import itertools
import socket
import threading
import tracemalloc
import zlib
from contextlib import closing, contextmanager, suppress

import pytest

from dashcam.destinations import network, registry
from dashcam.destinations.checks import Broken
from dashcam.destinations.elasticsearch.backend import Elasticsearch
from dashcam.destinations.elasticsearch.client import Client
from dashcam.destinations.elasticsearch.options import Options
from dashcam.destinations.elasticsearch.store import ElasticsearchStore
from dashcam.destinations.loggly.backend import Loggly
from dashcam.destinations.loggly.store import LogglyStore, Timeouts
from dashcam.errors import BackendUnavailable, StoreUnreachable
from dashcam.find.query import Query
from dashcam.settings import Secret, load
from dashcam.testing.backend_contract import line

from ..ports import free_port

TIMEOUT_S = 0.5
MAX_BYTES = 64 << 20
HEAD = b"Content-Type: application/json\r\n"  # after the status line


def trickled_head(is_over):
    yield HEAD
    while not is_over.wait(0.05):
        yield b"X-More: yes\r\n"


def trickled_status(is_over):
    while not is_over.wait(0.05):
        yield b"O"


def trickled_body(is_over):
    yield HEAD + b"Content-Length: 100000\r\n\r\n"
    while not is_over.wait(0.05):
        yield b" "


def trickled_chunks(is_over):
    yield HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    while not is_over.wait(0.05):
        yield b"1\r\n \r\n"


def always_continue(is_over):
    yield b"\r\n"
    while not is_over.is_set():
        yield b"HTTP/1.1 100 Continue\r\n\r\n"


def silence(is_over):
    is_over.wait()
    yield b""


def a_gigabyte(is_over):
    yield HEAD + b"Content-Length: 1000000000\r\n\r\n"
    part = b" " * (1 << 20)
    for _ in range(1000):
        if is_over.is_set():
            return
        yield part


def a_bomb(is_over):
    # After a full flush, the same text gives the same bytes: half a gigabyte is there before a client stops waiting.
    press = zlib.compressobj(9, zlib.DEFLATED, 31)
    first, again = (press.compress(b" " * (1 << 20)) + press.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    body = first + 511 * again
    yield HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def broken_gzip(is_over):
    yield HEAD + b"Content-Encoding: gzip\r\nContent-Length: 10\r\n\r\n0123456789"


def another_encoding(is_over):
    yield HEAD + b"Content-Encoding: br\r\nContent-Length: 10\r\n\r\n0123456789"


SERVERS = [
    trickled_status,
    trickled_head,
    trickled_body,
    trickled_chunks,
    always_continue,
    silence,
    a_gigabyte,
    a_bomb,
    broken_gzip,
    another_encoding,
]


@contextmanager
def serving(answer, status):
    """A server that gives each connection the same answer, after it has read some of the request."""
    first = {trickled_status: b"HTTP/1.1 %d " % status, always_continue: b"HTTP/1.1 100 Continue\r\n", silence: b""}
    is_over = threading.Event()
    threads = []

    def serve(connection):
        with connection, suppress(OSError):
            connection.settimeout(5)
            connection.recv(65536)
            connection.sendall(first.get(answer, b"HTTP/1.1 %d It\r\n" % status))
            for part in answer(is_over):
                connection.sendall(part)

    def accept():
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                threads.append(threading.Thread(target=serve, args=[connection]))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = threading.Thread(target=accept)
        accepting.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        is_over.set()
        server.shutdown(socket.SHUT_RDWR)
        accepting.join()
        for thread in threads:
            thread.join()


def engine(url):
    return Client(load(Options, {"ELASTICSEARCH_URL": url}), answer_timeout_s=TIMEOUT_S)


CLIENTS = {
    "elasticsearch backend": lambda url: Elasticsearch(engine(url), "default"),
    "elasticsearch store": lambda url: ElasticsearchStore(engine(url), "default"),
    "loggly backend": lambda url: Loggly(url, Secret("token"), timeout_s=TIMEOUT_S),
    "loggly store": lambda url: LogglyStore(url, Secret("token"), timeouts=Timeouts(answer_s=TIMEOUT_S, busy_s=0)),
}


PAIRS = [("elasticsearch backend", "loggly store"), ("loggly backend", "elasticsearch store")]
QUICK = [(client, server, 200) for place, server in enumerate(SERVERS) for client in PAIRS[place % 2]]
ALL = itertools.product(CLIENTS, SERVERS, (200, 400, 429, 503))


@pytest.mark.parametrize(
    ("client", "answer", "status"),
    [pytest.param(*each, marks=[pytest.mark.long] * (each not in QUICK)) for each in ALL],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_exchange_ends(client, answer, status):
    """In its time, with an error that says what is the matter, and without keeping what came."""
    with serving(answer, status) as url, closing(CLIENTS[client](url)) as opened:
        tracemalloc.start()
        try:
            with pytest.raises((BackendUnavailable, StoreUnreachable), match=r"127\.0\.0\.1"):
                opened.ship([line(1)]) if "backend" in client else list(opened.find(Query()))
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert peak_bytes < MAX_BYTES


def test_the_check_of_a_clock_does_not_wait_for_a_body():
    """The date is in the head of an answer."""
    with serving(trickled_body, 404) as url:
        assert network.agree_with_date(url) == "127.0.0.1 sends no date"


@pytest.mark.parametrize("answer", [trickled_head, silence])
def test_the_check_of_a_clock_ends(answer):
    """In its time, as a broken hop."""
    with serving(answer, 404) as url, pytest.raises(Broken, match=r"127\.0\.0\.1 did not answer"):
        network.agree_with_date(url, TIMEOUT_S)


@pytest.mark.parametrize("name", ["loggly", "elasticsearch"])
def test_an_outage_takes_no_memory(name):
    """What a failed attempt held is free before the next one: no cycle keeps it until the next garbage collection."""
    settings = {f"{name.upper()}_URL": f"http://127.0.0.1:{free_port()}", "LOGGLY_TOKEN": "token"}
    backend = registry.get(name).backend(registry.options(name, settings))
    batch = [line(1, "x" * 900_000)]
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(5):
            with pytest.raises(BackendUnavailable):
                backend.ship(batch)
        assert tracemalloc.get_traced_memory()[0] < 900_000
    finally:
        tracemalloc.stop()
        gc.enable()
        backend.close()
