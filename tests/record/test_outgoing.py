"""Calls of client libraries carry the request ID and the trace, whenever the library was imported."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ..processes import finished, run

CALLS = {
    "requests": "import requests; requests.get(url)",
    "requests, a function": "from requests import get; get(url)",
    "requests, a session": "import requests; requests.Session().get(url)",
    "httpx": "import httpx; httpx.get(url, trust_env=False)",
    "httpx, async": """
import httpx
async def ask():
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.get(url)
asyncio.run(ask())""",
    "urllib3": "import urllib3; urllib3.PoolManager().request('GET', url)",
    "urllib.request": "import urllib.request; urllib.request.urlopen(url).read()",
    "aiohttp": """
import aiohttp
async def ask():
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        await response.read()
asyncio.run(ask())""",
}
PROGRAM = """
import asyncio, sys
url = sys.argv[1]
def call():
{call}
{early}
import dashcam
dashcam.init("front")
with dashcam.job("ask"):
    call()
"""


@pytest.fixture
def heard():
    """A server on this machine, its address, and the headers of each request that it got."""
    headers = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            headers.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    headers.append(f"http://127.0.0.1:{server.server_port}/")
    yield headers
    server.shutdown()
    server.server_close()
    thread.join()


def _run(recording, program, *arguments):
    return run(program, *arguments, env=recording.environment)


def _indented(code):
    return "\n".join("    " + line for line in ("global_ = None\n" + code.strip()).splitlines())


@pytest.mark.parametrize("when", ["before init", "after init"])
@pytest.mark.parametrize("way", CALLS)
def test_a_call_carries_the_ids(recording, heard, way, when):
    """Both headers, and one client span in the story."""
    url = heard.pop()
    early = (
        "import " + {"requests, a function": "requests"}.get(way, way.split(",")[0]) if when == "before init" else ""
    )
    _run(recording, PROGRAM.format(call=_indented(CALLS[way]), early=early), url)

    (headers,) = heard
    story = recording.assert_one_story(headers["x-request-id"], services=["front"])
    spans = [entry.event for entry in story.entries if entry.event and entry.event.is_span]
    assert [span.get("span.kind") for span in spans] == ["internal", "client"]
    assert headers["traceparent"].split("-")[1:3] == [spans[1].get("trace.id"), spans[1].get("span.id")]


STATEMENTS = {
    "psycopg2": """
import psycopg2
connection = psycopg2.connect(url)
connection.cursor().execute("SELECT 7")
connection.close()""",
    "psycopg2, a function of before": """
connection = connect(url)
connection.cursor().execute("SELECT 7")
connection.close()""",
    "psycopg": """
import psycopg
with psycopg.connect(url) as connection:
    connection.execute("SELECT 7")""",
    "psycopg, async": """
import psycopg
async def ask():
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("SELECT 7")
asyncio.run(ask())""",
    "sqlalchemy": """
import sqlalchemy
engine = sqlalchemy.create_engine("sqlite://")
with engine.connect() as connection:
    connection.execute(sqlalchemy.text("SELECT 7"))
engine.dispose()""",
}


@pytest.mark.parametrize("way", STATEMENTS)
def test_a_statement_is_a_span(recording, database_url, way):
    """In the story that it belongs to."""
    early = "from psycopg2 import connect" if way.endswith("of before") else ""
    _run(recording, PROGRAM.format(call=_indented(STATEMENTS[way]), early=early), database_url)

    spans = [event for event in recording.events() if event.get("db")]
    statement = next(event for event in spans if event.get("db.statement") == "SELECT 7")
    (job,) = [event for event in recording.events() if event.get("transaction.type") == "job"]
    assert statement.get("parent.id") == job.get("span.id")


SQLALCHEMY = """
import sqlalchemy
engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+%s://"))
with engine.connect() as connection:
    connection.execute(sqlalchemy.text("SELECT 7"))
    connection.execution_options(stream_results=True).execute(sqlalchemy.text("SELECT 8")).all()
    try:
        connection.execute(sqlalchemy.text("SELECT nine"))
    except sqlalchemy.exc.ProgrammingError:
        pass
engine.dispose()"""


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_a_statement_through_sqlalchemy_is_one_span(recording, database_url, driver):
    """That of the driver, if this is recorded by itself."""
    _run(recording, PROGRAM.format(call=_indented(SQLALCHEMY % driver), early=""), database_url)

    found = [(event.get("db.statement"), event.get("event.outcome")) for event in recording.events() if event.get("db")]
    assert [each for each in found if each[0] and each[0][:8] in {"SELECT 7", "SELECT 8", "SELECT n"}] == [
        ("SELECT 7", "success"),
        ("SELECT 8", "success"),
        ("SELECT nine", "failure"),
    ]


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_a_connect_through_sqlalchemy_that_fails_is_one_span(recording, driver):
    """That of the checkout, which names the database and its address, too."""
    call = f"""
