"""A gunicorn worker whose threads see whole requests only.

gunicorn's `gthread` gives a connection to a thread with its first byte, and the thread then waits for the rest: as many
clients that send half a request as there are threads, and nobody else is served. Here the main thread, which waits
for all sockets at once, gathers head and body, within bounds, and hands over what is complete; it is also the one that
waits for a client to close. Checked with gunicorn 27.0; `tests/test_slow_clients.py` notices when another one differs.
"""

import errno
import resource
import selectors
import time
from collections import deque
from contextlib import suppress
from functools import partial
from socket import SHUT_WR, socket
from typing import TYPE_CHECKING, Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from chassis.arrival import Arrival, State
from chassis.body import MAX_BODY_BYTES

if TYPE_CHECKING:
    from concurrent.futures import Future

MAX_REQUEST_S = 10.0  # from a request's first byte to its last
MAX_LINGER_S = 2.0  # for a client to read the answer and close
MAX_SEND_S = 10.0  # for a client to take an answer
MAX_HEAD_BYTES = 32 * 1024
SPARE_FILES = 64  # for what is no connection of a client: the spool, PostgreSQL, parts
MAX_FRAMED_BODY_BYTES = 2 * MAX_BODY_BYTES  # chunks have a size and two line ends each

_REFUSALS = {
    State.PARTIAL: b"408 Request Timeout",
    State.ENDLESS_HEAD: b"431 Request Header Fields Too Large",
    State.ENDLESS_BODY: b"413 Content Too Large",
}


class Connection(TConn):  # type: ignore[misc]
    """A client's connection."""

    arrival: Arrival
    is_whole = True

    def init(self) -> None:
        """Prepare for a thread, which never waits for a client without end."""
        super().init()
        self.sock.settimeout(MAX_SEND_S)


class BufferingWorker(ThreadWorker):  # type: ignore[misc]
    """gthread behind a buffer for requests; use it as gunicorn's `worker_class`. It speaks HTTP without TLS."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.worker_connections = max(16, min(self.cfg.worker_connections, files - SPARE_FILES))
        self._lingering: deque[Connection] = deque()

    def accept(self, listener: socket) -> None:
        """Accept a connection and gather its first request; where there is no room, the slowest one makes it."""
        try:
            sock, address = listener.accept()
        except OSError as fault:
            if fault.errno in {errno.EMFILE, errno.ENFILE}:
                self._make_room()
            elif fault.errno not in {errno.EAGAIN, errno.ECONNABORTED}:
                raise
            return
        self.nr_conns += 1
        self._gather(Connection(self.cfg, sock, address, listener.getsockname()))
        if self.nr_conns >= self.worker_connections:
            self._make_room()

    def on_client_socket_readable(self, conn: Connection, client: socket) -> None:
        """Gather the next request of a kept connection."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._gather(conn)

    def finish_request(self, conn: Connection, fs: "Future[Any]") -> None:
        """Keep a connection for its next request, or close it without waiting for the client here."""
        is_kept = not fs.cancelled() and not fs.exception() and fs.result()
        if not is_kept:
            self._linger(conn)
        elif read_ahead := conn.parser.unreader.take_buffered():
            self._gather(conn, read_ahead)
        else:
            super().finish_request(conn, fs)

    def handle_request(self, req: Any, conn: Connection) -> Any:
        """Answer a request; behind one that was not read to its end no other can be found."""
        if not conn.is_whole:
            req.force_close()
        return super().handle_request(req, conn)

    def murder_pending(self) -> None:
        """Close the connections whose time is over."""
        now = time.monotonic()
        given_up_at = now if self.alive else now + MAX_REQUEST_S - MAX_LINGER_S  # a stopping worker waits no longer
        while self.pending_conns and self.pending_conns[0].timeout <= given_up_at:
            self._refuse(self.pending_conns[0], State.PARTIAL)
        while self._lingering and self._lingering[0].timeout <= now:
            self._end_lingering(self._lingering[0])

    def _gather(self, conn: Connection, read_ahead: bytes = b"") -> None:
        conn.arrival = Arrival(MAX_HEAD_BYTES, MAX_FRAMED_BODY_BYTES)
        conn.sock.settimeout(0)
        conn.timeout = time.monotonic() + MAX_REQUEST_S
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._receive, conn))
        if read_ahead:
            self._advance(conn, read_ahead)

    def _receive(self, conn: Connection, _: socket) -> None:
        data = _read(conn)
        if data:
            self._advance(conn, data)
        elif data is not None:
            self._forget(conn)
            self._close(conn)

    def _advance(self, conn: Connection, data: bytes) -> None:
        was_waited_for = conn.arrival.is_waited_for
        state = conn.arrival.add(data)
        if state in {State.ENDLESS_HEAD, State.ENDLESS_BODY}:
            self._refuse(conn, state)
        elif state is not State.PARTIAL:
            self._hand_over(conn, is_whole=state is State.COMPLETE)
        elif conn.arrival.is_waited_for and not was_waited_for:
            with suppress(OSError):
                conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _hand_over(self, conn: Connection, *, is_whole: bool) -> None:
        self._forget(conn)
        conn.data_ready = True
        conn.is_whole = is_whole
        conn.init()
        conn.parser.unreader.unread(bytes(conn.arrival.data))
        del conn.arrival
        self.enqueue_req(conn)

    def _refuse(self, conn: Connection, state: State) -> None:
        self._forget(conn)
        if conn.arrival.data:
            with suppress(OSError):
                conn.sock.send(b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % _REFUSALS[state])
        self._linger(conn)

    def _forget(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)

    def _make_room(self) -> None:
        # Whoever has taken longest over a request goes first, then whoever has kept a connection longest without one.
        if self.pending_conns:
            self._forget(conn := self.pending_conns[0])
        elif self.keepalived_conns:
            self.poller.unregister((conn := self.keepalived_conns.popleft()).sock)
        elif self._lingering:
            return self._end_lingering(self._lingering[0])
        else:
            return None
        return self._close(conn)

    def _linger(self, conn: Connection) -> None:
        # RFC 9112, section 9.6: closing at once makes the kernel reset the connection, which takes the answer back.
        try:
            conn.sock.settimeout(0)
            conn.sock.shutdown(SHUT_WR)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._drain, conn))
        except (OSError, ValueError):
            self._close(conn)
            return
        conn.timeout = time.monotonic() + MAX_LINGER_S
        self._lingering.append(conn)

    def _drain(self, conn: Connection, _: socket) -> None:
        if _read(conn) == b"":
            self._end_lingering(conn)

    def _end_lingering(self, conn: Connection) -> None:
        self._lingering.remove(conn)
        self.poller.unregister(conn.sock)
        self._close(conn)

    def _close(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.close()


def _read(conn: Connection) -> bytes | None:
    """Return the next bytes, none at the end of the connection, or None where there is nothing to read now."""
    if conn.sock.fileno() < 0:
        return None  # closed to make room since the poller saw it readable
    try:
        return bytes(conn.sock.recv(64 * 1024))
    except BlockingIOError:
        return None
    except OSError:
        return b""
