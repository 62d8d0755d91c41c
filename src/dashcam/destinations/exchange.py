"""HTTP exchanges that end: one time for a whole answer, and one size for it after decoding.

requests bounds only the wait for the next byte, so a server that trickles, or sends `100 Continue` without an end,
would hold a caller for ever; and it decodes whatever comes, so a small answer could become gigabytes.
"""

import io
import time
import zlib
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from dashcam import machine

MAX_ANSWER_BYTES = 16 << 20  # a page of 1,000 events of 16 kB; who asks for more asks for smaller pages
CHUNK_BYTES = 64 << 10


class AnswerTooLargeError(requests.RequestException):
    """The answer is larger than it may be."""


def new_session(connections: int = 1) -> requests.Session:
    """Return a session whose read timeout bounds a whole answer, head and body; `connections` are kept for each host.

    Ask with `stream=True` and read the body by `read_answer`.
    """
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(pool_connections=1, pool_maxsize=connections))
    return session


def read_answer(response: requests.Response, max_bytes: int = MAX_ANSWER_BYTES) -> bytes:
    """Return the body of an answer, decoded.

    Raises `AnswerTooLargeError`, or what requests and urllib3 raise for an answer that ends early or comes too late.
    """
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in {"gzip", "x-gzip", "deflate"}:
        decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, whichever it is
    elif encoding in {"identity", ""}:
        decoder = None
    else:
        raise requests.exceptions.ContentDecodingError(f"the answer is encoded as {encoding!r:.40}")
    body = bytearray()
    try:
        while part := response.raw.read(CHUNK_BYTES, decode_content=False):
            body += decoder.decompress(part, max_bytes + 1 - len(body)) if decoder else part
            if len(body) > max_bytes:
                raise AnswerTooLargeError(f"the answer is larger than {max_bytes >> 20} MiB")
    except zlib.error as fault:
        raise requests.exceptions.ContentDecodingError(f"the answer is not {encoding}: {fault}") from None
    finally:
        response.close()
    return bytes(body)


def release(fault: BaseException) -> None:
    """Drop the tracebacks of an exception and of those behind it.

    Frames of requests and urllib3 refer to their own exceptions. Such a cycle keeps the body of a request until the
    next full garbage collection: the shipper held 26 bodies of 4 MB where four were under way.
    """
    behind: BaseException | None = fault
    while behind:
        behind.__traceback__ = None
        behind = behind.__cause__ or behind.__context__


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a `Retry-After` header, a number or a date (RFC 9110, section 10.2.3), if there is one."""
    value = headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    moment_s = parse_date(value)
    return None if moment_s is None else max(0.0, moment_s - time.time())


def parse_date(text: str) -> float | None:
    """Return an HTTP date (RFC 9110, section 5.6.7) in seconds since the epoch; `None` for any other text.

    >>> parse_date("Sun, 06 Nov 1994 08:49:37 GMT")
    784111777.0
    """
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


class _TimedReader(io.RawIOBase):
    """Reads a socket until a moment of the monotonic clock, however often something comes."""

    def __init__(self, sock: Any, deadline_s: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)  # keeps the socket open until the body is read
        self._deadline_s = deadline_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = self._deadline_s - machine.monotonic()
        if left_s <= 0:
            raise TimeoutError("the answer is not complete in time")
        self._sock.settimeout(left_s)
        return cast("int | None", self._raw.readinto(buffer))

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    """A connected socket as `http.client` reads it; everything else is the socket's own."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.deadline_s = float("inf")

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._sock, self.deadline_s))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = cast("Any", _TimedSocket(self.sock))

    def getresponse(self) -> Any:
        # urllib3 has put the read timeout here just before it asks for the answer.
        if self.sock is not None and isinstance(self.timeout, int | float):
            cast("Any", self.sock).deadline_s = machine.monotonic() + self.timeout
        return super().getresponse()


class _SecureConnection(_Connection, HTTPSConnection):
    """The same over TLS: by the order of its bases, it connects an `HTTPSConnection`."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        return manager
