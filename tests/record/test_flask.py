"""Requests of a Flask application: their IDs, their spans, their errors, each told once."""

import gc
import re
import weakref

import flask
import pytest
import wrapt
from werkzeug.middleware.proxy_fix import ProxyFix

import dashcam
from dashcam.record.context.correlation import is_request_id

from ..processes import run
from .garage import create_app

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def client(recording):
    return create_app().test_client()


def _lines(recording):
    return [event for event in recording.events() if not event.is_span]


def _messages(recording):
    return [event.get("message") for event in _lines(recording)]


def _span(recording):
    (span,) = [event for event in recording.events() if event.is_span]
    return span


def test_a_request_is_a_span(recording, client):
    """The access line: who asked for what, what came out, how long it took."""
    answer = client.post("/car?limit=2", json={"name": "Golf"}, headers={"X-Request-ID": "golf-1", "User-Agent": "t"})

    span = _span(recording)
    assert span.get("processor.event") == "transaction"
    assert span.get("http") == {
        "request": {"id": "golf-1", "method": "POST", "body": {"bytes": 16}},
        "response": {"status_code": 200, "body": {"bytes": len(answer.data)}},
        "route": "/car",
    }
    assert span.get("url.path") == "/car"
    assert span.get("url.query") == "limit=2"
    assert span.get("url.scheme") == "http"
    assert span.get("client.ip") == "127.0.0.1"
    assert span.get("user_agent.original") == "t"
    assert span.get("event.outcome") == "success"
    assert span.get("log.level") == "info"
    assert span.get("message") == span.get("transaction.name") == span.get("span.name") == "POST /car"
    assert span.get("transaction.result") == "HTTP 2xx"
    assert 0 < span.get("event.duration") < 10_000_000_000
    assert span.get("transaction.duration.us") == span.get("event.duration") // 1000
    assert span.get("timestamp.us") == span.time_ns // 1000
    assert span.get("parent") is None


def test_lines_belong_to_the_request(recording, client):
    """Also those of steps that the application had before it was recorded."""
    client.get("/car", headers={"X-Request-ID": "golf-1"})

    span = _span(recording)
    assert _messages(recording) == ["checks the visitor", "shows a car"]
    for line in _lines(recording):
        assert line.get("http.request.id") == "golf-1"
        for name in ("trace.id", "span.id", "transaction.id"):
            assert line.get(name) == span.get(name)


def test_an_answer_before_the_handler_is_a_request_too(recording, client):
    """A step of the application that answers, as a check of the visitor does."""
    assert client.get("/car?stranger").status_code == 401

    assert _span(recording).get("http.response.status_code") == 401


def test_a_refused_value_of_a_url_has_its_route(recording):
    """What looks at the values of a URL comes before all other steps of a request, and may end it."""
    app = create_app()

    @app.url_value_preprocessor
    def refuse(endpoint, values):
        flask.abort(410)

    assert app.test_client().get("/car").status_code == 410
    assert _span(recording).get("http.route") == "/car"


KEPT = ["a", "golf-1", "A.b_c+d/e=f-0", "x" * 200, "0193a1b2-c3d4-7e5f-8123-456789abcdef"]
REFUSED = [
    "",
    " ",
    "x" * 201,
    "x" * 8_000,
    "a b",
    "a,b",
    "a;b",
    "a:b@c",
    'a"b',
    "a'b",
    "<script>",
    "%0d%0aSet-Cookie",
    "a\tb",
    "é",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "a\\b",
    "a\x7f",
    "a\x00b",
    "東京".encode().decode("latin-1"),
]


@pytest.mark.parametrize("request_id", KEPT)
def test_a_callers_id_is_kept(recording, client, request_id):
    """The application sees it, every line has it, the answer says it."""
    answer = client.get("/car", headers={"X-Request-ID": request_id})

    assert answer.headers.getlist("X-Request-ID") == [request_id]
    assert answer.json == {"request": request_id}
    assert {event.get("http.request.id") for event in recording.events()} == {request_id}


