"""Destinations on the network: the real clients over simulated connections, and servers that behave as servers do.

The backends of Elasticsearch, Loggly and the forward protocol run as they are, requests and urllib3 included. What they
get from `create_connection` is a `Wire` to a server in memory: its bytes come in pieces, late, cut off, or never.
"""

import gzip
import io
import os
import re
from collections import deque
from contextlib import contextmanager

import msgpack
import orjson
import urllib3.util.connection

from dashcam.destinations.elasticsearch.backend import Elasticsearch
from dashcam.destinations.elasticsearch.client import Client
from dashcam.destinations.elasticsearch.options import Options
from dashcam.destinations.fluentd.backend import Fluentd
from dashcam.destinations.fluentd.peer import Peer
from dashcam.destinations.loggly.backend import Loggly
from dashcam.settings import Secret

from .backends import is_bad_line

NS_PER_S = 1_000_000_000
MAX_WAIT_S = 190.0
HEAD = re.compile(rb"(\w+) (\S+) HTTP/1\.1\r\n(?:.*\r\n)*?\r\n")
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
GARBAGE = (
    b"",
    b"\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"\xff" * 40,
    b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"ok"',
    b"{" * 2000,
)


class Wire:
    """The client's end of a connection, as a socket."""

    def __init__(self, network, server):
        self.sent = bytearray()  # by the client, and not taken by the server yet
        self._network, self._server, self._machine = network, server, network.machine
        self._arriving = deque()  # data or an error, each after the moment when it is there
        self._timeout_s = None
        self._hangs_in = None  # the server's mood in which it says nothing more

    def arrive(self, data, after_s):
        """Have data or an error arrive at the client; the end, if it is empty."""
        last_ns = self._arriving[-1][0] if self._arriving else 0
        self._arriving.append((max(last_ns, self._machine.now_ns + int(after_s * NS_PER_S)), data))

    def hang(self):
        """Say nothing more until the server's mood is another."""
        self._hangs_in = self._server.destination.mood

    def sendall(self, data):
        """As a socket does it."""
        self._machine.sleep(self._machine.dice.uniform(0.0001, 0.002))
        if self._server.is_down(0.2):
            raise ConnectionResetError(104, "Connection reset by peer")
        self.sent += data
        self._server.take(self)

    def recv(self, size):
        """As a socket does it."""
        machine = self._machine
        until_ns = machine.now_ns + int((self._timeout_s or MAX_WAIT_S) * NS_PER_S)
        while not self._is_there():
            if machine.now_ns >= until_ns:
                raise TimeoutError("timed out")
            moment_ns = min(until_ns, self._arriving[0][0] if self._arriving else until_ns)
            machine.block(self._is_there, (moment_ns - machine.now_ns) / NS_PER_S)
        _, data = self._arriving[0]
        if isinstance(data, OSError):
            raise data
        if len(data) > size:
            self._arriving[0] = self._arriving[0][0], data[size:]
        elif data:
            self._arriving.popleft()
        return data[:size]

    def _is_there(self):
        if self._hangs_in is not None and self._server.destination.mood != self._hangs_in:
            self._hangs_in = None
            self.arrive(ConnectionResetError(104, "Connection reset by peer"), 0)
        return bool(self._arriving) and self._arriving[0][0] <= self._machine.now_ns

    def makefile(self, *_, **__):
        """As a socket does it."""
        return _Raw(self)

    def settimeout(self, timeout_s):
        """As a socket does it."""
        self._timeout_s = timeout_s

    def setsockopt(self, *_):
        """Set nothing."""

    def fileno(self):
        """Return a file that has never anything to read: that the server has closed shows with the next call."""
        return self._network.quiet

    def close(self):
        """Forget everything."""
        self._arriving.clear()


