"""The response of a WSGI application, from its status to the last byte that the server took.

`Response` passes status and headers on with the request ID, and gives the server the body as an iterable of the same
kind, whose end is the end of the span. It is written in C where there is a compiler; what is unusual about a response
is decided here, for both.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

from dashcam.record import current, unhandled
from dashcam.record.correlation import HEADER
from dashcam.record.current import attach, detach, get_current
from dashcam.record.server import ServerSpan

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

    Describe = Callable[[ServerSpan, str, list[tuple[str, str]]], list[tuple[str, str]]]

HEADER_KEY = "HTTP_X_REQUEST_ID"
MAX_SIZE_DIGITS = 18
_STATUSES_WITHOUT_BODY = {204, 304}


class AnyResponse(Protocol):
    """What is known of a response: `length` by its headers, and how many bytes were `sent`, as the server asked on."""

    server: ServerSpan
    environ: MutableMapping[str, Any]
    start_response: "StartResponse"
    describe: "Describe | None"
    outer_error: BaseException | None  # that was handled before the request
    length: int | None
    sent: int
    pending: int  # bytes that the server may be sending
    is_begun: bool  # a part was given to the server
    is_complete: bool
    is_test: bool  # of werkzeug's client: it closes no response that a test leaves open

    def start(self, *given: Any, **named: Any) -> Any: ...
    def body(self, body: Iterable[bytes], /) -> Iterable[bytes]: ...


def start(response: AnyResponse, status: str, headers: list[tuple[str, str]], *others: Any, **named: Any) -> Any:
    """Pass status and headers on, with the request ID among them, as `start_response` of PEP 3333."""
    code = status[:3] if isinstance(status, str) else ""  # the server says what is wrong with another one
    response.server.request.status = int(code) if code.isdecimal() else 0
    if response.describe:
        headers = response.describe(response.server, status, headers)
    given = {name.lower(): value for name, value in headers}
    response.length = size(given.get("content-length"))
    request_id = response.environ[HEADER_KEY]
    headers = with_id(headers, request_id) if "x-request-id" in given else [*headers, (HEADER, request_id)]
    return partial(write_to, response, response.start_response(status, headers, *others, **named))


def write_to(response: AnyResponse, write: Callable[[bytes], object], data: bytes) -> object:
    """Pass a part on by the function that `start_response` returned, and count it."""
    written = write(data)
    response.sent, response.is_begun = response.sent + len(data), True
    return written


def send_file(response: AnyResponse, file: Any) -> Any:
    """Return a file of the server's own kind, which may send it without a look at it; its `close` ends the span."""
    response.is_complete, response.pending = True, response.length or 0
    close = getattr(file, "close", tuple)
    try:
        file.close = lambda: close_body(response, close)
    except AttributeError:  # not a Python class: when it is closed, nobody is told
        end(response)
    return file


def close_body(response: AnyResponse, close: Callable[[], object]) -> None:
    """Close a body, and end the span by what the server met while it sent it."""
    problem = sys.exception()
    token = attach(response.server.context)
    try:
        close()
    except BaseException as error:
        fail(response, error)
        raise
    finally:
        detach(token)
        end(response, problem)


def fail(response: AnyResponse, error: BaseException) -> None:
    """End the span with an exception of the application.

    A server sends the status with the first part of the body: without one, it answers by itself (PEP 3333).
    """
    if not response.server.is_open:  # closing the body failed for a test client, whose span has ended
        unhandled.record(error)
        return
    response.server.fail(error)
    response.server.request.is_incomplete = True
    if not response.is_begun:
        response.server.request.status = 0
    _end_span(response)


def end(response: AnyResponse, problem: BaseException | None = None, is_closed: bool = True) -> None:  # noqa: FBT001, FBT002
    """End the span, with the exception that the server met, if any; `is_closed` if the server closed the body."""
    if not response.server.is_open:
        return
    request, has_met = response.server.request, problem is not None and problem is not response.outer_error
    # The client has gone; waitress has an exception of its own for that.
    if has_met and (isinstance(problem, OSError) or type(problem).__name__ == "ClientDisconnected"):
        request.is_incomplete = request.is_disconnected = True
    elif has_met and not isinstance(problem, StopIteration | GeneratorExit):
        response.server.fail(cast("BaseException", problem))
    elif not response.is_complete and response.length != response.sent + response.pending and _has_body(response):
        request.is_incomplete, request.is_disconnected = True, is_closed
    _end_span(response)