@pytest.mark.parametrize("request_id", REFUSED)
def test_a_hostile_id_is_replaced(recording, client, request_id):
    """By a fresh one, which the log says, with the length and not a letter of what was refused."""
    answer = client.get("/car", environ_overrides={"HTTP_X_REQUEST_ID": request_id})

    (given,) = answer.headers.getlist("X-Request-ID")
    assert UUID7.fullmatch(given)
    assert {event.get("http.request.id") for event in recording.events()} == {given}
    warnings = [event for event in _lines(recording) if event.get("log.level") == "warning"]
    assert [event.labels for event in warnings] == ([{"length": len(request_id)}])


def test_a_fresh_id_for_who_has_none(recording, client):
    """Without a warning; each another one, in the order of time."""
    first, second = (client.get("/car").headers["X-Request-ID"] for _ in range(2))

    assert UUID7.fullmatch(first)
    assert first[:13] <= second[:13]
    assert first != second
    assert "warning" not in {event.get("log.level") for event in recording.events()}


def test_two_headers_are_refused(recording, client):
    """A WSGI server joins them with a comma, and who can say which one was meant."""
    answer = client.get("/car", headers=[("X-Request-ID", "a"), ("X-Request-ID", "b")])

    assert UUID7.fullmatch(answer.headers["X-Request-ID"])


def test_a_request_that_went_past_the_application(recording):
    """A context that somebody made by hand: its header is looked at all the same."""
    app = create_app()
    for request_id in ("golf-1", 'a"},"trace":{"id":"'):
        with app.test_request_context("/car", headers={"X-Request-ID": request_id}):
            app.preprocess_request()

    assert [event.get("http.request.id") for event in _lines(recording)] == ["golf-1", None]


def test_no_caller_is_trusted(recording, monkeypatch):
    """`DASHCAM_TRUST_REQUEST_ID=never` replaces every ID and every trace."""
    monkeypatch.setenv("DASHCAM_TRUST_REQUEST_ID", "never")

    headers = {"X-Request-ID": "golf-1", "traceparent": VALID}
    answer = create_app().test_client().get("/car", headers=headers)

    assert UUID7.fullmatch(answer.headers["X-Request-ID"])
    assert answer.json == {"request": answer.headers["X-Request-ID"]}
    assert _span(recording).get("trace.id") != TRACE
    assert _span(recording).get("parent") is None


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("DELETE", "/car", 405),
        ("GET", "/fail", 500),
        ("GET", "/abort?status=503", 503),
        ("GET", "/refuse", 409),
        ("GET", "/stream", 200),
        ("HEAD", "/car", 200),
        ("OPTIONS", "/car", 200),
        ("GET", "/own_header", 200),
        ("POST", "/resource", 409),
        ("GET", "/resource", 500),
    ],
)
def test_every_answer_says_the_id(recording, client, method, path, status):
    """Once, whatever became of the request; and there is a span with the status."""
    with client.open(path, method=method, headers={"X-Request-ID": "golf-1"}) as answer:
        answer.get_data()

    assert answer.status_code == status
    assert answer.headers.getlist("X-Request-ID") == ["golf-1"]
    span = _span(recording)
    assert span.get("http.response.status_code") == status
    assert span.get("event.outcome") == ("failure" if status >= 500 else "success")


def test_a_status_that_is_no_number(recording, client):
    """What a WSGI server would let pass does not stop at the recording."""
    assert client.get("/odd_status").data == b"odd"

    assert _span(recording).get("url.path") == "/odd_status"


TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize("traceparent", [VALID, f"00-{TRACE}-{PARENT}-03", f"cc-{TRACE}-{PARENT}-01-what-may-come"])
@pytest.mark.parametrize(
    "tracestate", ["", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "!!", "a" * 10_000, ",,,", "a=\x00"]
)
def test_a_trace_goes_on(recording, client, traceparent, tracestate):
    """From the caller's span; a bad tracestate never spoils it."""
    client.get("/car", headers={"traceparent": traceparent}, environ_overrides={"HTTP_TRACESTATE": tracestate})

    span = _span(recording)
    assert (span.get("trace.id"), span.get("parent.id")) == (TRACE, PARENT)
    assert span.get("processor.event") == "transaction"


INVALID = [
    "",
    "garbage",
    VALID.upper(),
    VALID[:-1],
    VALID + "-extra",
    f"ff-{TRACE}-{PARENT}-01",
    f"00-{'0' * 32}-{PARENT}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE}-{PARENT}-zz",
    f"00-{TRACE[:-1]}g-{PARENT}-01",
    f"{VALID},{VALID}",
    VALID.replace("-", "_"),
    "é" * 55,
    "0" * 100_000,
    VALID + "\x00",
]


