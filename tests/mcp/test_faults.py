"""Faults in cars and parts, as an agent finds them: the line with the cause is among the first of the answer."""

import os
import re
import subprocess
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psycopg2
import pytest

from chassis.migrations import migrate
from dashcam.destinations.registry import open_store
from dashcam.find.language import parse
from dashcam.mcp.text import count_tokens
from dashcam.mcp.tools import Source, Tools

from .. import prepared
from ..processes import run
from .faulty import FAULTS

ROOT = Path(__file__).parents[2]
FIRST_LINES = 50
DRAIN = "import sys; from dashcam.cli import main; sys.exit(main(['ship', '--drain']))"
SHORT = ("parts-key", "parts-null", "parts-timeout", "parts-slow-query", "parts-empty", "parts-warning", "cars-none")


@contextmanager
def started(*arguments, **environment):
    """A process; gives the first line that it prints."""
    given, streams = {**os.environ, **environment}, {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with prepared.start(["-m", *arguments], given, cwd=ROOT, **streams) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def databases(postgres_url):
    """The addresses of a database for each service, with its schema."""
    urls = {name: make_url(postgres_url, name) for name in ("cars", "parts")}
    for name, url in urls.items():
        migrate(url, name)
    return urls


def make_url(postgres_url, name):
    with closing(psycopg2.connect(postgres_url)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE faults_{name}")
    return urlsplit(postgres_url)._replace(path=f"/faults_{name}").geturl()


@pytest.fixture
def garage(tmp_path_factory, databases):
    """Cars and parts with faults in them; gives what orders a car under a request ID, and where they record."""
    folder = tmp_path_factory.mktemp("faults")
    recorded = {"DASHCAM_DIR": str(folder / "dashcam"), "DASHCAM_CONSOLE": "off"}
    with ExitStack() as stack:
        enter = stack.enter_context
        begin = partial(started, "tests.mcp.faulty")
        parts = enter(begin("parts", DATABASE_URL=databases["parts"], **recorded))
        parts_url = f"http://127.0.0.1:{parts}"
        cars = enter(begin("cars", parts_url, DATABASE_URL=databases["cars"], PARTS_URL=parts_url, **recorded))
        yield partial(order, f"http://127.0.0.1:{cars}/cars"), recorded


def order(url, request_id):
    request = Request(url, b'{"name": "Golf"}', {"Content-Type": "application/json", "X-Request-ID": request_id})
    try:
        with urlopen(request, timeout=30) as answer:
            return answer.status
    except HTTPError as fault:
        with fault:  # it is the answer, and holds the connection
            return fault.code
    except URLError:
        return 0


def found(garage, names):
    """Order a good car, then one with each fault; which causes are among the first lines, and the answers' tokens."""
    ask, recorded = garage
    assert ask("good-1") == 201
    for name in names:
        ask(f"fault-{name}")
    run(DRAIN, env={**os.environ, **recorded, "LOG_BACKEND": "local"})
    environment = {"DASHCAM_DIR": recorded["DASHCAM_DIR"]}
    store = open_store("local", environment)
    tools = Tools(Source(lambda: open_store("local", environment), parse, int, list))
    with closing(store):
        answers = {name: tools.story(f"fault-{name}") for name in names}
    seen = {
        name: any(re.search(FAULTS[name].cause, line) for line in answer.split("\n")[:FIRST_LINES])
        for name, answer in answers.items()
    }
    return seen, answers


def test_some_causes_are_among_the_first_lines(garage):
    """Each of a few kinds: an exception, a constraint, a statement, a slow one, an odd answer, a warning before."""
    seen, answers = found(garage, SHORT)

    assert {name: answers[name] for name, is_seen in seen.items() if not is_seen} == {}
    assert max(map(count_tokens, answers.values())) <= 2_000


@pytest.mark.long
@pytest.mark.timeout(900)
def test_nearly_every_cause_is_among_the_first_lines(garage):
    """Of all faults, in at least 95 of 100."""
    assert len(FAULTS) >= 30
    seen, answers = found(garage, list(FAULTS))

    missed = {name: answers[name] for name, is_seen in seen.items() if not is_seen}
    assert len(missed) <= 0.05 * len(FAULTS), "\n\n".join(f"{name}: {text}" for name, text in missed.items())
    assert sorted(map(count_tokens, answers.values()))[len(answers) // 2] <= 2_000
