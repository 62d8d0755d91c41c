"""A connection to a forward server, from its dialling to its end, and the acknowledgements that come over it."""

import os
import select
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import ormsgpack

from dashcam import machine
from dashcam.destinations.fluentd.handshake import check_pong, make_ping, read_helo
from dashcam.destinations.fluentd.message import Entries, Message, pack_message
from dashcam.destinations.fluentd.peer import Peer
from dashcam.errors import BackendUnavailable, BatchRejected

ANSWER_BYTES = 64 * 1024  # the longest answer, a PONG with its reason, has some hundred; more is another protocol
NOTHING = object()

WHY_RESET = "It is stopping, full, or cannot read what was sent: see its log."
WHY_SILENT = "it hangs, or its buffer is full: see its log, and whether Elasticsearch accepts what it sends."


class Reset(BackendUnavailable):
    """The server closed the connection with messages under way: it is stopping, full, or cannot read them."""


class Silent(BackendUnavailable):
    """The server kept the connection and said nothing in time."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds until a server that says nothing is given up."""

    connect_s: float = 10.0
    handshake_s: float = 10.0
    acknowledge_s: float = 30.0  # fluentd answers in milliseconds, unless its buffer is full and blocks
    probe_s: float = 5.0


class Connection:
    """A connection to one server; used by one thread at a time, and closed after its first error."""

    def __init__(self, peer: Peer, sock: socket.socket, timeouts: Timeouts) -> None:
        self.peer = peer
        self.keeps_alive = True
        self._sock = sock
        self._timeouts = timeouts
        # Bytes that are not UTF-8 must still be shown in an error.
        self._answers = msgpack.Unpacker(max_buffer_size=ANSWER_BYTES, unicode_errors="surrogateescape")

    def close(self) -> None:
        """Close the connection at once."""
        self._sock.close()

    def is_usable(self) -> bool:
        """Return whether an idle connection can be used again: neither its end nor a late answer came in."""
        waiting = select.poll()
        waiting.register(self._sock, select.POLLIN)
        return not waiting.poll(0)

    def greet(self) -> None:
        """Prove the shared key and the user, and have the server prove the key."""
        until_s = machine.monotonic() + self._timeouts.handshake_s
        try:
            greeting = self._read(until_s)
        except Silent:
            raise Silent(
                f"{self.peer} sent no HELO in {self._timeouts.handshake_s:g} s: either it has no <security>, then "
                "leave FLUENTD_SHARED_KEY empty and the user out of FLUENTD_URL, or it hangs."
            ) from None
        helo = read_helo(self.peer, greeting)
        # A server refuses a client of its own name, as fluentd on the same host would be.
        salt, name = os.urandom(16).hex(), f"dashcam.{socket.gethostname()}"
        self._send(ormsgpack.packb(make_ping(self.peer, helo, name, salt)), until_s)
        check_pong(self.peer, helo, salt, self._read(until_s))
        self.keeps_alive = helo.keeps_alive

    def deliver(self, messages: Sequence[Message], *, doubtful: bool = False) -> None:
        """Send messages, each of at least one event, and return when the server acknowledged all of them.

        A server that drops a message without a word is found out by an empty message behind it, since answers come
        in order: `BatchRejected`. `doubtful` sends that one at once instead of after the wait.
        """
        waiting = {message.chunk for message in messages}
        wait_s = self._timeouts.acknowledge_s
        self._send(b"".join(message.data for message in messages), machine.monotonic() + wait_s)
        if not doubtful:
            until_s = machine.monotonic() + wait_s
            try:
                while waiting:
                    waiting.remove(self._read_acknowledgement(waiting, until_s))
            except Silent:
                wait_s = self._timeouts.probe_s
            else:
                return
        self._probe(messages[0].tag, waiting, wait_s)
        for dropped in (message for message in messages if message.chunk in waiting):
            raise BatchRejected(
                f"{self.peer} dropped a message of {dropped.events} events, {len(dropped.data)} bytes, without "
                "an answer, and acknowledged the next one: its chunk_size_limit is smaller."
            )

    def ask_for_answer(self, tag: str) -> None:
        """Send an empty message and return when it is acknowledged."""
        self._probe(tag, set(), self._timeouts.probe_s)

    def _probe(self, tag: str, waiting: set[str], wait_s: float) -> None:
        probe = pack_message(tag, Entries())
        until_s = machine.monotonic() + wait_s
        self._send(probe.data, until_s)
        while (chunk := self._read_acknowledgement({probe.chunk, *waiting}, until_s)) != probe.chunk:
            waiting.remove(chunk)

    def _read_acknowledgement(self, waiting: set[str], until_s: float) -> str:
        match self._read(until_s):
            case {"ack": str() as chunk}:
                if chunk in waiting:
                    return chunk
                raise BackendUnavailable(
                    f"{self.peer} acknowledged {chunk!r:.80}, a chunk that is not in flight: {self.peer.doubt}"
                )
            case ["HELO", *_]:
                raise BackendUnavailable(
                    f"{self.peer} asks for a handshake: set FLUENTD_SHARED_KEY to the shared_key of its <security>."
                )
            case answer:
                raise BackendUnavailable(
                    f"{self.peer} answered {answer!r:.80} instead of an acknowledgement: {self.peer.doubt}"
                )

    def _send(self, data: bytes, until_s: float) -> None:
        self._sock.settimeout(max(until_s - machine.monotonic(), 0.001))
        try:
            self._sock.sendall(data)
        except TimeoutError:
            raise Silent(f"{self.peer} accepts no more data: {WHY_SILENT}") from None
        except ConnectionError:
            return  # the next read reports it, after the last message of the server
        except OSError as fault:
            raise Reset(f"{self.peer} broke off: {_reason(fault)}. {WHY_RESET}") from None

    def _read(self, until_s: float) -> Any:
        try:
            while (answer := next(self._answers, NOTHING)) is NOTHING:
                self._answers.feed(self._receive(until_s))
        except (ValueError, msgpack.UnpackException) as fault:
            kind = type(fault).__name__
            raise BackendUnavailable(f"{self.peer} sent what is not msgpack ({kind}): {self.peer.doubt}") from None
        return answer

    def _receive(self, until_s: float) -> bytes:
        left_s = until_s - machine.monotonic()
        try:
            # A server that sends byte after byte never lets a read time out, so the time left is looked at too.
            self._sock.settimeout(max(left_s, 0.001))
            data = self._sock.recv(ANSWER_BYTES) if left_s > 0 else None
        except TimeoutError:
            data = None
        except OSError as fault:
            raise Reset(f"{self.peer} broke off before it answered: {_reason(fault)}. {WHY_RESET}") from None
        if data is None:
            raise Silent(f"{self.peer} gave no answer in time: {WHY_SILENT}")
        if not data:
            raise Reset(f"{self.peer} closed the connection before it answered. {WHY_RESET}")
        return data


