"""The line of a span, as it is in the spool."""

from asyncio import CancelledError
from types import SimpleNamespace

import orjson
import pytest
from opentelemetry.trace import SpanKind, Status, StatusCode

from dashcam.record.context.correlation import OpenSpan, ServerRequest
from dashcam.record.spans.span_line import encode_end, encode_start

TIME_NS, TOOK_NS = 1795484146_123456789, 12_345_678
REQUEST = {
    "http.request.method": "GET",
    "url.scheme": "http",
    "server.address": "127.0.0.1:8000",
    "server.port": 8000,
    "user_agent.original": "Firefox/127.0",
    "network.protocol.version": "1.1",
    "url.path": "/cars/7",
    "url.query": "a=1",
    "client.address": "203.0.113.7",
    "client.port": 4242,
    "http.route": "/cars/<id>",
}
FORMER = {"http.method": "GET", "http.url": "http://parts/wheels?token=aB3456789012", "http.status_code": 200}
STATEMENT = {"db.system": "postgresql", "db.name": "cars", "db.statement": "SELECT 7", "net.peer.port": 5432}
HEAD = b'{"time_ns":1795484146123456789,"processor":{"event":"%b"},'
ROOT = b'"trace":{"id":"4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b"},"transaction":{"id":"0f0f0f0f0f0f0f0f"%b},'
IDS = b'"trace":{"id":"4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b"},"transaction":{"id":"0e0e0e0e0e0e0e0e"},'


def span_of(name, kind, status=StatusCode.UNSET, description=None):
    return SimpleNamespace(name=name, kind=kind, status=Status(status, description))


def opened(served=None, request="golf-7", parent="0d" * 8, transaction=None):
    ids = request, "4b" * 16, "0f" * 8, transaction or ("0f" * 8 if served else "0e" * 8), parent
    return OpenSpan(*ids, served, 5, None, None, TIME_NS)


def ended(span, attributes, open_span):
    return encode_end(span, attributes, open_span, TOOK_NS)


def test_the_start_of_a_request():
    """A few of its attributes, in one order whatever that of the span's is."""
    line = encode_start(span_of("GET /cars/<id>", SpanKind.SERVER), REQUEST, opened(ServerRequest(), parent=""))

    assert line == (
        HEAD % b"start" + b'"message":"GET /cars/<id>","span":{"id":"0f0f0f0f0f0f0f0f"},' + ROOT % b""
        + b'"http":{"request":{"id":"golf-7","method":"GET"},"route":"/cars/<id>"},'
        b'"url":{"path":"/cars/7","query":"a=1"},"event":{"kind":"event"}}\n'
    )  # fmt: skip


def test_the_end_of_a_request():
    """Attributes and the server's knowledge become fields, what a handler added becomes labels."""
    served = ServerRequest(status=200, request_bytes=0, response_bytes=11, labels={"car_id": 7, "name": "VW Golf"})

    assert ended(span_of("GET /cars/<id>", SpanKind.SERVER), REQUEST, opened(served)) == (
        HEAD % b"transaction" + b'"log.level":"info","message":"GET /cars/<id>",'
        b'"span":{"id":"0f0f0f0f0f0f0f0f","name":"GET /cars/<id>","kind":"server"},'
        + ROOT
        % b',"name":"GET /cars/<id>","type":"request","duration":{"us":12345},"result":"HTTP 2xx"'
        + b'"http":{"request":{"id":"golf-7","method":"GET","body":{"bytes":0}},"route":"/cars/<id>",'
        b'"response":{"status_code":200,"body":{"bytes":11}}},"parent":{"id":"0d0d0d0d0d0d0d0d"},'
        b'"url":{"scheme":"http","path":"/cars/7","query":"a=1"},'
        b'"server":{"address":"127.0.0.1:8000","port":8000},"user_agent":{"original":"Firefox/127.0"},'
        b'"client":{"ip":"203.0.113.7"},"labels":{"car_id":7,"name":"VW Golf"},"timestamp":{"us":1795484146123456},'
        b'"event":{"kind":"event","duration":12345678,"outcome":"success"}}\n'
    )


