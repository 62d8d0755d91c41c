"""The response of a WSGI application, from its status to the last byte that the server took.

`Response` passes status and headers on with the request ID, and gives the server the body as an iterable of the same
kind, whose end is the end of the span. Whatever application and server hand each other passes through as it is: what
cannot be understood is not recorded, and what one of them raises reaches the other.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from dashcam.record.context.correlation import HEADER
from dashcam.record.context.current import attach, detach, get_current
from dashcam.record.logs import unhandled
from dashcam.record.servers.server import ServerSpan
from dashcam.record.values.interruption import is_interruption

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

    Describe = Callable[[ServerSpan, str, list[tuple[str, str]]], list[tuple[str, str]]]

HEADER_KEY = "HTTP_X_REQUEST_ID"
MAX_SIZE_DIGITS = 18
_STATUSES_WITHOUT_BODY = {204, 304}
_NAME = HEADER.lower()


class Response:
    """A response, given the span of its request and the `start_response` of its server.

    `describe` puts status and headers on the span where somebody else looks at it, and returns the headers to be sent.
    """

    __slots__ = (
        *("_describe", "_is_begun", "_is_complete", "_is_head", "_is_test", "_length", "_outer_error", "_pending"),
        *("_request_id", "_sent", "_start_response", "_wrapper", "server"),
    )

    def __init__(
        self,
        server: ServerSpan,
        environ: MutableMapping[str, Any],
        start_response: "StartResponse",
        describe: "Describe | None" = None,
    ) -> None:
        self.server, self._start_response, self._describe = server, start_response, describe
        self._request_id = environ[HEADER_KEY]
        self._is_head = environ.get("REQUEST_METHOD") == "HEAD"
        self._wrapper = environ.get("wsgi.file_wrapper")
        # A test client closes no response that a test leaves open.
        self._is_test = getattr(start_response, "__module__", "") == "werkzeug.test"
        self._outer_error = sys.exception()  # which was handled before the request
        self._length: int | None = None  # by the headers
        self._sent = self._pending = 0  # bytes that the server asked on after, and those that it may be sending
        self._is_begun = self._is_complete = False  # the server has a part, the application has no more

    def start(self, status: str, headers: list[tuple[str, str]], *others: Any, **named: Any) -> Any:
        """Pass status and headers on, with the request ID among them, as `start_response` of PEP 3333."""
        if hasattr(type(headers), "__iter__"):
            headers = list(headers)
            try:
                headers = self._understand(status, headers)
            except Exception as fault:  # the server says what is wrong with them
                if is_interruption(fault):
                    raise
        return partial(self._write, self._start_response(status, headers, *others, **named))

    def _understand(self, status: object, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Note status and length, and return the headers that are to be sent."""
        code = status[:3] if isinstance(status, str) else ""
        self.server.request.status = int(code) if code.isdecimal() else 0
        if self._describe:
            headers = self._describe(self.server, cast("str", status), headers)
        given = {name.lower(): value for name, value in headers}
        self._length = size(given.get("content-length"))
        return with_id(headers, self._request_id) if _NAME in given else [*headers, (HEADER, self._request_id)]

    def _write(self, write: Callable[[bytes], object], data: bytes) -> object:
        """Pass a part on by the function that `start_response` returned, and count it."""
        written = write(data)
        self._sent, self._is_begun = self._sent + _bytes_in(data), True
        return written

    def body(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return the body as an iterable of the same kind, whose end is the end of the span."""
        if isinstance(self._wrapper, type) and issubclass(type(body), self._wrapper):
            self._send_file(body)
            return body
        return _SizedBody(self, body) if hasattr(type(body), "__len__") else _Body(self, body)

    def _send_file(self, file: Any) -> None:
        """Have the `close` of a file of the server's own kind end the span: the server may send it without a look."""
        self._is_complete, self._pending = True, self._length or 0
        try:
            file.close = partial(self.close, getattr(file, "close", None))
        except Exception as fault:  # not a Python class: when it is closed, nobody is told
            if is_interruption(fault):
                raise
            self.end()

    def give(self, part: object) -> None:
        """Note that the server is given a part."""
        self._is_begun, self._pending = True, _bytes_in(part)
        if self._is_test and self._sent + self._pending == self._length:
            self.end()

    def take(self) -> None:
        """Note that the server asks for the next part: it has taken the former one."""
        self._sent, self._pending = self._sent + self._pending, 0

    def complete(self) -> None:
        """Note that there are no more parts."""
        self._is_complete = True
        if self._is_test:
            self.end()

    def close(self, close: Callable[[], object] | None) -> None:
        """Close a body by its own function, and end the span by what the server met while it sent it."""
        problem = sys.exception()
        token = attach(self.server.context)
        try:
            if close is not None:
                close()
        except BaseException as error:
            self.fail(error)
            raise
        finally:
            detach(token)
            self.end(problem)

    def fail(self, error: BaseException) -> None:
        """End the span with an exception of the application.

        A server sends the status with the first part of the body: without one, it answers by itself (PEP 3333).
        """
        if not self.server.is_open:  # closing the body failed for a test client, whose span has ended
            unhandled.record(error)
            return
        self.server.fail(error)
        self.server.request.is_incomplete = True
        if not self._is_begun:
            self.server.request.status = 0
        self._end_span()

    def end(self, problem: BaseException | None = None, *, is_closed: bool = True) -> None:
        """End the span, with the exception that the server met, if any; `is_closed` if the server closed the body."""
        if not self.server.is_open:
            return
        request, has_met = self.server.request, problem is not None and problem is not self._outer_error
        # The client has gone; waitress has an exception of its own for that.
        if has_met and (isinstance(problem, OSError) or type(problem).__name__ == "ClientDisconnected"):
            request.is_incomplete = request.is_disconnected = True
        elif has_met and not isinstance(problem, StopIteration | GeneratorExit):
            self.server.fail(cast("BaseException", problem))
        elif not self._is_complete and self._length != self._sent + self._pending and self._has_body():
            request.is_incomplete, request.is_disconnected = True, is_closed
        self._end_span()

    def _end_span(self) -> None:
        request = self.server.request
        if request.status:
            sent = self._sent if request.is_incomplete else self._sent + self._pending
            request.response_bytes = sent if self._has_body() else 0
        self.server.end()

    def _has_body(self) -> bool:
        return not self._is_head and self.server.request.status not in _STATUSES_WITHOUT_BODY


class _Parts:
    """One way through a body: each part is made in the context that the part before it left."""

    __slots__ = ("_body", "_context", "_parts", "_response")

    def __init__(self, response: Response, body: Any) -> None:
        self._response, self._body = response, body
        self._context = response.server.context
        self._parts: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        response = self._response
        response.take()
        token = attach(self._context)
        try:
            if self._parts is None:
                self._parts = iter(self._body)
            part = next(self._parts)
        except StopIteration:
            response.complete()
            raise
        except BaseException as error:
            response.fail(error)
            raise
        finally:
            self._context = get_current()
            detach(token)
        response.give(part)
        return part


class _Body(_Parts):
    """A body that is made part by part."""

    __slots__ = ()

    def close(self) -> None:
        """Close the body."""
        self._response.close(self._close)

    def _close(self) -> None:
        if (close := getattr(self._body, "close", None)) is not None:
            close()

    def __del__(self) -> None:
        self._response.end(is_closed=False)  # a server that does not close what it was given


class _SizedBody(_Body):
    """A body of so many parts: a server may ask for their number, to send a length."""

    __slots__ = ()

    def __iter__(self) -> Iterator[bytes]:
        return _Parts(self._response, self._body)

    def __len__(self) -> int:
        return len(self._body)


def with_id(headers: list[tuple[str, str]], request_id: str) -> list[tuple[str, str]]:
    """Return headers with the request ID in place of another one."""
    others = [header for header in headers if header[0].lower() != _NAME]
    return [*others, (HEADER, request_id)]


def size(text: object) -> int | None:
    """Return the number of bytes that a header says, None if it says none."""
    is_size = isinstance(text, str) and text.isdecimal() and len(text) <= MAX_SIZE_DIGITS
    return int(cast("str", text)) if is_size else None


def _bytes_in(part: object) -> int:
    """Return the number of bytes of a part, 0 for what is none: the server says so."""
    try:
        return len(part) if isinstance(part, bytes | bytearray) else 0
    except Exception as fault:  # a class of the application's may say anything
        if is_interruption(fault):
            raise
        return 0
