"""Both services under gunicorn, as they are run."""

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psutil
import pytest
import urllib3  # not requests: that is recorded in this process too

GOLF = {"name": "VW Golf"}


def wait_for(found):
    """What a function gives as soon as it gives something, within ten seconds."""
    end = time.monotonic() + 10
    while not (value := found()):
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.02)
    return value


def ask(method, url, **options):
    """The answer to one request, asked once."""
    with urllib3.PoolManager(timeout=20, retries=False) as pool:
        return pool.request(method, url, **options)


class Service:
    """One service under gunicorn, on a free port."""

    def __init__(self, name, log, environment):
        command = [sys.executable, "-m", "gunicorn", "-c", "python:chassis.gunicorn_conf", f"{name}.app:create_app()"]
        environment = {name: value for name, value in os.environ.items() if name != "PORT"} | environment
        with log.open("w") as stderr:
            self.process = subprocess.Popen([*command, "-b", "127.0.0.1:0"], env=environment, stderr=stderr)
        self.log = log

    @property
    def url(self):
        return wait_for(lambda: re.search(r"Listening at: (\S+)", self.log.read_text()))[1]

    @property
    def worker(self):
        return wait_for(lambda: psutil.Process(self.process.pid).children())[0].pid


@pytest.fixture
def start(tmp_path, recording):
    """A function that starts a service, which is part of the recording."""

    @contextmanager
    def run(name, **environment):
        service = Service(name, tmp_path / f"{name}.log", recording.environment | environment)
        try:
            yield service
        finally:
            service.process.terminate()
            service.process.wait(20)

    return run


@pytest.fixture
def parts(start, parts_database_url):
    """The parts service."""
    with start("parts", DATABASE_URL=parts_database_url) as service:
        wait_for(lambda: ask("GET", f"{service.url}/readyz").status == 200)
        yield service


@pytest.fixture
def cars(start, parts, cars_database_url):
    """The cars service, with parts behind it."""
    with start("cars", DATABASE_URL=cars_database_url, PARTS_URL=parts.url) as service:
        wait_for(lambda: ask("GET", f"{service.url}/readyz").status == 200)
        yield service


def test_a_request_is_one_story(cars, recording):
    """What both services recorded of a request tells one story."""
    answer = ask("POST", f"{cars.url}/cars", json=GOLF, headers={"X-Request-ID": "golf-1"})

    assert (answer.status, answer.headers["X-Request-ID"]) == (201, "golf-1")
    recording.assert_one_story("golf-1", services=["cars", "parts"])


def test_a_request_that_fails_in_parts_is_one_story(cars, recording):
    """The story has the error where it happened, in parts, and what it made of cars' answer."""
    order = {"json": {"name": "DMC DeLorean"}, "headers": {"X-Request-ID": "delorean-1"}}

    assert ask("POST", f"{cars.url}/cars", **order).json()["request_id"] == "delorean-1"

    story = recording.assert_one_story("delorean-1", services=["cars", "parts"])
    errors = [entry.event for entry in story.entries if entry.event and entry.event.get("log.level") == "error"]
    assert ("parts", "Out of stock for a 'DMC DeLorean': body.") in {
        (event.get("service.name"), event.get("message")) for event in errors
    }


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
