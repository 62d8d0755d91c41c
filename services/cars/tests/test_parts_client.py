"""What becomes of a car when parts is anything but itself."""

import json
import time

import pytest

from .servers import answering, dripping, flood, hang, hostile, reset, served

GOLF = {"name": "VW Golf"}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PART = {"id": "6de151e4-fa09-4cd8-a56c-7bcc62e5ef55", "name": "body"}


def whole(body, status="201 CREATED"):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return answering(f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)


@pytest.mark.parametrize(
    ("behave", "status"),
    [
        (hang, 504),
        (dripping(b"HTTP/1.1 200 OK\r\nX-Drip: "), 504),
        (dripping(HEAD + b"Content-Length: 1000\r\n\r\n"), 504),
        (reset, 503),
        (answering(b""), 503),
        (answering(b"good morning\r\n\r\n"), 503),
        (answering(b"\x16\x03\x01\xff" * 100), 503),
        (answering(HEAD + b"Content-Length: 1000\r\n\r\n{"), 502),
        (answering(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"), 502),
        (answering(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzzz\r\n"), 502),
        (answering(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n1234"), 502),
        (flood, 502),
        (whole(b"<html>hello</html>"), 502),
        (whole(b"[" * 100_000), 502),
        (whole([]), 502),
        (whole({"parts": []}), 502),
        (whole({"parts": [7]}), 502),
        (whole({"parts": "body"}), 502),
        (whole({"parts": [{"name": "body"}]}), 502),
        (whole({"parts": [{"id": PART["id"]}]}), 502),
        (whole({"parts": [PART | {"id": "7"}]}), 502),
        (whole({"parts": [PART | {"name": ["body"]}]}), 502),
        (whole({"parts": [PART | {"name": "bo\0dy"}]}), 502),
        (whole({"parts": [PART]}, "202 ACCEPTED"), 502),
        (whole({"parts": [PART]}, "302 FOUND\r\nLocation: /"), 502),
        (whole({"detail": "no such thing"}, "404 NOT FOUND"), 502),
        (whole({"detail": "oh dear"}, "500 INTERNAL SERVER ERROR"), 502),
        (whole(b"bad gateway", "502 BAD GATEWAY"), 503),
        (whole({"detail": ["not a text"]}, "503 SERVICE UNAVAILABLE"), 503),
    ],
)
def test_a_hostile_answer_makes_no_car(client_of, sql, behave, status):
    """Whatever parts does, the caller gets a problem in time and no car is seen."""
    with hostile(behave) as url:
        client = client_of(url, deadline_s=1.0, call_s=0.2)
        started = time.monotonic()
        answer = client.post("/cars", json=GOLF)
        took_s = time.monotonic() - started

    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert took_s < 2
    assert sql("cars", "SELECT * FROM cars") == sql("cars", "SELECT * FROM orders WHERE state <> 'discarded'") == []


def test_nobody_at_home_makes_no_car(client_of, sql):
    """A refused connection is told at once."""
    answer = client_of("http://127.0.0.1:1").post("/cars", json=GOLF)

    assert (answer.status_code, answer.json["detail"]) == (503, "parts cannot be reached.")
    assert sql("cars", "SELECT * FROM cars") == []


def test_only_what_a_part_has_is_taken(client_of):
    """What else parts says of itself is not shown to the public."""
    with hostile(whole({"parts": [PART | {"cost": 7}]})) as url:
        assert client_of(url).post("/cars", json=GOLF).json["parts"] == [PART]


def test_a_reason_that_stays_is_not_asked_again(parts_app, client_of, sql):
    """When parts says to come back tomorrow the caller is told so at once, and nothing is left."""
    calls = []
    parts_app.before_request(lambda: calls.append(1))

    with served(parts_app) as url:
        answer = client_of(url).post("/cars", json={"name": "DMC DeLorean"})

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "86400")
    assert answer.json["detail"] == "parts cannot deliver: Out of stock for a 'DMC DeLorean': body."
    assert len(calls) == 2  # the order, and its undoing
    assert sql("cars", "SELECT * FROM orders") == []


def test_a_call_that_failed_is_made_again(parts_app, client_of, sql):
    """An answer lost on the way costs neither the car nor a second set of parts."""
    with served(Forgetful(parts_app, times=2)) as url:
        car = client_of(url).post("/cars", json=GOLF)

    assert car.status_code == 201
    assert sql("parts", "SELECT count(*) FROM parts") == [(len(car.json["parts"]),)]


def test_a_call_is_made_three_times_at_most(parts_app, client_of, sql):
    """After that the parts that were made are removed."""
    with served(Forgetful(parts_app, times=3)) as url:
        assert client_of(url).post("/cars", json=GOLF).status_code == 503

    assert sql("parts", "SELECT * FROM parts") == sql("cars", "SELECT * FROM orders") == []


class Forgetful:
    """Parts that does its work, but for a number of times answers that it did not."""

    def __init__(self, app, times):
        self.app = app
        self.times = times

    def __call__(self, environ, start_response):
        self.times -= 1
        if self.times < 0:
            return self.app(environ, start_response)
        b"".join(self.app(environ, lambda *_: None))
        start_response("504 GATEWAY TIMEOUT", [])
        return [b""]
