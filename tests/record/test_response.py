"""A response is recorded the same whether C or Python follows it."""

import gc
import sys
from io import BytesIO
from typing import Any, NamedTuple
from wsgiref.util import FileWrapper

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NoOpTracer

from dashcam.record import response
from dashcam.record.server import ServerSpan

DEPTH = otel_context.create_key("depth")
KINDS = ["list", "tuple", "generator", "closable", "broken close", "file", "not iterable", "leaves a context"]
PROBLEMS = [None, None, OSError("gone"), SystemExit(1), GeneratorExit(), ValueError("no wheel")]


class ClientDisconnected(Exception):
    """As waitress has it."""


class Exchange(NamedTuple):
    """A request: what the application answers, and what the server does with it."""

    method: str
    wrapper: Any
    statuses: list[str]
    headers: Any
    exc_info: tuple[Any, ...]
    named: dict[str, Any]
    is_described: bool
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


names = st.sampled_from(["Content-Length", "content-length", "X-Request-ID", "x-request-Id", "Server", "Größe", ""])
values = st.sampled_from(["0", "3", "4", "5", "5", "12", " 4", "-4", "٣", "9" * 18, "9" * 19, "", "golf-1"])
pairs = st.lists(st.tuples(names, values), max_size=4)
texts = st.sampled_from(["200 OK", "204 No Content", "304 Not Modified", "500 Oh", "20", "abc", "٣٠٠ OK", "20x", ""])
parts = st.sampled_from([b"", b"car", b"golf", b"wheel", bytearray(b"wheel"), "text", None, memoryview(b"car")])
faults = st.sampled_from(
    [None, None, None, None, ValueError("no wheel"), SystemExit(1), KeyboardInterrupt(), GeneratorExit()]
)
exchanges = st.builds(
    Exchange,
    method=st.sampled_from(["GET", "HEAD"]),
    wrapper=st.sampled_from([None, FileWrapper, FileWrapper, "text"]),
    statuses=texts.map(lambda text: [text]) | st.lists(texts, max_size=2),
    headers=pairs | pairs.map(tuple) | st.sampled_from([[("a",)], [("Content-Length", 5)], [["Server", "x"]], 7]),
    exc_info=st.sampled_from([(), (), (None,), (1, 2)]),
    named=st.sampled_from([{}, {}, {}, {"exc_info": (None, None, None)}, {"headers": []}]),
    is_described=st.sampled_from([False, False, True]),
    written=st.lists(st.sampled_from([b"", b"old"]), max_size=2),
    kind=st.sampled_from(KINDS),
    parts=st.lists(parts, max_size=4),
    fault=faults,
    is_test=st.booleans(),
    reads=st.integers(0, 6) | st.just(6),
    ways=st.integers(1, 2),
    problem=st.sampled_from([*PROBLEMS, ClientDisconnected()]),
    is_closed=st.booleans(),
    outer=st.sampled_from([None, OSError("before")]),
)


class Closable:
    """A body with a `close`."""

    def __init__(self, parts, seen, error=None):
        self._parts, self._seen, self._error = parts, seen, error

    def __iter__(self):
        return self._parts

    def close(self):
        self._seen.append(("closed", depth()))
        if self._error:
            raise self._error


def depth():
    return otel_context.get_value(DEPTH)


def body_of(exchange, seen):
    def made():
        for number, part in enumerate(exchange.parts):
            seen.append(("made", depth()))
            if exchange.kind == "leaves a context":
                otel_context.attach(otel_context.set_value(DEPTH, number))
            yield part
        if exchange.fault:
            raise exchange.fault

    return {
        "list": lambda: list(exchange.parts),
        "tuple": lambda: tuple(exchange.parts),
        "closable": lambda: Closable(made(), seen),
        "broken close": lambda: Closable(made(), seen, ValueError("not closed")),
        "file": lambda: FileWrapper(BytesIO(b"a car")),
        "not iterable": lambda: 7,
    }.get(exchange.kind, made)()


def attempt(seen, do, *values, **named):
    """Note what a step gives, or raises."""
    try:
        found = do(*values, **named)
    except BaseException as error:  # noqa: BLE001 — whatever it is
        seen.append(type(error))
        return None
    seen.append(found if isinstance(found, int | str | bytes | bytearray | None) else isinstance(found, FileWrapper))
    return found


def within(error, do, *values):
    """Do a step while an exception is handled, None for none."""
    if error is None:
        return do(*values)
    try:
        raise error  # noqa: TRY301 — that is the case
    except BaseException:  # noqa: BLE001
        return do(*values)


def serve(kind, exchange):
    """Everything that the application and the server see, and what is known of the request in the end."""
    seen = []
    environ = {"HTTP_X_REQUEST_ID": "golf-1", "REQUEST_METHOD": exchange.method, "wsgi.file_wrapper": exchange.wrapper}

    def start_response(status, headers, exc_info=None):
        seen.append((status, headers, exc_info))
        return lambda data: seen.append(("written", data))

    def describe(server, status, headers):
        seen.append(("describes", status))
        return [*headers, ("Traced", "yes")]

    if exchange.is_test:
        start_response.__module__ = "werkzeug.test"
    server = ServerSpan(NoOpTracer(), "GET", {}, {DEPTH: "served"})
    made = kind(server, environ, start_response, describe if exchange.is_described else None)
    for status in exchange.statuses:
        if write := attempt(seen, made.start, status, exchange.headers, *exchange.exc_info, **exchange.named):
            for data in exchange.written:
                write(data)
    body = attempt(seen, made.body, body_of(exchange, seen))
    seen.append(server.is_open)
    if body is not None:
        _send(seen, body, exchange)
    body = made = None
    return seen, server.is_open, repr(server.request), depth()


def _send(seen, body, exchange):
    attempt(seen, len, body)
    for _ in range(exchange.ways):
        parts = attempt(seen, iter, body)
        for _ in range(exchange.reads if parts is not None else 0):
            attempt(seen, next, parts, "no more")
    if exchange.is_closed:
        within(exchange.problem, attempt, seen, body.close)


@pytest.fixture(autouse=True)
def no_context():
    token = otel_context.attach(otel_context.Context())
    yield
    otel_context.detach(token)


@pytest.mark.fuzz
@settings(max_examples=5 * settings().max_examples)
@given(exchanges)
def test_any_exchange(exchange):
    """Whatever the application answers, and wherever the server stops."""
    found, wanted = (
        within(exchange.outer, serve, kind, exchange) for kind in (response.Response, response.PythonResponse)
    )
    assert found == wanted
    assert sys.exception() is None


@pytest.mark.parametrize("kind", [response.Response, response.PythonResponse])
def test_a_body_in_a_cycle(kind):
    """Is freed by the collector, and its span ends then."""

    class Body:
        def __iter__(self):
            return iter([])

    server = ServerSpan(NoOpTracer(), "GET", {}, {})
    inner = Body()
    inner.outer = kind(server, {}, lambda *_: None, None).body(inner)
    del inner
    assert server.is_open
    gc.collect()

    assert not server.is_open
    assert trace.get_current_span() is trace.INVALID_SPAN