class _Raw(io.RawIOBase):
    def __init__(self, wire):
        super().__init__()
        self._wire = wire

    def readable(self):
        return True

    def readinto(self, buffer):
        data = self._wire.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class Network:
    """The servers by their names, and the way to them."""

    def __init__(self, machine):
        self.machine = machine
        self._servers = {}
        self.quiet = -1

    def add(self, kind, destination):
        """Put a server of a kind there."""
        self._servers[f"{destination.name}.test"] = kind(self.machine.dice, destination)

    @contextmanager
    def installed(self):
        """Stand before urllib3 for a while; `dashcam.machine` has the other way to a connection."""
        real = urllib3.util.connection.create_connection
        self.quiet, other = os.pipe()
        urllib3.util.connection.create_connection = self.connect
        try:
            yield
        finally:
            urllib3.util.connection.create_connection = real
            os.close(self.quiet)
            os.close(other)

    def connect(self, address, timeout=None, *_, **__):
        """Return a connection, as `socket.create_connection` does."""
        server, dice = self._servers[address[0]], self.machine.dice
        self.machine.sleep(dice.uniform(0.0001, 0.02))
        if server.destination.mood == "hangs" and dice.random() < 0.3:
            self.machine.block(lambda: server.destination.mood != "hangs", timeout)
            raise TimeoutError("timed out")
        if server.is_down(0.4):
            raise ConnectionRefusedError(111, "Connection refused")
        return Wire(self, server)


class Server:
    """What all servers have in common; one `answer`s a request, and says what it answers when it is `busy`."""

    def __init__(self, dice, destination):
        self.dice, self.destination = dice, destination

    def is_down(self, chance):
        """Whether nobody listens, or any more."""
        return self.destination.mood == "down" and self.dice.random() < chance

    def take(self, wire):
        """Take the requests that are complete."""
        while (request := self.request(wire.sent)) is not None:
            self._handle(wire, request)

    def _handle(self, wire, request):
        mood, dice = self.destination.mood, self.dice
        wait_s = dice.uniform(0.001, 5.0 if mood == "slow" else 0.05)
        if mood == "hangs":
            if dice.random() < 0.3:
                self.answer(request)
            return wire.hang()
        if mood == "down":
            return self._say(wire, self.busy(), wait_s)
        answer = self.answer(request)
        if mood != "loses answers":
            return self._say(wire, answer, wait_s)
        match dice.randrange(5):
            case 0:
                wire.arrive(ConnectionResetError(104, "Connection reset by peer"), wait_s)
            case 1:
                self._say(wire, answer[: dice.randrange(len(answer))], wait_s)
                wire.arrive(b"", wait_s)
            case 2:
                self._say(wire, dice.choice(GARBAGE), wait_s)
                wire.arrive(b"", wait_s)
            case 3:
                self._say(wire, self.busy(), wait_s)
            case _:
                wire.hang()
        return None

    def _say(self, wire, answer, wait_s):
        """Send an answer, whole or in pieces."""
        cuts = sorted(self.dice.randrange(len(answer) + 1) for _ in range(self.dice.choice((0, 0, 0, 1, 5))))
        for begin, end in zip([0, *cuts], [*cuts, len(answer)], strict=True):
            if begin < end:
                wire.arrive(answer[begin:end], wait_s)
                wait_s += self.dice.uniform(0, 0.02)

    def accept(self, id_, data):
        """Keep an event; return whether it is a new one."""
        accepted = self.destination.accepted
        is_new = id_ not in accepted
        assert accepted.setdefault(id_, data) == data, f"event {id_} was sent with two contents"
        return is_new


class _Http(Server):
    """A server that is asked by HTTP."""

    def request(self, sent):
        """Take a request out of what was sent: method, path and body; `None` while it is not complete."""
        head = HEAD.match(sent)
        length = int(found[1]) if head and (found := LENGTH.search(head[0])) else 0
        if not head or len(sent) < head.end() + length:
            return None
        body = bytes(sent[head.end() : head.end() + length])
        is_packed = b"\r\ncontent-encoding: gzip\r\n" in head[0].lower()
        method, path = head[1], head[2]
        del sent[: head.end() + length]
        return method, path, gzip.decompress(body) if is_packed else body

    def busy(self):
        """Say that it is too much, or that something is broken; or have a proxy say whatever it says."""
        if self.dice.random() < 0.5:
            page = b"<html>Please log in to this network</html>"
            return self.dice.choice((_http(502, page), _http(200, page), _http(200, b"{}"), self.dice.choice(GARBAGE)))
        return _http(self.dice.choice((429, 503)), b"{}", b"Retry-After: %d\r\n" % self.dice.choice((1, 60)))


