"""A request asks to be kept: by its code, or by its caller, who signs."""

import logging
import time

import pytest
from flask import Flask

import dashcam
from dashcam.record.logs.keep import sign

KEY = "a key that both know"


@pytest.fixture
def client(recording, monkeypatch):
    monkeypatch.setenv("DASHCAM_CLIP_KEY", KEY)
    dashcam.init("cars")
    app = Flask("cars")

    @app.get("/keep")
    def keep():
        dashcam.keep("large order")
        return ""

    @app.get("/")
    def plain():
        return ""

    dashcam.init_app(app)
    return app.test_client()


def _asked(recording):
    return [event for event in recording.events() if event.get("event.action") == "request-keep"]


def test_the_code_asks(client, recording):
    """With a reason, in an event of its request."""
    client.get("/keep", headers={"X-Request-ID": "golf-1"})

    (event,) = _asked(recording)
    assert event.get("event.reason") == "large order"
    assert event.get("http.request.id") == "golf-1"
    assert event.get("span.id") == recording.story("golf-1").entries[0].event.get("span.id")
    assert event.get("message") == "to be kept: large order"


def test_outside_of_a_request_nothing_is_asked(cars):
    """There is nothing to keep."""
    dashcam.keep("nothing")

    assert cars.events() == []


@pytest.mark.parametrize("reason", [None, "é\ud800", "x" * 1000, "password=hunter2", b"\xff", object()])
def test_any_reason_will_do(client, recording, reason):
    """Cut, mended and masked as the text of a log call."""
    with dashcam.job("nightly"):
        dashcam.keep(reason)

    (event,) = _asked(recording)
    assert len(event.get("event.reason").encode()) <= 240
    assert "hunter2" not in event.to_json().decode()


def test_a_signed_header_asks(client, recording):
    """For as long as the signature says."""
    client.get("/", headers={"X-Dashcam-Keep": sign(KEY, int(time.time()) + 60), "X-Request-ID": "golf-1"})

    (event,) = _asked(recording)
    assert (event.get("event.reason"), event.get("http.request.id")) == ("asked by the caller", "golf-1")


REFUSED = {
    "of another key": lambda: sign("guessed", int(time.time()) + 60),
    "expired": lambda: sign(KEY, int(time.time()) - 60),
    "changed": lambda: "9" + sign(KEY, int(time.time()) + 60),
    "no signature": lambda: "yes",
    "not even a number": lambda: "²." + "é" * 500,
    "far too long": lambda: "9" * 5000,
}


@pytest.mark.parametrize("header", REFUSED.values(), ids=REFUSED)
def test_any_other_header_is_ignored(client, recording, header):
    """The request is served, and its span says that the header was refused."""
    response = client.get("/", headers={"X-Dashcam-Keep": header(), "X-Request-ID": "golf-1"})

    assert response.status_code == 200
    assert _asked(recording) == []
    (span,) = [event for event in recording.events() if event.is_span]
    assert span.labels == {"keep_refused": True}


def test_without_a_key_no_header_is_looked_at(recording):
    """Nobody is told anything."""
    app = Flask("cars")
    dashcam.init("cars")
    dashcam.init_app(app)

    app.test_client().get("/", headers={"X-Dashcam-Keep": sign("", int(time.time()) + 60)})

    assert [event.labels for event in recording.events()] == [{}]


def _log_all(names):
    for name in names:
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            logging.getLogger(name).log(level, "%s %s plain", name, level)
            dashcam.get_logger(name).log(level, f"{name} {level} ours")
        dashcam.get_logger(name).debug(f"{name} 10 straight")


def _told(recording):
    return [event.get("message") for event in recording.events()]


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_levels_by_logger(recording, monkeypatch, level):
    """For the logger and those below it, in both kinds of loggers; others have LOG_LEVEL."""
    monkeypatch.setenv("LOG_LEVEL", level)
    monkeypatch.setenv("LOG_LEVELS", "noisy=WARNING, cars = debug,cars.quiet=WARNING")
    monkeypatch.setenv("DASHCAM_CONSOLE", "off")
    dashcam.init("cars")

    _log_all(["noisy.pool", "cars.api", "cars.quiet", "other"])

    told = _told(recording)
    lowest = {"noisy.pool": 30, "cars.api": 10, "cars.quiet": 30, "other": 10 if level == "DEBUG" else 20}
    wanted = [
        f"{name} {each} {kind}"
        for name in lowest
        for each in (10, 20, 30)
        if each >= lowest[name]
        for kind in ("plain", "ours")
    ] + [f"{name} 10 straight" for name in lowest if lowest[name] == 10]
    assert sorted(told) == sorted(wanted)


def test_levels_by_logger_give_handlers_nothing_new(recording, monkeypatch):
    """A program's own handler gets what it would get without us."""
    monkeypatch.setenv("LOG_LEVELS", "cars=DEBUG")
    heard = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())
    logging.getLogger("cars").addHandler(handler)
    try:
        dashcam.init("cars")
        logging.getLogger("cars").debug("details")
        logging.getLogger("cars").warning("trouble")
    finally:
        logging.getLogger("cars").removeHandler(handler)

    assert heard == ["trouble"]
    assert _told(recording) == ["details", "trouble"]


def test_levels_that_cannot_be_read_stop_no_service(recording, monkeypatch):
    """It records as without, and a warning says what is allowed."""
    monkeypatch.setenv("LOG_LEVELS", "cars=LOUD")

    dashcam.init("cars")

    (event,) = recording.events()
    assert "LOG_LEVELS='cars=LOUD' cannot be used: expected LOGGER=LEVEL" in event.get("message")