import sqlalchemy
engine = sqlalchemy.create_engine("postgresql+{driver}://golf:hunter2@127.0.0.1:1/garage")
try:
    engine.connect()
except sqlalchemy.exc.OperationalError:
    pass
engine.dispose()"""
    _run(recording, PROGRAM.format(call=_indented(call), early=""), "")

    (span,) = [event for event in recording.events() if event.get("db")]
    assert (span.get("span.name"), span.get("event.outcome"), span.get("db.name")) == ("connect", "failure", "garage")
    assert (span.get("server.address"), span.get("server.port")) == ("127.0.0.1", 1)


def test_comments_that_a_program_asks_sqlalchemy_for(recording, database_url):
    """Reach the database, also where the driver makes the spans."""
    call = """
import sqlalchemy
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
SQLAlchemyInstrumentor().uninstrument()
SQLAlchemyInstrumentor().instrument(enable_commenter=True)
engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
with engine.connect() as connection:
    connection.execute(sqlalchemy.text("SELECT 7"))
engine.dispose()"""
    _run(recording, PROGRAM.format(call=_indented(call), early=""), database_url)

    statements = {str(event.get("db.statement")) for event in recording.events() if event.get("db")}
    assert [each.partition("=")[0] for each in statements if each.startswith("SELECT 7 ")] == ["SELECT 7 /*db_driver"]


def test_redis(recording):
    """A command is a span, though nobody answers."""
    call = """
import redis
try:
    redis.Redis(port=1, socket_connect_timeout=1).ping()
except redis.ConnectionError:
    pass"""
    _run(recording, PROGRAM.format(call=_indented(call), early=""), "")

    assert [event.get("event.outcome") for event in recording.events() if event.get("db.system") == "redis"] == [
        "failure"
    ]


def test_a_library_without_its_package_is_named(recording, heard):
    """The program works as without us; the record says what is missing, and how to get it."""
    url = heard.pop()
    hidden = 'import sys; sys.modules["opentelemetry.instrumentation.httpx"] = None\n'
    _run(recording, hidden + PROGRAM.format(call=_indented(CALLS["httpx"]), early=""), url)

    (headers,) = heard
    assert "x-request-id" not in headers
    (warning,) = [event for event in recording.events() if event.get("log.logger") == "dashcam.instrument"]
    assert warning.labels == {"library": "httpx", "fix": "pip install 'dashcam[httpx]'"}


def test_a_library_that_its_package_does_not_support_is_named(recording, tmp_path):
    """In the record alone: a program's console, and what sends its log calls to others, hear nothing of it."""
    (tmp_path / "sqlalchemy-99.0.dist-info").mkdir()
    (tmp_path / "sqlalchemy-99.0.dist-info" / "METADATA").write_text("Name: SQLAlchemy\nVersion: 99.0\n")
    program = "import sys, dashcam\nsys.path.insert(0, sys.argv[1])\ndashcam.init('front')\nimport sqlalchemy\n"

    done = finished(program, tmp_path, env=recording.environment)

    assert (done.returncode, done.stderr) == (0, "")
    (warning,) = recording.events()
    assert warning.get("log.level") == "warning"
    assert warning.labels["library"] == "sqlalchemy"
    assert "sqlalchemy 99.0" in warning.labels["fix"]


@pytest.mark.parametrize(
    ("imports", "named"),
    [
        ("import pymongo, asyncpg", ["asyncpg", "pymongo"]),
        ("import sqlalchemy, asyncpg", []),
    ],
)
def test_a_library_that_we_do_not_cover_is_named(recording, tmp_path, imports, named):
    """With OpenTelemetry's package for it, unless what is recorded stands above it."""
    for name in ("pymongo", "asyncpg"):
        (tmp_path / f"{name}.py").touch()
    program = "import sys, dashcam\nsys.path.append(sys.argv[1])\ndashcam.init('front')\n"

    _run(recording, program + imports, tmp_path)

    warnings = [event.labels for event in recording.events() if event.get("log.logger") == "dashcam.instrument"]
    assert sorted(warning["library"] for warning in warnings) == named
    assert all(f"opentelemetry-instrumentation-{each['library']}" in each["fix"] for each in warnings)
