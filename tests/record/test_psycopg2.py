"""A program that speaks to PostgreSQL gets what it gets without us, and each of its statements is a span."""

import contextlib
import functools
import io
import types

import psycopg2
import pytest
from psycopg2 import extensions, extras, pool, sql

import dashcam

from ..ports import free_port
from .conftest import assert_tells_of_failed_connect

QUERY = "SELECT 1 AS number, 'golf' AS name"
DICTIONARY, PLAIN = {"number": 1, "name": "golf"}, (1, "golf")


@pytest.fixture
def cars(cars, postgres_url):
    dashcam.init("cars")
    return cars


@pytest.fixture
def connect(cars, postgres_url):
    with contextlib.ExitStack() as stack:

        def connect(*args, **kwargs):
            return stack.enter_context(contextlib.closing(psycopg2.connect(postgres_url, *args, **kwargs)))

        yield connect


def statements(cars):
    return [event.get("db.statement") for event in cars.events() if event.get("db")]


class Garage(extensions.connection):
    """A class of a program, with a cursor of its own."""

    def cursor(self, *args, **kwargs):
        kwargs.setdefault("cursor_factory", extras.NamedTupleCursor)
        return super().cursor(*args, **kwargs)


@pytest.mark.parametrize(
    ("given", "row", "is_dictionary"),
    [
        ({}, PLAIN, False),
        ({"connection_factory": extras.RealDictConnection}, DICTIONARY, True),
        ({"connection_factory": extras.DictConnection}, [1, "golf"], False),
        ({"connection_factory": extras.NamedTupleConnection}, PLAIN, False),
        ({"connection_factory": Garage}, PLAIN, False),
        ({"connection_factory": lambda dsn, **_: extras.RealDictConnection(dsn)}, DICTIONARY, True),
        ({"cursor_factory": extras.RealDictCursor}, DICTIONARY, True),
        ({"cursor_factory": functools.partial(extras.RealDictCursor)}, DICTIONARY, True),
        ({"connection_factory": extras.DictConnection, "cursor_factory": extras.RealDictCursor}, DICTIONARY, True),
    ],
)
def test_rows_are_what_the_program_asked_for(connect, cars, given, row, is_dictionary):
    """Whatever makes its connections and cursors; and the statement is seen."""
    connection = connect(**given)
    with connection.cursor() as cursor:
        cursor.execute(QUERY)
        found = cursor.fetchone()

    assert found == row
    assert isinstance(found, dict) == is_dictionary
    assert statements(cars) == [QUERY]


@pytest.mark.parametrize("connection_factory", [None, extras.DictConnection])
@pytest.mark.parametrize("name", [None, "on the server"])
def test_a_cursor_of_an_explicit_factory(connect, cars, connection_factory, name):
    """Gives its own rows, and its statements are seen."""
    connection = connect(connection_factory=connection_factory)
    with connection.cursor(name, cursor_factory=extras.RealDictCursor) as cursor:
        cursor.execute(QUERY)
        assert cursor.fetchone() == DICTIONARY

    assert statements(cars) == [QUERY]


def test_a_factory_by_position(connect, cars):
    """Is one too, also of a connection."""
    connection = connect(extras.DictConnection)
    with connection.cursor() as cursor:
        cursor.execute(QUERY)
        assert cursor.fetchone()["name"] == "golf"
    with connect().cursor("on the server", extras.RealDictCursor) as cursor:
        cursor.execute(QUERY)
        assert cursor.fetchone() == DICTIONARY

    assert statements(cars) == [QUERY, QUERY]


def test_a_connection_that_logs(connect, cars):
    """Writes the log of the program."""
    log = io.StringIO()
    connection = connect(connection_factory=extras.LoggingConnection)
    connection.initialize(log)
    with connection.cursor() as cursor:
        cursor.execute(QUERY)

    assert QUERY in log.getvalue()
    assert statements(cars) == [QUERY]


def test_classes_look_like_the_program_s_own(connect):
    """By name, by ancestry, and in what can be set on them."""
    connection = connect()
    cursor = connection.cursor()

    assert isinstance(connection, extensions.connection)
    assert (type(connection).__name__, type(cursor).__name__) == ("connection", "cursor")
    assert connection.cursor_factory is None
    assert type(psycopg2.connect) is types.FunctionType
    for each in (connection, cursor):
        with pytest.raises(AttributeError):
            each.car_id = 7


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        (sql.SQL("SELECT {}").format(sql.Literal(1)), "SELECT 1"),
        (sql.SQL("SELECT 1"), "SELECT 1"),
        (b"SELECT 1", "SELECT 1"),
        ("/* of a car */ SELECT 1", "/* of a car */ SELECT 1"),
    ],
)
def test_statements_of_any_form(connect, cars, statement, text):
    """Text, bytes, and what `psycopg2.sql` makes; the name is the operation."""
    with connect().cursor() as cursor:
        cursor.execute(statement)
        cursor.execute(query=statement)

    assert statements(cars) == [text, text]
    assert {event.get("message") for event in cars.events() if event.is_span} == {"SELECT"}


