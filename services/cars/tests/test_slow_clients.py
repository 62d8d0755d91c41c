"""Clients that send or read slowly cost nobody else anything."""

import json
import re
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import pytest

from chassis.migrations import migrate

from .processes import ask, started, wait_for

GOLF = json.dumps({"name": "VW Golf"}).encode()
POST = b"POST /cars HTTP/1.1\r\nHost: cars\r\nContent-Type: application/json\r\n"
PIECES = {
    "nothing": b"",
    "half a head": POST,
    "a byte of the body": POST + b"Content-Length: 100\r\n\r\n{",
    "half a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n64\r\n{",
    "a body that is too large": POST + b"Content-Length: 1000000\r\n\r\n{",
    "a refused head": b"BAD\r\n\r\n",
    "two requests, the second by half": b"GET /healthz HTTP/1.1\r\nHost: cars\r\n\r\n" + POST,
    "an answer that is not read": b"GET /cars HTTP/1.1\r\nHost: cars\r\nConnection: close\r\n\r\n",
}


@pytest.fixture(scope="module")
def service(new_module_database, tmp_path_factory):
    """The cars service, with parts behind it: one for all tests, as whoever is gone leaves nothing behind."""
    folder = tmp_path_factory.mktemp("services")
    cars_url, parts_url = new_module_database(), new_module_database()
    migrate(cars_url, "cars")
    migrate(parts_url, "parts")
    environment = {"DASHCAM_DIR": str(folder), "DATABASE_URL": parts_url}
    with started("parts", folder, environment) as parts:
        wait_for(parts.is_ready)
        with started("cars", folder, environment | {"DATABASE_URL": cars_url, "PARTS_URL": parts.url}) as cars:
            wait_for(cars.is_ready)
            yield cars


def connect(service, data=b""):
    port = int(service.url.rpartition(":")[2])
    client = socket.create_connection(("127.0.0.1", port), 20)
    client.sendall(data)
    return client


@contextmanager
def held(service, data, count):
    """That many connections, each of which sent these bytes."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(connect(service, data))
        yield


def read_all(client):
    answer = b""
    while piece := client.recv(65536):
        answer += piece
    return answer


@pytest.mark.parametrize("data", PIECES.values(), ids=PIECES)
def test_two_hundred_slow_clients_are_not_felt(service, data):
    """One worker of eight threads answers others meanwhile; a test of their effect, not of the machine's speed."""
    with held(service, data, 200):
        answers = [ask("GET", f"{service.url}/healthz", timeout=3).status for _ in range(5)]
        order = ask("POST", f"{service.url}/cars", body=GOLF, headers={"Content-Type": "application/json"})

    assert (answers, order.status) == ([200] * 5, 201)


def test_more_clients_than_a_worker_takes(service):
    """The one that took longest makes room for the one that comes."""
    with held(service, POST, 600):
        assert ask("GET", f"{service.url}/healthz", timeout=3).status == 200


def test_a_request_that_does_not_end_is_refused(service):
    """A byte now and then does not make its time longer."""
    is_over = threading.Event()
    with connect(service, POST) as client:

        def drip():
            with suppress(OSError):
                while not is_over.wait(0.2):
                    client.sendall(b"X")

        dripping = threading.Thread(target=drip)
        began = time.monotonic()
        dripping.start()
        answer = read_all(client)
        is_over.set()
        dripping.join()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began > 5  # there was time for a slow but honest one


def test_a_request_in_pieces_is_served(service):
    """However it is cut, its body with a length or in chunks."""
    bodies = [
        b"Content-Length: %d\r\n\r\n%b" % (len(GOLF), GOLF),
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(GOLF), GOLF),
    ]
    for data in (POST + b"Connection: close\r\n" + body for body in bodies):
        for size in (1, 7, 4096):
            with connect(service) as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for start in range(0, len(data), size):
                    client.sendall(data[start : start + size])
                assert read_all(client).startswith(b"HTTP/1.1 201 ")


def test_requests_on_one_connection_are_answered_in_order(service):
    """Pipelined in one packet, with bodies."""
    order = POST + b"Content-Length: %d\r\n\r\n%b" % (len(GOLF), GOLF)
    end = b"GET /nowhere HTTP/1.1\r\nHost: cars\r\nConnection: close\r\n\r\n"
    with connect(service, order + order + end) as client:
        answer = read_all(client)

    assert re.findall(rb"HTTP/1.1 (\d+) ", answer) == [b"201", b"201", b"404"]


def test_a_client_that_waits_is_told_to_continue(service):
    """As curl does before a larger body."""
    with connect(
        service, POST + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(GOLF)
    ) as client:
        assert client.recv(65536).startswith(b"HTTP/1.1 100 ")
        client.sendall(GOLF)
        assert b"HTTP/1.1 201 " in read_all(client)


BROKEN = [
    (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n0\r\n\r\n", b"400"),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"ffff\r\n" + b"x" * 65535, b"413"),
    (POST + b"Connection: close\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20000, b"413"),
    (POST + b"X-Long: " + b"x" * 40000, b"431"),
]


def test_a_broken_request_is_the_clients_fault(service):
    """Never a 500, and nothing of it is an error of the service's."""
    for data, status in BROKEN:
        with connect(service, data) as client:
            assert read_all(client).split()[1] == status

    assert "Traceback" not in service.log.read_text()


def test_nobody_says_where_the_app_is_mounted(service):
    """A client on the same machine is no proxy."""
    for name in (b"SCRIPT_NAME", b"PATH_INFO"):
        head = b"GET /healthz HTTP/1.1\r\nHost: cars\r\n" + name + b": /x\r\nConnection: close\r\n\r\n"
        with connect(service, head) as client:
            assert read_all(client).startswith(b"HTTP/1.1 200 ")


def test_a_stopping_service_does_not_wait_for_slow_clients_longer_than_for_others(cars):
    """It ends within its grace, whoever is still sending."""
    with held(cars, POST, 20):
        wait_for(lambda: ask("GET", f"{cars.url}/healthz", timeout=5).status == 200)
        cars.process.terminate()
        assert cars.process.wait(20) == 0
