"""Application and server see the same of a response as without Dashcam, whatever they do; the span ends with it."""

import gc
import sys
from contextvars import copy_context
from io import BytesIO
from typing import Any, NamedTuple
from wsgiref.util import FileWrapper

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NoOpTracer

from dashcam.record.servers.response import Response
from dashcam.record.servers.server import ServerSpan

PROBLEMS = [None, None, OSError("gone"), SystemExit(1), GeneratorExit(), ValueError("no wheel")]


class ClientDisconnected(Exception):
    """As waitress has it."""


def lie(*_):
    raise LookupError("a lie")


class LyingText(str):
    """A text whose methods fail."""

    __slots__ = ()
    __getitem__ = __iter__ = __len__ = lower = isdecimal = startswith = lie


class LyingBytes(bytes):
    """A part that does not say how long it is."""

    __len__ = lie


class Classless:
    """An object whose class nobody may know."""

    __class__ = property(lie)

    def __init__(self, parts=()):
        self._parts = parts

    def __iter__(self):
        return iter(self._parts)


class Closable:
    """A body with a `close`."""

    def __init__(self, parts, seen, error=None):
        self._parts, self._seen, self._error = parts, seen, error

    def __iter__(self):
        return iter(self._parts)

    def close(self):
        self._seen.append("closed")
        if self._error:
            raise self._error


class Lengthless(Closable):
    """A body whose length fails."""

    __len__ = lie


class Doorless(Closable):
    """A body whose `close` cannot be asked for."""

    close = property(lie)


class SealedFile(FileWrapper):
    """A file of the server's that takes no other `close`."""

    def __setattr__(self, name, value):
        if name == "close" and hasattr(self, "close"):
            raise TypeError("sealed")
        super().__setattr__(name, value)


class Exchange(NamedTuple):
    """A request: what the application answers, and what the server does with it."""

    method: str
    wrapper: Any
    statuses: list[str]
    headers: Any
    is_iterator: bool  # the list of headers
    exc_info: tuple[Any, ...]
    named: dict[str, Any]
    is_described: bool
    is_cleared: bool  # the environment, by the application
    written: list[bytes]
    kind: str
    parts: list[Any]
    fault: BaseException | None  # after the parts
    is_test: bool
    reads: int
    ways: int  # through a body that has a length
    problem: BaseException | None
    is_closed: bool
    outer: BaseException | None  # that is handled meanwhile