def _end_span(response: AnyResponse) -> None:
    request = response.server.request
    if request.status:
        sent = response.sent if request.is_incomplete else response.sent + response.pending
        request.response_bytes = sent if _has_body(response) else 0
    response.server.end()


def _has_body(response: AnyResponse) -> bool:
    is_head = response.environ.get("REQUEST_METHOD") == "HEAD"
    return not is_head and response.server.request.status not in _STATUSES_WITHOUT_BODY


class PythonResponse:
    """A response, given the span of its request and the `start_response` of its server.

    `describe` puts status and headers on the span where somebody else looks at it, and returns the headers to be sent.
    """

    def __init__(
        self,
        server: ServerSpan,
        environ: MutableMapping[str, Any],
        start_response: "StartResponse",
        describe: "Describe | None",
        /,
    ) -> None:
        self.server, self.environ, self.start_response, self.describe = server, environ, start_response, describe
        self.outer_error = sys.exception()
        self.length: int | None = None
        self.sent = self.pending = 0
        self.is_begun = self.is_complete = False
        self.is_test = getattr(start_response, "__module__", "") == "werkzeug.test"

    def start(self, *given: Any, **named: Any) -> Any:
        """Pass status and headers on, as `start_response` of PEP 3333."""
        return start(self, *given, **named)

    def body(self, body: Iterable[bytes], /) -> Iterable[bytes]:
        """Return the body as an iterable of the same kind, whose end is the end of the span."""
        wrapper = self.environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(body, wrapper):
            return cast("Iterable[bytes]", send_file(self, body))
        return _SizedBody(self, body) if hasattr(body, "__len__") else _Body(self, body)


class _Body:
    """A body that is made part by part."""

    __slots__ = ("_body", "_parts", "_response")

    def __init__(self, response: PythonResponse, body: Any) -> None:
        self._response, self._body = response, body
        self._parts = _parts_of(response, body)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._parts)

    def __del__(self) -> None:
        end(self._response, is_closed=False)  # a server that does not close what it was given

    def close(self) -> None:
        """Close the body."""
        close_body(self._response, getattr(self._body, "close", tuple))


class _SizedBody(_Body):
    """A body of so many parts: a server may ask for their number, to send a length."""

    __slots__ = ()

    def __iter__(self) -> Iterator[bytes]:
        return _parts_of(self._response, self._body)

    def __len__(self) -> int:
        return len(self._body)


def _parts_of(response: PythonResponse, body: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the parts of a body, each made in the context that the part before it left."""
    context, parts = response.server.context, None
    while True:
        token = attach(context)
        try:
            parts = iter(body) if parts is None else parts
            part = next(parts)
        except StopIteration:
            response.is_complete = True
            if response.is_test:
                end(response)
            return
        except BaseException as error:
            fail(response, error)
            raise
        finally:
            context = get_current()
            detach(token)
        response.is_begun = True
        response.pending = len(part) if isinstance(part, bytes | bytearray) else 0
        if response.is_test and response.sent + response.pending == response.length:
            end(response)
        yield part
        response.sent, response.pending = response.sent + response.pending, 0


def with_id(headers: list[tuple[str, str]], request_id: str) -> list[tuple[str, str]]:
    """Return headers with the request ID in place of another one."""
    others = [header for header in headers if header[0].lower() != "x-request-id"]
    return [*others, (HEADER, request_id)]


def size(text: object) -> int | None:
    """Return the number of bytes that a header says, None if it says none."""
    is_size = isinstance(text, str) and text.isdecimal() and len(text) <= MAX_SIZE_DIGITS
    return int(cast("str", text)) if is_size else None


try:
    from dashcam.record import _response
except ImportError:  # there was no compiler to build it
    Response: Callable[..., AnyResponse] = PythonResponse
else:
    contexts = current.get_current, current.attach, current.reset, current.detach
    _response.use(*contexts, start, write_to, send_file, fail, end, partial, HEADER_KEY, HEADER)
    Response = _response.Response
