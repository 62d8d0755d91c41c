"""The stand-in's HTTP server: one thread a connection, which may be cut or left hanging at any time."""

import socket
import struct
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from dashcam.testing.fake_loggly.service import Request, Service, kind_of


class Server(ThreadingHTTPServer):
    """Listens on one address; closing it cuts every connection and waits for their threads."""

    daemon_threads = False

    def __init__(self, host: str, port: int, service: Service) -> None:
        self.service = service
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        super().__init__((host, port), _Handler)

    def remember(self, connection: socket.socket) -> None:
        """Cut this connection when the server closes."""
        with self._lock:
            self._open.add(connection)
            if self.closing.is_set():
                reset(connection)

    def forget(self, connection: socket.socket) -> None:
        """Its client has closed it."""
        with self._lock:
            self._open.discard(connection)

    def shutdown_request(self, request: Any) -> None:
        """Close without the FIN that the base class sends first, so that a reset is one."""
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that has gone."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        """Give back the port and every thread."""
        with self._lock:
            self.closing.set()
            for connection in self._open:
                reset(connection)
        super().server_close()


def reset(connection: socket.socket) -> None:
    """Let a connection end with RST, as a killed process does when it has not read everything."""
    # With a linger time of 0 closing sends RST (socket(7)); the shutdown wakes who reads from it.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with suppress(OSError):  # the client was faster
        connection.shutdown(socket.SHUT_RD)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: two would wait for each other's acknowledgement (RFC 896)
    disable_nagle_algorithm = True

    def setup(self) -> None:
        self.server.remember(self.request)
        super().setup()

    def finish(self) -> None:
        self.server.forget(self.request)
        with suppress(OSError):  # the client has gone, its answer with it
            super().finish()

    def _serve(self) -> None:
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        request = Request(
            self.command, unquote(url.path), dict(parse_qsl(url.query)), headers, body, self.address_string()
        )
        service = self.server.service
        fault = service.faults[kind_of(request)].take()
        if fault == "hang":
            self.server.closing.wait()
        if fault == "lost-answer":
            service.answer(request)
        if fault in {"hang", "reset", "lost-answer"}:
            service.answers[fault] += 1
            self.close_connection = True
            reset(self.connection)
            return
        response = service.answer(request, fault)
        service.answers[str(response.status)] += 1
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        if response.retry_after:
            self.send_header("Retry-After", response.retry_after)
        self.end_headers()
        self.wfile.write(response.body)

    do_GET = do_POST = _serve  # noqa: N815  # names of the standard library

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The time by the stand-in's own clock."""
        return super().date_time_string(self.server.service.archive.now() / 1e9 if timestamp is None else timestamp)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
