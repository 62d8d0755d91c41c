"""HTTP whose whole answer arrives within the deadline, however slowly its bytes come.

A time-out of `requests` bounds the wait for the next byte, so a server that sends one byte a second, in its headers
too, holds the caller for ever. Here each read waits no longer than what is left.
"""

import io
from http.client import HTTPResponse
from socket import socket
from typing import Any, BinaryIO, cast

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from chassis.deadline import remaining_s


class _TimedReader(io.RawIOBase):
    def __init__(self, source: socket) -> None:
        self._socket = source
        self._raw = source.makefile("rb", buffering=0)  # keeps the socket open until it is closed itself

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if not (left_s := remaining_s()):
            raise TimeoutError("the deadline is over")
        self._socket.settimeout(left_s)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    def __init__(self, source: socket) -> None:
        self._socket = source

    def makefile(self, _mode: str) -> BinaryIO:
        return cast("BinaryIO", io.BufferedReader(_TimedReader(self._socket)))


class _TimedResponse(HTTPResponse):
    def __init__(self, sock: socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(cast("socket", _TimedSocket(sock)), *args, **kwargs)


class _TimedConnection(HTTPConnection):
    response_class = _TimedResponse


class _TimedTLSConnection(HTTPSConnection):
    response_class = _TimedResponse


class _TimedPool(HTTPConnectionPool):
    ConnectionCls = _TimedConnection


class _TimedTLSPool(HTTPSConnectionPool):
    ConnectionCls = _TimedTLSConnection


class TimedAdapter(HTTPAdapter):
    """An adapter for `requests.Session.mount` that keeps the deadline; it never repeats a request itself."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _TimedPool, "https": _TimedTLSPool}
