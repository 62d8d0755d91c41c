"""A program that speaks to PostgreSQL by psycopg 3 gets what it gets without us; each of its statements is a span."""

import asyncio
import gc
import socket
import time

import psycopg
import pytest
from psycopg import rows, sql

import dashcam

from ..ports import free_port
from .conftest import assert_tells_of_failed_connect


@pytest.fixture
def cars(cars):
    dashcam.init("cars")
    return cars


@pytest.fixture
def connection(cars, postgres_url):
    with psycopg.connect(postgres_url) as connection:
        yield connection


def statements(cars):
    return [event.get("db.statement") for event in cars.events() if event.get("db")]


class Rows(psycopg.ClientCursor):
    """A cursor of a program."""


class Garage(psycopg.Connection):
    """A connection of a program, which chooses its cursors."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.cursor_factory = Rows


def test_cursors_are_what_the_program_asked_for(cars, postgres_url):
    """By a factory, by the class of the connection, or by psycopg's own choice."""
    with (
        psycopg.connect(postgres_url) as plain,
        psycopg.connect(postgres_url, cursor_factory=psycopg.RawCursor) as given,
        Garage.connect(postgres_url, row_factory=rows.dict_row) as chosen,
    ):
        assert (type(plain.cursor()), plain.cursor_factory) == (psycopg.Cursor, psycopg.Cursor)
        assert type(given.cursor()) is psycopg.RawCursor
        assert (type(chosen), type(chosen.cursor())) == (Garage, Rows)
        assert chosen.execute("SELECT %s AS car", ["golf"]).fetchall() == [{"car": "golf"}]

    assert statements(cars) == ["SELECT %s AS car"]


def copy_out(connection):
    with connection.cursor().copy("COPY (SELECT 7) TO STDOUT") as copy:
        return list(copy.rows())


def by_server(connection):
    with connection.cursor("cars") as cursor:
        cursor.execute("SELECT 7")
        return cursor.fetchall()