def test_a_statement():
    """A part of a request, of the type of databases."""
    assert ended(span_of("SELECT", SpanKind.CLIENT), STATEMENT | {"db.user": "ann", "rows": 3}, opened()) == (
        HEAD % b"span"
        + b'"log.level":"info","message":"SELECT","span":{"id":"0f0f0f0f0f0f0f0f","name":"SELECT","kind":"client",'
        b'"type":"db","subtype":"postgresql","duration":{"us":12345}},' + IDS
        + b'"http":{"request":{"id":"golf-7"}},"parent":{"id":"0d0d0d0d0d0d0d0d"},'
        b'"db":{"system":"postgresql","name":"cars","statement":"SELECT 7"},"server":{"port":5432},'
        b'"labels":{"rows":3},"timestamp":{"us":1795484146123456},'
        b'"event":{"kind":"event","duration":12345678,"outcome":"success"}}\n'
    )  # fmt: skip


def test_a_call_that_failed():
    """With former names of attributes, its error, and without its secret."""
    span = span_of("GET", SpanKind.CLIENT, StatusCode.ERROR, "ReadTimeout: no answer, password=hunter2")

    assert ended(span, FORMER | {"error.type": "ReadTimeout"}, opened(request="", parent="")) == (
        HEAD % b"span"
        + b'"log.level":"error","message":"GET","span":{"id":"0f0f0f0f0f0f0f0f","name":"GET","kind":"client",'
        b'"type":"external","subtype":"http","duration":{"us":12345}},' + IDS
        + b'"http":{"request":{"method":"GET"},"response":{"status_code":200}},'
        b'"url":{"full":"http://parts/wheels?token=***"},'
        b'"error":{"type":"ReadTimeout","message":"no answer, password=***"},'
        b'"timestamp":{"us":1795484146123456},"event":{"kind":"event","duration":12345678,"outcome":"failure"}}\n'
    )  # fmt: skip


@pytest.mark.parametrize(
    ("served", "http", "event"),
    [
        (ServerRequest(status=503), {"response": {"status_code": 503}}, {"outcome": "failure"}),
        (ServerRequest(status=404), {"response": {"status_code": 404}}, {"outcome": "success"}),
        (ServerRequest(status=200, error=ValueError()), {"response": {"status_code": 200}}, {"outcome": "failure"}),
        (ServerRequest(is_incomplete=True), {}, {"outcome": "unknown"}),
        (ServerRequest(), {}, {"outcome": "unknown"}),
        (
            ServerRequest(status=200, response_bytes=3, is_incomplete=True, is_disconnected=True),
            {"response": {"status_code": 200, "body": {"bytes": 3}}},
            {"action": "client-disconnected", "outcome": "unknown"},
        ),
    ],
)
def test_how_a_request_ends(served, http, event):
    """By its status, an exception, or what became of its body."""
    found = orjson.loads(ended(span_of("GET", SpanKind.SERVER), {"http.request.method": "GET"}, opened(served)))

    assert found["http"] == {"request": {"id": "golf-7", "method": "GET"}} | http
    assert found["event"] == {"kind": "event", "duration": TOOK_NS} | event


def test_a_path_without_a_uri():
    """A server that gives no URI, or a path of other letters: the request's own path is in the line."""
    served = ServerRequest(status=200, path="/Käfer", query="token=aB3456789012")
    found = orjson.loads(ended(span_of("GET", SpanKind.SERVER), {"url.path": "/K\xc3\xa4fer"}, opened(served)))

    assert found["url"] == {"path": "/Käfer", "query": "token=***"}


