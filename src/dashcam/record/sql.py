"""What is known of an SQL statement before it runs."""

from typing import Any


def text_of(statement: Any, cursor: Any) -> str:
    """Return the text of a statement, also of one that psycopg or psycopg2 composes; empty if it has none.

    >>> text_of(b"SELECT 1", None)
    'SELECT 1'
    """
    try:
        if hasattr(statement, "as_string"):  # of both libraries' `Composable`
            return str(statement.as_string(cursor))
        return statement.decode("utf-8", "replace") if isinstance(statement, bytes) else str(statement)
    except Exception:  # noqa: BLE001 — the library says what is wrong with a statement
        return ""
