"""Servers in the place of parts: the real one in a thread, and hostile ones."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server


class _QuietHandler(WSGIRequestHandler):
    def log(self, *args):
        pass


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """The address at which an app answers."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_QuietHandler)
    thread = Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def hostile(behave: Callable[[socket.socket, Event], None]) -> Iterator[str]:
    """The address of a server that treats each connection as told; the event is set when the test is over."""
    is_over = Event()
    listener = socket.create_server(("127.0.0.1", 0))
    sockets, threads = [listener], []

    def accept():
        with suppress(OSError):  # the listener is shut down at the end
            while True:
                connection, _ = listener.accept()
                start(attend, connection)

    def attend(connection):
        sockets.append(connection)
        with suppress(OSError):  # the caller went away
            behave(connection, is_over)
            connection.shutdown(socket.SHUT_RDWR)

    def start(work, *args):
        threads.append(Thread(target=work, args=args))
        threads[-1].start()

    start(accept)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    is_over.set()
    for opened in sockets:
        with suppress(OSError):
            opened.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(10)
    for opened in sockets:
        opened.close()


def answering(answer: bytes) -> Callable[[socket.socket, Event], None]:
    """Reads a request, sends these bytes and hangs up."""

    def behave(connection, is_over):
        connection.recv(65536)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65536)

    return behave


def hang(connection: socket.socket, is_over: Event) -> None:
    """Never answers."""
    is_over.wait()


def reset(connection: socket.socket, is_over: Event) -> None:
    """Breaks the connection off."""
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def dripping(start: bytes) -> Callable[[socket.socket, Event], None]:
    """Sends a start, then a byte every now and then."""

    def behave(connection, is_over):
        connection.sendall(start)
        while not is_over.wait(0.05):
            connection.sendall(b"x")

    return behave


def flood(connection: socket.socket, is_over: Event) -> None:
    """Sends an answer that does not end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not is_over.is_set():
        connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