@pytest.mark.parametrize(
    ("kind", "served", "transaction", "named"),
    [
        (SpanKind.CONSUMER, ServerRequest(), None, {"type": "messaging"}),
        (SpanKind.INTERNAL, ServerRequest(), None, {"type": "job"}),
        (SpanKind.CLIENT, None, "0f" * 8, {"type": "request"}),
    ],
)
def test_other_transactions(kind, served, transaction, named):
    """Work that is no request of HTTP."""
    found = orjson.loads(ended(span_of("repair", kind), {}, opened(served, transaction=transaction)))

    assert found["transaction"] == {"id": "0f" * 8, "name": "repair", "duration": {"us": 12345}} | named
    assert found["span"] == {"id": "0f" * 8, "name": "repair", "kind": kind.name.lower()}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"url.full": b"http://parts"}, {"url": {"full": "b'http://parts'"}}),
        ({"url.full": "\ud800"}, {"url": {"full": "\\ud800"}, "tags": ["mended"]}),
        ({"password": "hunter2"}, {"labels": {"password": "***"}}),
        ({"note": "password=hunter2"}, {"labels": {"note": "password=***"}}),
        ({"http.route": "/password/<old>"}, {"http": {"request": {"id": "golf-7"}, "route": "/password/<old>"}}),
        ({"db.statement": "SELECT password FROM users"}, {"db": {"statement": "SELECT password FROM users"}}),
        ({"db.statement": "SET password = 'aB3456789012'"}, {"db": {"statement": "SET password = '***'"}}),
        ({"sizes": (1, 2)}, {"labels": {"sizes": [1, 2]}}),
        ({"rate": float("nan")}, {"labels": {"rate": "nan"}, "tags": ["mended"]}),
    ],
)
def test_any_value(attributes, expected):
    """It is masked, cut and replaced as in a log call."""
    found = orjson.loads(ended(span_of("work", SpanKind.INTERNAL), attributes, opened()))

    assert {name: found[name] for name in expected} == expected


# Once masked, its rest is short enough to be searched again to its end.
MANY = "password=" + "hunter2-" * 40 + " password=hunter2-x " * 2_000


@pytest.mark.parametrize(
    ("name", "description", "attributes", "served"),
    [
        (MANY, None, {}, None),
        ("POST", MANY, {}, None),
        *(("POST", None, {name: MANY}, None) for name in ("url.query", "http.url", "db.statement", "car")),
        ("POST", None, {}, ServerRequest(path=MANY)),
        ("POST", None, {}, ServerRequest(query=MANY)),
        ("POST", None, {}, ServerRequest(labels={"car": MANY})),
    ],
)
def test_a_text_with_more_secrets_than_are_looked_at(name, description, attributes, served):
    """The rest is masked as a whole, and the span says so, wherever in it the text stands."""
    status = StatusCode.ERROR if description else StatusCode.UNSET
    span = span_of(name, SpanKind.SERVER, status, description)

    line = ended(span, attributes, opened(served))

    assert "masked-rest" in orjson.loads(line)["tags"]
    assert b"hunter2" not in line


def test_the_start_of_a_request_with_more_secrets_than_are_looked_at():
    """It says so, too: it becomes the event of a request that is aborted."""
    line = encode_start(span_of("GET", SpanKind.SERVER), {"url.query": MANY}, opened(ServerRequest()))

    assert "masked-rest" in orjson.loads(line)["tags"]


def test_a_name_with_a_secret():
    """It is masked wherever the line has it."""
    found = orjson.loads(ended(span_of("GET /?token=aB3456789012", SpanKind.SERVER), {}, opened(ServerRequest())))

    assert {found["message"], found["span"]["name"], found["transaction"]["name"]} == {"GET /?token=***"}


@pytest.mark.parametrize(
    ("error", "is_outer", "outcome"),
    [
        (KeyboardInterrupt(), False, "failure"),
        (KeyboardInterrupt(), True, "success"),
        (SystemExit(1), False, "failure"),
        (SystemExit(0), False, "success"),
        (CancelledError(), False, "unknown"),
        (ValueError(), False, "success"),
    ],
)
def test_what_is_raised_while_it_ends(error, is_outer, outcome):
    """What interrupts the program is its outcome, unless it was handled before the span began."""
    open_span = opened()._replace(outer_error=error if is_outer else None)
    try:
        raise error  # noqa: TRY301 — that is the case
    except BaseException:  # noqa: BLE001
        line = ended(span_of("work", SpanKind.INTERNAL), {}, open_span)

    assert orjson.loads(line)["event"]["outcome"] == outcome
