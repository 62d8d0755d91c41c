"""Forward servers for tests, written from the protocol's text alone: an orderly one, and one for each bad habit."""

import contextlib
import gzip
import io
import os
import select
import socket
import ssl
import threading
from hashlib import sha512

import msgpack


class Server:
    """Gives each connection to `handle(sock)`, in a thread of its own; a connection ends with its handler."""

    def __init__(self, handle, *, tls=None, port=0):
        self.handle = handle
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", port))
        self._threads = [threading.Thread(target=self._accept)]
        self._open = set()
        self.port = self._listener.getsockname()[1]
        self.connections = 0

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Listen no more and end the connections; a second time does nothing."""
        if not self._threads:
            return
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(10)  # it starts the others
        while self._threads:
            self._threads.pop().join(10)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                self._open.add(sock)
                thread = threading.Thread(target=self._serve, args=[sock])
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock):
        with contextlib.suppress(OSError), sock:
            if not self._tls:
                self.handle(sock)
            else:
                with self._tls.wrap_socket(sock, server_side=True) as wrapped:
                    self.handle(wrapped)
        self._open.discard(sock)


def certified(certificate):
    """The server's side of TLS with a certificate made by trustme."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def read(sock):
    """Each msgpack value that comes in, with the bytes it took, until the other side closes."""
    unpacker, seen = msgpack.Unpacker(), 0
    while data := sock.recv(1 << 20):
        unpacker.feed(data)
        for value in unpacker:
            yield value, unpacker.tell() - seen
            seen = unpacker.tell()


def say(sock, value):
    sock.sendall(msgpack.packb(value))


class Orderly:
    """Takes and acknowledges every message, but for those over `limit_bytes`, which it drops without a word."""

    def __init__(self, *, limit_bytes=None, keep=True):
        self.limit_bytes = limit_bytes
        self.keep = keep
        self.messages = []

    def __call__(self, sock):
        for (tag, body, option), size_bytes in read(sock):
            if self.limit_bytes is None or size_bytes <= self.limit_bytes:
                self.messages.append((tag, body, option))
                say(sock, {"ack": option["chunk"]})
            if not self.keep:
                return

    @property
    def records(self):
        """Tag, EventTime and record of each entry of the messages, in the order they came."""
        return [(tag, *entry) for tag, body, option in self.messages for entry in entries(body, option)]


def entries(body, option):
    """The `[time, record]` pairs of a PackedForward body."""
    if option.get("compressed") == "gzip":
        body = gzip.decompress(body)
    return list(msgpack.Unpacker(io.BytesIO(body)))


class Guarded:
    """Shakes hands before it hands the connection on; `key` is what it thinks the shared key is."""

    def __init__(self, then, *, key="sesame", users=None, keepalive=True, proves=True):
        self.then, self.key, self.users = then, key, users or {}
        self.keepalive, self.proves = keepalive, proves

    def __call__(self, sock):
        nonce, auth = os.urandom(16), os.urandom(16)
        say(sock, ["HELO", {"nonce": nonce, "auth": auth, "keepalive": self.keepalive}])
        ping, _ = next(read(sock))
        if ping[0] != "PING":
            say(sock, ["PONG", False, "invalid ping message", "", ""])
            return
        _, name, salt, proof, user, password = ping
        if proof != digest(salt, name, nonce, self.key):
            say(sock, ["PONG", False, "shared_key mismatch", "", ""])
        elif self.users and password != digest(auth, user, self.users.get(user, os.urandom(8))):
            say(sock, ["PONG", False, "username/password mismatch", "", ""])
        else:
            say(
                sock,
                ["PONG", True, "", "aggregator", digest(salt, "aggregator", nonce, self.key if self.proves else "")],
            )
            self.then(sock)


def digest(*parts):
    return sha512(b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)).hexdigest()


def never_acknowledges(sock):
    for _ in read(sock):
        pass


def acknowledges_another_chunk(sock):
    for _ in read(sock):
        say(sock, {"ack": "bm90IHlvdXJzIGF0IGFsbA=="})


def talks_http(sock):
    sock.recv(1 << 20)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def talks_tls(sock):
    sock.recv(1 << 20)
    sock.sendall(bytes.fromhex("15030300020232"))


def says_what_is_no_msgpack(sock):
    sock.recv(1 << 20)
    sock.sendall(b"\xc1" * 99)


def says_a_flood(sock):
    sock.recv(1 << 20)
    sock.sendall(b"\xdb\x7f\xff\xff\xff" + b"x" * 200_000)


def drips(sock, pause_s=0.02):
    """One byte of the acknowledgement at a time, and the next only when the client is still there."""
    (_, _, option), _ = next(read(sock))
    for byte in msgpack.packb({"ack": option["chunk"]}):
        sock.sendall(bytes([byte]))
        sock.settimeout(pause_s)
        with contextlib.suppress(TimeoutError):
            if not sock.recv(1 << 10):
                return


def resets(sock):
    sock.recv(1 << 10)
    abort(sock)


def abort(sock):
    """Have the close at the handler's end be a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes.fromhex("0100000000000000"))


def reads_nothing(sock):
    """Until the client hangs up."""
    waiting = select.poll()
    waiting.register(sock, select.POLLRDHUP)
    waiting.poll(10_000)


def closes(sock):
    sock.recv(1 << 20)
