"""Both services under gunicorn, as they are run."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import urllib3

from .processes import ask, wait_for

GOLF = {"name": "VW Golf"}


def test_a_request_is_one_story(cars, recording):
    """What both services recorded of a request tells one story."""
    answer = ask("POST", f"{cars.url}/cars", json=GOLF, headers={"X-Request-ID": "golf-1"})

    assert (answer.status, answer.headers["X-Request-ID"]) == (201, "golf-1")
    wait_for(lambda: recording.story("golf-1").outcome == "success")  # a span ends after its answer is sent
    recording.assert_one_story("golf-1", services=["cars", "parts"])


def test_a_request_that_fails_in_parts_is_one_story(cars, recording):
    """The story has the error where it happened, in parts, and what it made of cars' answer."""
    order = {"json": {"name": "DMC DeLorean"}, "headers": {"X-Request-ID": "delorean-1"}}

    assert ask("POST", f"{cars.url}/cars", **order).json()["request_id"] == "delorean-1"

    wait_for(lambda: recording.story("delorean-1").outcome == "failure")
    story = recording.assert_one_story("delorean-1", services=["cars", "parts"])
    errors = [entry.event for entry in story.entries if entry.event and entry.event.get("log.level") == "error"]
    assert ("parts", "Out of stock for a 'DMC DeLorean': body.") in {
        (event.get("service.name"), event.get("message")) for event in errors
    }


def test_probes_are_no_ones_story(start, parts_database_url, recording):
    """They come every few seconds: no span of theirs is recorded, none of what they ask, and no access log."""
    with start("parts", DATABASE_URL=parts_database_url, OTEL_PYTHON_FLASK_EXCLUDED_URLS="healthz,readyz") as service:
        before = len(recording.events())
        wait_for(lambda: ask("GET", f"{service.url}/readyz").status == 200)
        ask("GET", f"{service.url}/healthz")
        after = recording.events()[before:]

    # The test's own calls may be recorded too, as those of whatever service an earlier test made in this process.
    theirs = [event for event in after if event.get("process.pid") != os.getpid()]
    assert {event.get("log.logger") for event in theirs} <= {"gunicorn.error"}


def test_a_killed_worker_leaves_no_car(cars, parts, sql):
    """A car at work when its worker is killed is never seen; the next worker goes on."""
    os.kill(parts.worker, signal.SIGSTOP)
    with ThreadPoolExecutor() as threads:
        order = threads.submit(ask, "POST", f"{cars.url}/cars", json=GOLF)
        wait_for(lambda: sql("cars", "SELECT * FROM orders"))
        os.kill(cars.worker, signal.SIGKILL)
        assert isinstance(order.exception(10), urllib3.exceptions.HTTPError)
    os.kill(parts.worker, signal.SIGCONT)

    answer = ask("GET", f"{cars.url}/cars")
    assert answer.json() == {"cars": [], "next": None}
    assert sql("cars", "SELECT state FROM orders") == [("open",)]


def test_a_request_at_work_is_finished_before_the_end(cars, parts, sql):
    """A service told to stop answers what it has begun."""
    os.kill(parts.worker, signal.SIGSTOP)
    with ThreadPoolExecutor() as threads:
        order = threads.submit(ask, "POST", f"{cars.url}/cars", json=GOLF)
        wait_for(lambda: sql("cars", "SELECT * FROM orders"))
        cars.process.terminate()
        os.kill(parts.worker, signal.SIGCONT)

        assert order.result(20).status == 201


def test_bad_settings_end_the_service(start):
    """A service that cannot work says all that is wrong, and ends with status 2."""
    with start("cars", DATABASE_URL="cars") as service:
        assert service.process.wait(20) == 2

    assert service.log.read_text().endswith(
        "DATABASE_URL='cars' cannot be used: it takes postgresql://user:password@host:port/database.\n"
        "PARTS_URL is not set: it takes http://host:port.\n"
    )