@pytest.mark.parametrize("traceparent", INVALID)
def test_a_bad_traceparent_begins_a_new_trace(recording, client, traceparent):
    """It is ignored whole, and nothing of it is recorded."""
    answer = client.get("/car", environ_overrides={"HTTP_TRACEPARENT": traceparent})

    span = _span(recording)
    assert answer.status_code == 200
    assert re.fullmatch(r"[0-9a-f]{32}", span.get("trace.id"))
    assert span.get("trace.id") != TRACE
    assert span.get("parent") is None


def test_one_id_may_have_several_traces(recording, client):
    """A caller's ID says nothing about the trace."""
    for _ in range(2):
        client.get("/car", headers={"X-Request-ID": "golf-1"})

    assert len({event.get("trace.id") for event in recording.events()}) == 2


def test_an_error_is_told_once(recording, client):
    """Flask logs it too."""
    assert client.get("/fail").status_code == 500

    span, errors = _span(recording), [event for event in _lines(recording) if event.get("error")]
    assert [(event.get("error.type"), event.get("error.message")) for event in errors] == [("ValueError", "no wheel")]
    assert "in fail" in errors[0].get("error.stack_trace")
    assert errors[0].get("span.id") == span.get("span.id")
    assert (span.get("event.outcome"), span.get("log.level")) == ("failure", "error")


@pytest.mark.parametrize("config", [{"TESTING": True}, {"PROPAGATE_EXCEPTIONS": True}, {"PROPAGATE_EXCEPTIONS": False}])
def test_an_error_that_goes_on_is_told_once(recording, config):
    """Whether Flask answers it or hands it to the server."""
    app = create_app(**config)
    client = app.test_client()
    if config.get("PROPAGATE_EXCEPTIONS", True):
        with pytest.raises(ValueError, match="no wheel") as raised:
            client.get("/fail")
        app.logger.error("as a server says it again", exc_info=raised.value)
    else:
        client.get("/fail")

    assert [event.get("message") for event in _lines(recording) if event.get("error")] == ["unhandled exception"]
    assert _span(recording).get("event.outcome") == "failure"


def test_an_error_that_no_teardown_hears_of(recording):
    """The request fails all the same, and its span says of what."""
    app = create_app(PROPAGATE_EXCEPTIONS=False)
    app.should_ignore_error = lambda _: True

    assert app.test_client().get("/fail").status_code == 500
    assert _span(recording).get("event.outcome") == "failure"
    assert [event.get("error.type") for event in _lines(recording) if event.get("error")] == ["ValueError"]


@pytest.mark.parametrize(("method", "errors"), [("GET", ["ValueError"]), ("POST", []), ("PUT", ["BadGateway"])])
def test_errors_of_flask_restful(recording, client, method, errors):
    """It answers them itself: those of the server are told, once."""
    client.open("/resource", method=method)

    assert [event.get("error.type") for event in _lines(recording) if event.get("error")] == errors


@pytest.mark.parametrize("given", [{"exception": KeyError}, {"exception": None}, {}, {"exception": "no wheel"}])
def test_a_signal_of_any_form(recording, client, given):
    """Whoever sends that signal gets nothing back; an error that only a class tells of is one of that class."""
    flask.got_request_exception.send(client.application, **given)

    errors = [event.get("error.type") for event in _lines(recording) if event.get("error")]
    assert errors == (["KeyError"] if given.get("exception") is KeyError else [])


def test_a_signal_with_the_class_of_what_is_handled(recording, client):
    """It means that exception: its text and its trace, once."""
    try:
        raise KeyError("no wheel")  # noqa: TRY301 — as flask-restful is in the middle of handling it
    except KeyError as error:
        flask.got_request_exception.send(client.application, exception=KeyError)
        flask.got_request_exception.send(client.application, exception=error)

    (event,) = [event for event in _lines(recording) if event.get("error")]
    assert event.get("error.message") == "'no wheel'"
    assert "raise KeyError" in event.get("error.stack_trace")


