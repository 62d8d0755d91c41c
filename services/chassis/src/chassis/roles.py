"""A service's own place in PostgreSQL: a role that owns one schema in one database, and nothing else."""

from contextlib import closing

from psycopg2.extensions import connection, cursor, make_dsn
from psycopg2.sql import SQL, Identifier

from chassis.database import connect
from chassis.migrations import LOCK

# The tables of an installation whose services shared the administrator's role.
_FORMER_TABLES = """
SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tableowner = current_user
AND to_regclass('public.schema_migrations') IS NOT NULL
"""


def prepare(admin_url: str, service: str, password: str) -> None:
    """Make the role, the database and the schema named after a service, as far as they are missing.

    The role gets the password, may connect to its database, where nobody else may, and finds its schema first.
    Tables of the service that an earlier version left in the schema `public` move into it. Safe to run at any time,
    and several times at once. Raises `psycopg2.Error`; the administrator's role needs to be a superuser.
    """
    with closing(connect(admin_url)) as admin:
        admin.autocommit = True
        with admin.cursor() as statements:
            statements.execute("SELECT pg_advisory_lock(%s)", (LOCK,))  # the server releases it when the session ends
            _make_role(statements, service, password)
            _make_database(statements, service)
        with closing(connect(make_dsn(admin_url, dbname=service))) as own:
            _make_schema(own, service)


def _make_role(statements: cursor, service: str, password: str) -> None:
    statements.execute("SELECT FROM pg_roles WHERE rolname = %s", (service,))
    if not statements.rowcount:
        statements.execute(SQL("CREATE ROLE {}").format(Identifier(service)))
    statements.execute(
        SQL("ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD %s").format(
            Identifier(service)
        ),
        (password,),
    )


def _make_database(statements: cursor, service: str) -> None:
    statements.execute("SELECT FROM pg_database WHERE datname = %s", (service,))
    if not statements.rowcount:
        statements.execute(SQL("CREATE DATABASE {}").format(Identifier(service)))
    for statement in ("REVOKE ALL ON DATABASE {0} FROM PUBLIC", "GRANT CONNECT ON DATABASE {0} TO {0}"):
        statements.execute(SQL(statement).format(Identifier(service)))


def _make_schema(own: connection, service: str) -> None:
    name = Identifier(service)
    with own, own.cursor() as statements:
        statements.execute(SQL("CREATE SCHEMA IF NOT EXISTS {0} AUTHORIZATION {0}").format(name))
        statements.execute(SQL("ALTER ROLE {0} IN DATABASE {0} SET search_path = {0}").format(name))
        statements.execute(_FORMER_TABLES)
        for (table,) in statements.fetchall():
            former = Identifier("public", table)
            statements.execute(SQL("ALTER TABLE {} OWNER TO {}").format(former, name))
            statements.execute(SQL("ALTER TABLE {} SET SCHEMA {}").format(former, name))