def _http(status, body, headers=b""):
    return b"HTTP/1.1 %d Some\r\n%bContent-Length: %d\r\n\r\n%b" % (status, headers, len(body), body)


class ElasticsearchServer(_Http):
    """The `_bulk` request of Elasticsearch."""

    def answer(self, request):
        """Answer for each event."""
        method, path, body = request
        if method == b"GET":
            return _http(200, b'{"version":{"number":"9.5.3"}}')
        assert path.startswith(b"/_bulk?"), path
        lines = body.split(b"\n")
        pairs = list(zip(lines[:-1:2], lines[1:-1:2], strict=True))
        items = [{"create": self._keep(orjson.loads(action)["create"]["_id"], data)} for action, data in pairs]
        return _http(200, orjson.dumps({"items": items}))

    def _keep(self, id_, data):
        if self.destination.mood == "takes a part" and self.dice.random() < 0.4:
            return {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "full"}}
        if self.destination.is_strict and is_bad_line(data):
            return {"status": 400, "error": {"type": "document_parsing_exception", "reason": "odd"}}
        return {"status": 201 if self.accept(id_, data) else 409}


class LogglyServer(_Http):
    """The bulk endpoint of Loggly, which answers for a whole body."""

    def answer(self, request):
        """Take all lines or none."""
        _, path, body = request
        assert path.startswith(b"/bulk/a-token/tag/dashcam/"), path
        if self.destination.mood == "takes a part" and self.dice.random() < 0.5:
            return self.busy()
        lines = body.split(b"\n")
        if self.destination.is_strict and any(map(is_bad_line, lines)):
            return _http(400, b"odd")
        for line in lines:
            self.accept(orjson.loads(line)["event"]["id"], line)
        return _http(200, b'{"response" : "ok"}')


class ForwardServer(Server):
    """A server of the forward protocol, as fluentd; what it cannot read it would drop, so it is never strict."""

    def request(self, sent):
        """Take a message out of what was sent; `None` while it is not complete."""
        unpacker = msgpack.Unpacker(timestamp=0, ext_hook=lambda *_: None, strict_map_key=False)
        unpacker.feed(sent)
        try:
            message = unpacker.unpack()
        except msgpack.OutOfData:
            return None
        del sent[: unpacker.tell()]
        return message

    def answer(self, request):
        """Keep all entries, then acknowledge."""
        _, entries, option = request
        packed = gzip.decompress(entries) if option.get("compressed") else entries
        unpacker = msgpack.Unpacker(ext_hook=lambda *_: None, strict_map_key=False)
        unpacker.feed(packed)
        for _, record in unpacker:
            self.accept(record["event"]["id"], orjson.dumps(record))
        return msgpack.packb({"ack": option["chunk"]})

    def busy(self):
        """Acknowledge something else."""
        return msgpack.packb({"ack": "another"})


SERVERS = {"elasticsearch": ElasticsearchServer, "loggly": LogglyServer, "forward": ForwardServer}


def client_of(name, machine):
    """Return the backend of a name, as a shipper connects it."""
    match name:
        case "elasticsearch":
            return Elasticsearch(Client(Options(url=f"http://{name}.test:9200")), "default")
        case "loggly":
            machine.dice.random()  # without this draw, the seeds that are kept would play another story
            return Loggly(f"http://{name}.test", Secret("a-token"))
    return Fluentd([Peer(f"{name}.test")], clock=machine.monotonic)