@pytest.mark.parametrize("path", ["/refuse", "/abort?status=404", "/abort?status=503"])
def test_an_error_that_is_answered_is_none(recording, client, path):
    """Nobody left it unhandled."""
    client.get(path)

    assert [event for event in _lines(recording) if event.get("error")] == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_in_a_thread(recording, client):
    """It is told in the request that began the thread."""
    client.get("/fail_in_thread", headers={"X-Request-ID": "golf-1"})

    (error,) = [event for event in _lines(recording) if event.get("error")]
    assert error.get("message") == "unhandled exception in a thread"
    assert error.get("http.request.id") == "golf-1"


def test_threads_belong_to_the_request(recording, client):
    """Those it starts, and an executor's; a library's lines as well."""
    client.get("/threads", headers={"X-Request-ID": "golf-1"})

    found = {event.get("message"): event.get("http.request.id") for event in _lines(recording)}
    assert found == dict.fromkeys(
        ["checks the visitor", "in a thread", "in an executor", "a library in an executor"], "golf-1"
    )


@pytest.mark.parametrize("path", ["/stream", "/stream_in_context"])
def test_a_stream_belongs_to_the_request(recording, client, path):
    """What is logged while the answer is sent; and nothing of it is left for the next request."""
    for request_id in ("golf-1", "golf-2"):
        client.get(path, headers={"X-Request-ID": request_id}).get_data()
    client.get("/car", headers={"X-Request-ID": "golf-3"})

    lines = [event for event in _lines(recording) if event.get("message").startswith(("sends", "ends"))]
    spans = {event.get("http.request.id"): event for event in recording.events() if event.is_span}
    assert {event.get("http.request.id") for event in lines} == {"golf-1", "golf-2"}
    assert all(event.get("trace.id") == spans[event.get("http.request.id")].get("trace.id") for event in lines)
    assert [event.get("processor.event") for event in spans.values()] == ["transaction"] * 3


def test_a_second_init_app_changes_nothing(recording):
    """One span, one header, whatever was wrapped around in between."""
    app = create_app()
    app.wsgi_app = ProxyFix(app.wsgi_app)

    dashcam.init_app(app, "garage")
    answer = app.test_client().get("/car")

    assert len(answer.headers.getlist("X-Request-ID")) == 1
    assert _span(recording)


@pytest.mark.parametrize(
    ("text", "expected"), [("a", True), ("x" * 200, True), ("a\n", False), ("é", False), ("", False)]
)
def test_request_ids(text, expected):
    """Letters, digits and a few signs, nothing behind them."""
    assert is_request_id(text) is expected


TWO = """
import flask, dashcam

log = dashcam.get_logger("two")
apps = [flask.Flask(name) for name in ("cars", "parts")]
for app in apps:
    dashcam.init_app(app)
    app.add_url_rule("/", view_func=lambda: log.info("serves") or "ok", endpoint="serve")
for app in (*apps, apps[0]):
    app.test_client().get("/")
"""


def test_two_applications_of_one_process(recording):
    """Each has the service that its package names."""
    run(TWO, env=recording.environment)

    events = recording.events()
    assert [event.get("service.name") for event in events if event.is_span] == ["cars", "parts", "cars"]
    assert [event.get("service.name") for event in _lines(recording)] == ["cars", "parts", "cars"]


@pytest.mark.parametrize("name", ["wsgi_app", "preprocess_request", "handle_exception"])
@pytest.mark.parametrize("is_first", [True, False], ids=["before", "after"])
def test_what_others_wrap_around_flask_runs(recording, monkeypatch, name, is_first):
    """Agents wrap methods of its class, with a wrapper that is bound as a method is; before or after `init_app`."""
    called = []

    def wrap():
        wrapper = wrapt.FunctionWrapper(getattr(flask.Flask, name), note)
        monkeypatch.setattr(flask.Flask, name, wrapper)

    def note(wrapped, instance, arguments, named):
        called.append(instance)
        return wrapped(*arguments, **named)

    if is_first:
        wrap()
    app = create_app()
    if not is_first:
        wrap()

    app.test_client().get("/fail")

    assert called == [app]


def test_an_application_is_freed_with_its_last_name(recording):
    """Flask promises that, and its own tests ask for it: no cycle of ours keeps an application."""
    app = flask.Flask("freed")
    app.add_url_rule("/", view_func=lambda: "here")
    dashcam.init_app(app)
    app.test_client().get("/")
    kept = weakref.ref(app)
    gc.disable()
    try:
        del app
        assert kept() is None
    finally:
        gc.enable()