def test_a_second_statement_is_like_the_first(connect, cars):
    """The attributes that a connection's statements share are kept from its first one."""
    with connect().cursor() as cursor:
        for number in (1, 2, 3):
            cursor.execute(f"SELECT {number}")

    first, *others = [event for event in cars.events() if event.is_span]
    assert [event.get("db.statement") for event in others] == ["SELECT 2", "SELECT 3"]
    for event in others:
        assert event.get("message") == first.get("message") == "SELECT"
        for name in ("span.kind", "span.type", "span.subtype", "db.system", "db.name", "server", "labels"):
            assert event.get(name) == first.get(name), name


def test_many_and_procedures(connect, cars):
    """`executemany`, `callproc`, and the helpers of `psycopg2.extras`."""
    with connect().cursor() as cursor:
        cursor.executemany("SELECT %s", [(1,), (2,)])
        cursor.callproc("now")
        extras.execute_batch(cursor, "SELECT %s", [(1,)])
        extras.execute_values(cursor, "SELECT * FROM (VALUES %s) AS cars", [(1,), (2,)])

    assert statements(cars) == ["SELECT %s", "now", "SELECT 1", "SELECT * FROM (VALUES (1),(2)) AS cars"]


@pytest.mark.parametrize("statement", ["SELECT 1 / 0", "", None, 7])
def test_a_statement_that_fails(connect, cars, statement, postgres_url):
    """Raises what it raises without us, and is a failure."""
    failures = []
    for connection in (extensions.connection(postgres_url), connect()):
        with contextlib.closing(connection), connection.cursor() as cursor:
            try:
                cursor.execute(statement)
            except Exception as error:  # noqa: BLE001 — whatever it raises
                failures.append((type(error), str(error)))

    assert failures[:1] == failures[1:] != []
    (event,) = [event for event in cars.events() if event.is_span]
    assert event.get("event.outcome") == "failure"


def test_two_databases(connect, cars, new_database):
    """Each statement names the database of its own connection."""
    first = connect()
    other = psycopg2.connect(new_database())
    with contextlib.closing(other), other.cursor() as cursor:
        cursor.execute("SELECT 2")
    with first.cursor() as cursor:
        cursor.execute("SELECT 1")

    names = {event.get("db.statement"): event.get("db.name") for event in cars.events() if event.get("db")}
    assert names["SELECT 1"] == "postgres"
    assert names["SELECT 2"].startswith("test_")


def test_a_pool(cars, postgres_url):
    """Makes its connections by `connect` too."""
    connections = pool.SimpleConnectionPool(1, 2, postgres_url, connection_factory=extras.RealDictConnection)
    connection = connections.getconn()
    with connection.cursor() as cursor:
        cursor.execute(QUERY)
        assert cursor.fetchall() == [DICTIONARY]
    connections.putconn(connection)
    connections.closeall()

    assert statements(cars) == [QUERY]


def test_functions_of_psycopg2_take_our_objects(connect):
    """Those written in C check what they are given."""
    connection = connect()
    with connection.cursor() as cursor:
        assert extensions.quote_ident("a car", cursor) == '"a car"'
        assert sql.Identifier("a car").as_string(connection) == '"a car"'
        extras.register_uuid(conn_or_curs=cursor)
        assert cursor.mogrify("SELECT %s", (1,)) == b"SELECT 1"


def test_a_database_that_cannot_be_reached(cars):
    """The story says so."""
    port = free_port()
    with dashcam.job("park"), pytest.raises(psycopg2.OperationalError, match="Connection refused"):
        psycopg2.connect(host="127.0.0.1", port=port, dbname="garage", user="golf", password="hunter2")

    assert_tells_of_failed_connect(cars, port)


def test_a_span_of_the_program_that_is_called_so(cars):
    """It takes nothing away from the story."""
    with dashcam.job("connect"), pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(host="127.0.0.1", port=free_port(), dbname="garage")

    assert [event.get("span.name") for event in cars.events() if event.get("db")] == ["connect"]


def test_a_server_that_refuses(cars, new_database):
    """It was reached, and has no such database; the password is right."""
    address = extensions.parse_dsn(new_database()) | {"dbname": "nowhere"}
    with pytest.raises(psycopg2.OperationalError, match="does not exist"):
        psycopg2.connect(**address)

    (span,) = [event for event in cars.events() if event.get("span.name") == "connect"]
    assert (span.get("db.name"), span.get("server.address")) == ("nowhere", address["host"])
    assert 'database "nowhere" does not exist' in span.get("error.message")
