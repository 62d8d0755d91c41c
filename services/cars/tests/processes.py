"""A service under gunicorn, as it is run."""

import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil
import urllib3  # not requests: that is recorded in this process too


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

    def is_ready(self):
        return ask("GET", f"{self.url}/readyz").status == 200


@contextmanager
def started(name, folder, environment):
    """A service that runs meanwhile, with one worker, which a test can stop or kill, and its log in the folder."""
    service = Service(name, folder / f"{name}.log", {"WEB_CONCURRENCY": "1"} | environment)
    try:
        yield service
    finally:
        service.process.terminate()
        service.process.wait(20)