def dial(peer: Peer, timeouts: Timeouts) -> Connection:
    """A new connection, TLS and handshake done; raises `BackendUnavailable` with the step that failed."""
    try:
        sock = machine.create_connection((peer.host, peer.port), timeouts.connect_s)
    except OSError as fault:
        raise BackendUnavailable(
            f"{peer} cannot be reached: {_reason(fault)}. Check FLUENTD_URL and fluentd."
        ) from None
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection = Connection(peer, _secure(sock, peer, peer.tls) if peer.tls else sock, timeouts)
    try:
        if peer.wants_handshake:
            connection.greet()
    except Reset as fault:
        connection.close()
        raise BackendUnavailable(f"In the handshake {fault}") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _secure(sock: socket.socket, peer: Peer, tls: ssl.SSLContext) -> ssl.SSLSocket:
    try:
        return tls.wrap_socket(sock, server_hostname=peer.host)
    except ssl.SSLCertVerificationError as fault:
        sock.close()
        raise BackendUnavailable(
            f"{peer} shows a certificate that is not trusted: {fault.verify_message.rstrip('.')}. It must be valid, "
            "name the host of FLUENTD_URL, and be signed by the CA in FLUENTD_CA."
        ) from None
    except OSError as fault:
        sock.close()
        raise BackendUnavailable(
            f"{peer} does not speak TLS: {_reason(fault)}. For a connection without TLS, use forward://."
        ) from None


def _reason(fault: OSError) -> str:
    return str(fault.strerror or fault or type(fault).__name__)
