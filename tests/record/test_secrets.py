"""Whatever way a secret takes into a process, not a byte of it is in the spool."""

import logging

import pytest
import requests
from opentelemetry import trace

import dashcam

from .garage import create_app
from .test_gate import SECRETS

PLANTED = "hunter2"
TEXTS = [text for text in SECRETS if PLANTED in text]
DSN = f"postgresql+psycopg2://cars:{PLANTED}@db:5432/cars"

log = dashcam.get_logger("secrets")
library = logging.getLogger("library")
tracer = trace.get_tracer("tests")


class OperationalError(Exception):
    """As a database's driver raises it, with the address it was given."""


def _raise(text):
    password = text  # noqa: F841 — a local variable that is no part of a stack trace
    raise OperationalError(f"connection failed: {text}")


def _in_an_exception(text):
    try:
        try:
            _raise(text)
        except OperationalError as cause:
            raise RuntimeError(f"gave up on {text}") from cause
    except RuntimeError:
        log.exception("failed")
        library.exception("failed too")


def _in_a_span(text):
    with tracer.start_as_current_span(f"work on {text}", attributes={"note": text, "notes": [text], text: 1}):
        log.info("m")


def _in_a_failing_span(text):
    with pytest.raises(OperationalError), tracer.start_as_current_span("work"):
        _raise(text)


WAYS = {
    "message": lambda text: log.info(f"it is {text}"),  # noqa: G004 — it is what is tried
    "field": lambda text: log.info("m", note=text),
    "field's name": lambda text: log.info("m", **{text: 1}),
    "nested": lambda text: log.info("m", note={"a": [{"b": text}]}, notes=(text, {text}), keys={text: 1}),
    "bytes": lambda text: log.info("m", note=text.encode()),
    "object": lambda text: log.info("m", note=ValueError(text)),
    "long text": lambda text: log.info(" ".join(["x" * 65_530, text]), note=" ".join(["y" * 7990, text])),
    "library": lambda text: library.warning("%s", text, extra={"note": text}),
    "library's message": lambda text: library.warning(f"it is {text}"),
    "exception": _in_an_exception,
    "span": _in_a_span,
    "failing span": _in_a_failing_span,
    "logger": lambda text: dashcam.get_logger(text).info("m"),
}


def _raw(recording):
    recording.events()
    return b"".join(path.read_bytes() for path in recording.folder.rglob("*.segment"))


@pytest.mark.parametrize("way", WAYS)
def test_no_byte_of_a_secret(cars, way):
    """The line of each text is there, the secret is not."""
    texts = [*TEXTS, DSN]
    for text in texts:
        WAYS[way](text)

    raw = _raw(cars)
    assert raw.count(b"\n") > len(texts)
    assert [line for line in raw.splitlines() if PLANTED.encode() in line] == []


NAMED = {
    "field": lambda: log.info("m", password=PLANTED, dbPassword=PLANTED, api_key=[PLANTED], cookie={"a": PLANTED}),
    "nested": lambda: log.info("m", db={"user": "cars", "password": PLANTED, "deep": [{"token": PLANTED.encode()}]}),
    "library": lambda: library.warning("m", extra={"authorization": PLANTED, "headers": {"Cookie": PLANTED}}),
    "span": lambda: tracer.start_span("work", attributes={"db.password": PLANTED, "x.token": [PLANTED]}).end(),
}


@pytest.mark.parametrize("way", NAMED)
def test_no_byte_of_what_is_named_a_secret(cars, way):
    """Whatever it looks like."""
    NAMED[way]()

    assert PLANTED.encode() not in _raw(cars)
    assert b"***" in _raw(cars)


REQUESTS = {
    "query": {"path": f"/car?password={PLANTED}&page=2"},
    "encoded query": {"path": f"/car?next=%2Flogin%3Fpassword%3D{PLANTED}"},
    "path": {"path": f"/car/token={PLANTED}"},
    "authorization": {"path": "/car", "headers": {"Authorization": f"Bearer {PLANTED}"}},
    "cookie": {"path": "/car", "headers": {"Cookie": f"sid={PLANTED}"}},
    "user agent": {"path": "/car", "headers": {"User-Agent": f"curl/8 (token={PLANTED})"}},
    "referrer": {"path": "/car", "headers": {"Referer": f"http://a/?token={PLANTED}"}},
    "request ID": {"path": "/car", "headers": {"X-Request-ID": f"token:{PLANTED}"}},
    "baggage": {"path": "/car", "headers": {"baggage": f"token={PLANTED}"}},
    "tracestate": {"path": "/car", "headers": {"tracestate": f"token={PLANTED}"}},
    "body": {"path": "/car", "data": f"password={PLANTED}"},
}


@pytest.mark.parametrize("where", REQUESTS)
def test_no_byte_of_a_secret_in_a_request(recording, where):
    """Also when nobody logs it: the request's own span would."""
    create_app().test_client().open(**REQUESTS[where])

    raw = _raw(recording)
    assert raw.count(b"\n") > 1
    assert PLANTED.encode() not in raw


@pytest.mark.parametrize("url", [f"http://cars:{PLANTED}@127.0.0.1:1/", f"http://127.0.0.1:1/?api_key={PLANTED}"])
def test_no_byte_of_a_secret_in_a_call(cars, url):
    """In the span of a request to another service, and in the error of its failing."""
    try:
        requests.get(url, timeout=10)
    except requests.ConnectionError:
        log.exception("nobody there")

    raw = _raw(cars)
    assert raw.count(b"\n") > 2
    assert PLANTED.encode() not in raw
