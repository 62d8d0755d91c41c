"""PostgreSQL through a bounded pool that waits, but never longer than the deadline allows."""

import math
import select
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, LifoQueue
from threading import BoundedSemaphore

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, connection, cursor, set_wait_callback
from psycopg2.extras import register_uuid
from werkzeug.exceptions import ServiceUnavailable

from chassis.deadline import remaining_s, within

CONNECT_S = 2.0  # A server on the same network accepts in milliseconds; longer means it is not there.


class DatabaseUnavailable(ServiceUnavailable):
    """The database gave no answer, or no connection, in time. HTTP status 503."""


class Database:
    """A pool of up to `size` connections to one database; a transaction waits up to `wait_s` for a free one.

    It opens none before the first transaction, so it may be made before a fork. Safe for threads. The server ends a
    statement after `statement_s`, so that it does no work nobody waits for any more.
    """

    def __init__(self, url: str, *, size: int = 8, wait_s: float = 2.0, statement_s: float = 10.0) -> None:
        self._url = url
        self._size = size
        self._wait_s = wait_s
        self._options = f"-c statement_timeout={statement_s * 1000:.0f} -c timezone=UTC"
        self._free = BoundedSemaphore(size)
        self._idle: LifoQueue[connection] = LifoQueue()

    @contextmanager
    def transaction(self) -> Iterator[cursor]:
        """A cursor whose work is committed at the end, or undone by an exception.

        Raises `DatabaseUnavailable` when there is no connection, no answer in time, or the connection breaks.
        """
        if not self._free.acquire(timeout=min(self._wait_s, remaining_s())):
            raise DatabaseUnavailable(f"All {self._size} connections to the database are in use.", retry_after=1)
        try:
            with self._connection() as held, held, held.cursor() as statements:
                yield statements
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as fault:
            raise DatabaseUnavailable("The database gave no answer.", retry_after=1) from fault
        finally:
            self._free.release()

    @contextmanager
    def _connection(self) -> Iterator[connection]:
        held = self._idle_connection() or connect(self._url, self._options)
        try:
            yield held
        finally:
            if not held.closed:
                self._idle.put(held)

    def _idle_connection(self) -> connection | None:
        while True:
            try:
                held = self._idle.get_nowait()
            except Empty:
                return None
            if _is_quiet(held):
                return held
            held.close()

    def close(self) -> None:
        """Close the connections not in use."""
        while held := self._idle_connection():
            held.close()


def connect(url: str, options: str = "") -> connection:
    """A new connection; raises `psycopg2.OperationalError`."""
    with within(CONNECT_S):
        return psycopg2.connect(url, options=options)


def _is_quiet(held: connection) -> bool:
    # Between transactions a server says nothing; a goodbye or an end of file means it went away.
    poller = select.poll()
    poller.register(held.fileno(), select.POLLIN)
    return not poller.poll(0)


def _wait(held: connection) -> None:
    # libpq itself would wait for ever for a server that hangs: neither its connect_timeout nor statement_timeout,
    # which the server keeps, bounds that. An exception here makes psycopg2 close the connection.
    poller = select.poll()
    while (state := held.poll()) != POLL_OK:
        poller.register(held.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
        left_s = remaining_s()
        if not poller.poll(None if math.isinf(left_s) else left_s * 1000):
            raise psycopg2.OperationalError("no answer from PostgreSQL within the deadline")


set_wait_callback(_wait)
register_uuid()  # type: ignore[no-untyped-call]