KINDS = {
    "list": lambda parts, _: list(parts),
    "tuple": lambda parts, _: tuple(parts),
    "generator": lambda parts, _: parts,
    "closable": Closable,
    "broken close": lambda parts, seen: Closable(parts, seen, ValueError("not closed")),
    "no close": Doorless,
    "no length": Lengthless,
    "no class": lambda parts, _: Classless(parts),
    "file": lambda *_: FileWrapper(BytesIO(b"a car")),
    "sealed file": lambda *_: SealedFile(BytesIO(b"a car")),
    "not iterable": lambda *_: 7,
    "nothing": lambda *_: None,
}
LIARS = {"lying text": LyingText("5"), "lying bytes": LyingBytes(b"car"), "no class": Classless()}
names = st.sampled_from(["Content-Length", "content-length", "X-Request-ID", "x-request-Id", "Server", "Größe", ""])
values = st.sampled_from(["0", "3", "4", "5", "5", "12", " 4", "-4", "٣", "9" * 18, "9" * 19, "", "golf-1"])
pairs = st.lists(st.tuples(names, values), max_size=4)
lies = [7, None, [("a",)], [("Content-Length", 5)], [["Server", "x"]], [(7, "x")], [(b"Server", b"x")], [7], "ab"]
lies += [[("lying text", "x")], [("Content-Length", "lying text")], [("no class", "x")], "no class"]
texts = st.sampled_from(["200 OK", "204 No Content", "304 Not Modified", "500 Oh", "20", "abc", "٣٠٠ OK", "20x", ""])
texts |= st.sampled_from(["lying text", b"200 OK", 200, None, "no class"])
parts = st.sampled_from([b"", b"car", b"golf", b"wheel", bytearray(b"wheel"), "text", None, memoryview(b"car")])
parts |= st.sampled_from(["lying bytes", "no class"])
faults = st.sampled_from([None, None, None, ValueError("no"), SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
exchanges = st.builds(
    Exchange,
    method=st.sampled_from(["GET", "HEAD"]),
    wrapper=st.sampled_from([None, FileWrapper, FileWrapper, "text"]),
    statuses=texts.map(lambda text: [text]) | st.lists(texts, max_size=2),
    headers=pairs | pairs.map(tuple) | st.sampled_from(lies),
    is_iterator=st.booleans(),
    exc_info=st.sampled_from([(), (), (None,), (1, 2)]),
    named=st.sampled_from([{}, {}, {}, {"exc_info": (None, None, None)}, {"headers": []}]),
    is_described=st.sampled_from([False, False, True]),
    is_cleared=st.sampled_from([False, False, True]),
    written=st.lists(st.sampled_from([b"", b"old", 7]), max_size=2),
    kind=st.sampled_from(sorted(KINDS)),
    parts=st.lists(parts, max_size=4),
    fault=faults,
    is_test=st.booleans(),
    reads=st.integers(1, 6) | st.just(6),
    ways=st.integers(0, 2),
    problem=st.sampled_from([*PROBLEMS, ClientDisconnected()]),
    is_closed=st.booleans(),
    outer=st.sampled_from([None, OSError("before")]),
)


USUAL = {
    "method": "GET",
    "wrapper": FileWrapper,
    "statuses": ["200 OK"],
    "headers": [("Content-Length", "3")],
    "is_iterator": False,
    "exc_info": (),
    "named": {},
    "is_described": False,
    "is_cleared": False,
    "written": [],
    "kind": "generator",
    "parts": [b"car"],
    "fault": None,
    "is_test": False,
    "reads": 6,
    "ways": 1,
    "problem": None,
    "is_closed": True,
    "outer": None,
}


class Bare:
    """A response without Dashcam."""

    def __init__(self, start_response):
        self.start = start_response

    def body(self, body):
        return body


def real(value):
    """A value with the objects that its words name: hypothesis cannot print them."""
    if type(value) in {list, tuple}:
        return type(value)(map(real, value))
    return LIARS.get(value, value) if type(value) is str else value


def attempt(seen, do, *values, **named):
    """Note what a step raises."""
    try:
        return do(*values, **named)
    except BaseException as error:  # noqa: BLE001 — whatever it is
        seen.append(type(error))
        return None


def within(error, do, *values):
    """Do a step while an exception is handled, None for none."""
    if error is None:
        return do(*values)
    try:
        raise error  # noqa: TRY301 — that is the case
    except BaseException:  # noqa: BLE001
        return do(*values)


def serve(exchange, server=None):
    """Everything that the application and the server see; with a server span, it is recorded."""
    seen = []
    environ = {"HTTP_X_REQUEST_ID": "golf-1", "REQUEST_METHOD": exchange.method, "wsgi.file_wrapper": exchange.wrapper}

    def start_response(status, headers, exc_info=None):
        got = [*headers] if hasattr(type(headers), "__iter__") else headers
        seen.append(("started", status, got, exc_info))
        return lambda data: seen.append(("written", data))

    def describe(_, status, headers):
        return [*headers, ("Traced", status.partition(" ")[0])]

    if exchange.is_test:
        start_response.__module__ = "werkzeug.test"
    described = describe if exchange.is_described else None
    made = Response(server, environ, start_response, described) if server else Bare(start_response)
    if exchange.is_cleared:
        environ.clear()
    for status in real(exchange.statuses):
        headers = real(exchange.headers)
        given = iter(headers) if exchange.is_iterator and type(headers) is list else headers
        if write := attempt(seen, made.start, status, given, *exchange.exc_info, **exchange.named):
            for data in exchange.written:
                attempt(seen, write, data)
    body = attempt(seen, made.body, KINDS[exchange.kind](_parts_of(exchange, seen), seen))
    _send(seen, body, exchange)
    return seen


def _parts_of(exchange, seen):
    for part in real(exchange.parts):
        seen.append("made")
        yield part
    if exchange.fault and exchange.kind not in {"list", "tuple"}:
        raise exchange.fault


def _send(seen, body, exchange):
    seen.append(("length", attempt(seen, len, body)))
    for _ in range(exchange.ways):
        attempt(seen, _read, seen, body, exchange.reads)
    if exchange.is_closed:
        within(exchange.problem, attempt, seen, _close, body)


def _read(seen, body, reads):
    parts = iter(body)
    for _ in range(reads):
        seen.append(next(parts, "no more"))


def _close(body):
    getattr(body, "close", list)()


def _as_it_was(event):
    """What the server has seen without what is added for the request, in the order without it."""
    match event:
        case ("started", status, list(headers), exc_info):
            return status, [each for each in headers if not _is_added(each)], exc_info
    return event


def _is_added(header):
    return type(header) is tuple and type(header[0]) is str and header[0].lower() in {"x-request-id", "traced"}


@pytest.fixture(autouse=True)
def no_context():
    token = otel_context.attach(otel_context.Context())
    yield
    otel_context.detach(token)


@pytest.mark.fuzz
@settings(max_examples=5 * settings().max_examples)
@given(exchanges)
def test_any_exchange(exchange):
    """Whatever the application answers, and wherever the server stops: nothing is hidden, nothing comes from us."""
    server = ServerSpan(NoOpTracer(), "GET", {}, {})

    wanted = copy_context().run(within, exchange.outer, serve, exchange)
    found = copy_context().run(within, exchange.outer, serve, exchange, server)

    assert [*map(_as_it_was, found)] == [*map(_as_it_was, wanted)]
    assert not server.is_open or ("file" in exchange.kind and not exchange.is_closed)
    assert sys.exception() is None


@pytest.mark.parametrize(
    "odd",
    [
        {"headers": [("Server", "x")], "is_iterator": True},
        {"headers": [(7, "x")]},
        {"headers": 7},
        {"headers": [("lying text", "x")], "is_described": True},
        {"statuses": ["lying text"]},
        {"statuses": ["no class"]},
        {"statuses": [200], "is_described": True},
        {"is_cleared": True},
        {"written": [7]},
        {"parts": ["lying bytes"]},
        {"kind": "no class", "wrapper": FileWrapper},
        {"kind": "no length"},
        {"kind": "no close"},
        {"kind": "broken close", "problem": OSError("gone")},
        {"kind": "sealed file"},
    ],
)
def test_what_is_odd(odd):
    """It passes through, as any exchange does."""
    test_any_exchange.hypothesis.inner_test(Exchange(**(USUAL | odd)))


def test_a_body_in_a_cycle():
    """Is freed by the collector, and its span ends then."""

    class Body:
        def __iter__(self):
            return iter([])

    server = ServerSpan(NoOpTracer(), "GET", {}, {})
    inner = Body()
    inner.outer = Response(server, {"HTTP_X_REQUEST_ID": "golf-1"}, lambda *_: None, None).body(inner)
    del inner
    assert server.is_open
    gc.collect()

    assert not server.is_open
    assert trace.get_current_span() is trace.INVALID_SPAN