WAYS = {
    "execute": (lambda connection: connection.execute("SELECT 7").fetchall(), "SELECT 7"),
    "a keyword": (lambda connection: connection.execute(query="SELECT 7").fetchall(), "SELECT 7"),
    "bytes": (lambda connection: connection.execute(b"SELECT 7").fetchall(), "SELECT 7"),
    "composed": (lambda connection: connection.execute(sql.SQL("SELECT {}").format(7)).fetchall(), "SELECT 7"),
    "a cursor of its own": (
        lambda connection: psycopg.ClientCursor(connection).execute("SELECT 7").fetchall(),
        "SELECT 7",
    ),
    "a cursor of the server": (by_server, "SELECT 7"),
    "a stream": (lambda connection: list(connection.cursor().stream("SELECT 7")), "SELECT 7"),
    "COPY": (copy_out, "COPY (SELECT 7) TO STDOUT"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_statement_is_a_span(connection, cars, way):
    """However the program makes its cursor."""
    call, statement = WAYS[way]

    assert [int(row[0]) for row in call(connection)] == [7]

    (span,) = [event for event in cars.events() if event.get("db")]
    assert (span.get("db.statement"), span.get("span.name")) == (statement, statement.split()[0])
    assert (span.get("event.outcome"), span.get("db.system")) == ("success", "postgresql")


async def stream(cursor):
    return [row async for row in cursor.stream("SELECT 1/0")]


async def copy(cursor):
    async with cursor.copy("COPY (SELECT 1/0) TO STDOUT") as copied:
        return [row async for row in copied.rows()]


ASYNC = {
    "execute": ("", lambda cursor: cursor.execute("SELECT 1/0")),
    "a cursor of the server": ("cars", lambda cursor: cursor.execute("SELECT 1/0")),
    "stream": ("", stream),
    "copy": ("", copy),
}


@pytest.mark.parametrize("way", ASYNC)
def test_a_statement_of_a_coroutine_that_fails(cars, postgres_url, way):
    """Its span is a failure; the program gets the exception."""
    name, call = ASYNC[way]

    async def ask():
        async with (
            await psycopg.AsyncConnection.connect(postgres_url) as connection,
            connection.cursor(name) as cursor,
        ):
            with pytest.raises(psycopg.errors.DivisionByZero):
                await call(cursor)
            await connection.rollback()

    asyncio.run(ask())

    (span,) = [event for event in cars.events() if event.get("db")]
    assert span.get("event.outcome") == "failure"
    assert "division by zero" in span.get("error.message")


@pytest.mark.parametrize("statement", ["", " ", "/* ping */", "-- ping"])
def test_a_statement_without_a_word(connection, cars, statement):
    """As psycopg takes it; its span has the name of the database."""
    assert connection.execute(statement).pgresult.status == psycopg.pq.ExecStatus.EMPTY_QUERY

    assert [event.get("event.outcome") for event in cars.events() if event.get("db")] == ["success"]


def test_a_stream_of_a_coroutine_that_is_closed_early(cars, postgres_url):
    """Ends the statement: the connection can be used at once."""

    async def ask():
        async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
            rows = connection.cursor().stream("SELECT generate_series(1, 3)")
            await anext(rows)
            await rows.aclose()
            return connection.info.transaction_status

    assert asyncio.run(ask()) == psycopg.pq.TransactionStatus.INTRANS


def test_what_the_program_does_between_the_rows_of_a_stream(connection, cars):
    """Belongs to the program: it is no part of the statement."""
    with dashcam.job("count"):
        for _ in connection.cursor().stream("SELECT generate_series(1, 2)"):
            dashcam.get_logger("garage").info("counted")

    (job,) = [event for event in cars.events() if event.get("transaction.type") == "job"]
    assert {event.get("span.id") for event in cars.events() if event.get("message") == "counted"} == {
        job.get("span.id")
    }


class Later:
    """A coroutine of a program, run to its end."""

    @staticmethod
    def connect(address):
        async def ask():
            async with await psycopg.AsyncConnection.connect(address):
                pass

        asyncio.run(ask())


@pytest.mark.parametrize("way", [psycopg, psycopg.Connection, Garage, Later])
def test_a_database_that_cannot_be_reached(cars, way):
    """The story says so."""
    port = free_port()
    with dashcam.job("park"), pytest.raises(psycopg.OperationalError, match="Connection refused"):
        way.connect(f"postgresql://golf:hunter2@127.0.0.1:{port}/garage")

    assert_tells_of_failed_connect(cars, port)


def test_how_long_a_failed_connect_waited(cars):
    """Is what its span took: here for a server that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = {"host": "127.0.0.1", "port": server.getsockname()[1], "dbname": "garage", "connect_timeout": 2}
        began_s = time.monotonic()
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            psycopg.connect(**address)
        took_s = time.monotonic() - began_s

    (span,) = [event for event in cars.events() if event.get("db")]
    assert 1.9e9 < span.get("event.duration") <= took_s * 1e9
    assert (span.get("db.name"), span.get("server.port")) == ("garage", address["port"])


def test_where_the_environment_says_the_database_is(cars, monkeypatch):
    """The program says nothing; libpq looks there."""
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGPORT", str(free_port()))
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dbname="garage")

    (span,) = [event for event in cars.events() if event.get("db")]
    assert span.get("server.address") == "127.0.0.1"


def test_a_password_with_an_at_sign(cars):
    """What follows it is no part of the host's name."""
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect("postgresql://golf:hun@ter2@127.0.0.1:1/garage")

    (span,) = [event for event in cars.events() if event.get("db")]
    assert span.get("server.address") == "127.0.0.1"


def test_a_connect_that_succeeds(cars, postgres_url):
    """Has no span."""
    with psycopg.connect(postgres_url):
        pass

    assert cars.events() == []


def test_a_connect_that_is_cancelled(cars):
    """Is a failure, too: no connection came of it."""

    async def ask():
        with socket.create_server(("127.0.0.1", 0)) as server:
            attempt = psycopg.AsyncConnection.connect(host="127.0.0.1", port=server.getsockname()[1])
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(attempt, 0.1)

    asyncio.run(ask())
    gc.collect()  # the error has psycopg's socket

    (span,) = [event for event in cars.events() if event.get("db")]
    assert (span.get("span.name"), span.get("event.outcome")) == ("connect", "failure")
    assert "CancelledError" in span.get("error.message")
