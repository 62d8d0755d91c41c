import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import psycopg2
import pytest

from chassis.database import Database, DatabaseUnavailable
from chassis.deadline import within


@pytest.fixture
def database(database_url):
    """A pool of one connection."""
    made = Database(database_url, size=1, wait_s=0.2)
    yield made
    made.close()


def value(database, statement):
    with database.transaction() as statements:
        statements.execute(statement)
        [(found,)] = statements.fetchall()
        return found


def test_work_is_committed(database):
    """What a transaction did is there in the next one."""
    with database.transaction() as statements:
        statements.execute("CREATE TABLE t AS SELECT 7 AS n")

    assert value(database, "SELECT n FROM t") == 7


def test_an_exception_undoes_the_work(database):
    """A transaction left by an exception leaves nothing."""
    with pytest.raises(psycopg2.errors.DivisionByZero):
        value(database, "CREATE TABLE t (); SELECT 1 / 0")

    assert value(database, "SELECT to_regclass('t') IS NULL")


def test_a_connection_is_used_again(database):
    """Two transactions after each other share a connection."""
    first = value(database, "SELECT pg_backend_pid()")

    assert value(database, "SELECT pg_backend_pid()") == first


def test_a_full_pool_answers_after_a_bounded_wait(database):
    """Who gets no connection in time is told so, and not left waiting."""
    started = time.monotonic()

    with database.transaction(), pytest.raises(DatabaseUnavailable, match="in use"), database.transaction():
        pass

    assert 0.2 <= time.monotonic() - started < 2


def test_a_wait_ends_when_a_connection_is_free(database_url):
    """A transaction that has to wait begins as soon as another one ends."""
    database = Database(database_url, size=1, wait_s=30)
    is_held, is_waiting = Event(), Event()

    def hold():
        with database.transaction():
            is_held.set()
            assert is_waiting.wait(10)

    with ThreadPoolExecutor() as threads:
        threads.submit(hold)
        assert is_held.wait(10)
        answer = threads.submit(value, database, "SELECT 7")
        is_waiting.set()
        assert answer.result(10) == 7
    database.close()


def test_a_connection_the_server_ended_is_replaced(database, postgres_url):
    """After a restart of the server the next transaction just works."""
    pid = value(database, "SELECT pg_backend_pid()")

    other = psycopg2.connect(postgres_url)
    with other.cursor() as statements:
        statements.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    other.close()

    assert value(database, "SELECT pg_backend_pid()") != pid


def test_a_connection_that_ends_in_use_is_not_kept(database):
    """A transaction whose server goes away fails, and the next one gets another connection."""
    with pytest.raises(DatabaseUnavailable):
        value(database, "SELECT pg_terminate_backend(pg_backend_pid())")

    assert value(database, "SELECT 7") == 7


def test_a_server_that_hangs_costs_no_more_than_the_deadline(database):
    """A frozen server is left at the deadline, and its connection with it."""
    pid = value(database, "SELECT pg_backend_pid()")
    started = time.monotonic()

    os.kill(pid, signal.SIGSTOP)
    try:
        with within(0.2), pytest.raises(DatabaseUnavailable):
            value(database, "SELECT 7")
    finally:
        os.kill(pid, signal.SIGCONT)

    assert time.monotonic() - started < 2
    assert value(database, "SELECT pg_backend_pid()") != pid


def test_a_server_that_says_nothing_costs_no_more_than_the_deadline():
    """A port that accepts and stays silent is no database."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = Database(f"postgresql://127.0.0.1:{silent.getsockname()[1]}/d")

        with within(0.2), pytest.raises(DatabaseUnavailable):
            value(database, "SELECT 7")


def test_no_server_is_told_at_once():
    """A port nobody listens on is no database."""
    with pytest.raises(DatabaseUnavailable):
        value(Database("postgresql://127.0.0.1:1/d"), "SELECT 7")


def test_the_server_ends_a_statement_that_takes_too_long(database_url):
    """The server is told to stop what nobody waits for any more."""
    database = Database(database_url, statement_s=0.1)

    with pytest.raises(DatabaseUnavailable) as caught:
        value(database, "SELECT pg_sleep(20)")

    assert isinstance(caught.value.__cause__, psycopg2.errors.QueryCanceled)
    database.close()


def test_a_failed_wait_gives_its_place_back(database):
    """However a transaction ends, the pool keeps its size."""
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            value(database, "SELECT pg_terminate_backend(pg_backend_pid())")

    assert value(database, "SELECT 7") == 7
