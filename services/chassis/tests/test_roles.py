"""What a service may do in PostgreSQL, tried with the role that was made for it."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest
from psycopg2.errors import DuplicateTable, InsufficientPrivilege
from psycopg2.extensions import make_dsn

from chassis.migrations import migrate
from chassis.roles import prepare

SERVICES = ("cars", "parts")

pytestmark = pytest.mark.together  # a server has one role of a name


def run(url, statement):
    with closing(psycopg2.connect(url)) as link, link.cursor() as statements:
        link.autocommit = True
        statements.execute(statement)
        return statements.fetchall() if statements.description else []


@pytest.fixture
def prepared(postgres_url):
    """The address of each service's database, with its own role."""
    for service in SERVICES:
        prepare(postgres_url, service, "secret")
    yield {service: make_dsn(postgres_url, user=service, password="secret", dbname=service) for service in SERVICES}
    for service in SERVICES:
        run(postgres_url, f"DROP DATABASE {service} WITH (FORCE)")
        run(postgres_url, f"DROP ROLE {service}")


def test_a_service_owns_its_schema(prepared):
    """Its tables are made in it, and it may do anything with them."""
    migrate(prepared["cars"], "cars")

    assert run(prepared["cars"], "SELECT DISTINCT schemaname, tableowner FROM pg_tables WHERE tablename = 'cars'") == [
        ("cars", "cars")
    ]
    run(prepared["cars"], "DROP TABLE cars")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.x (n int)",
        "CREATE SCHEMA mine",
        "CREATE DATABASE mine",
        "CREATE ROLE mine",
        "ALTER ROLE parts PASSWORD 'mine'",
        "CREATE TEMPORARY TABLE x (n int)",
        "SELECT pg_read_file('PG_VERSION')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
def test_a_service_owns_nothing_else(prepared, statement):
    """Not the database, not the server."""
    with pytest.raises(InsufficientPrivilege):
        run(prepared["cars"], statement)


def test_a_service_does_not_reach_the_other_ones_database(prepared):
    """It may not even connect."""
    with pytest.raises(psycopg2.OperationalError, match="permission denied"):
        psycopg2.connect(make_dsn(prepared["cars"], dbname="parts"))


def test_several_prepare_at_once(postgres_url, prepared):
    """Again, together, and with another password."""
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda _: prepare(postgres_url, "cars", "other"), range(4)))

    assert run(make_dsn(prepared["cars"], password="other"), "SELECT current_schema()") == [("cars",)]


def test_tables_of_an_earlier_version_move(postgres_url, prepared):
    """With their rows, from the schema that everybody shared."""
    migrate(make_dsn(postgres_url, dbname="parts"), "parts")  # as the administrator, whose schema is public
    run(make_dsn(postgres_url, dbname="parts"), "INSERT INTO shortages VALUES ('Trabant', 'engine')")

    prepare(postgres_url, "parts", "secret")

    assert migrate(prepared["parts"], "parts") == []
    assert ("Trabant", "engine") in run(prepared["parts"], "SELECT model, component FROM shortages")
    with pytest.raises(DuplicateTable):
        run(prepared["parts"], "CREATE TABLE shortages (n int)")
