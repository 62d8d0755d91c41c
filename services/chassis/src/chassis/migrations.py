"""A service's database schema: numbered SQL files in its package's `migrations` folder, each applied once."""

from importlib.resources import files

from psycopg2.extensions import cursor

from chassis.database import connect

LOCK = 0x64617368  # any number that nobody else takes for an advisory lock: "dash"
TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    service    text NOT NULL,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (service, name)
)
"""


def migrate(url: str, service: str) -> list[str]:
    """Bring a database to the newest schema and give the names of the migrations applied now, in order.

    All in one transaction: a failure leaves the schema as it was, and of several at once one works, the others wait.
    Raises `psycopg2.Error`.
    """
    link = connect(url)
    try:
        with link, link.cursor() as statements:
            statements.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            statements.execute(TABLE)
            missing = pending(statements, service)
            for name in missing:
                statements.execute((files(service) / "migrations" / name).read_text())
                statements.execute("INSERT INTO schema_migrations (service, name) VALUES (%s, %s)", (service, name))
    finally:
        link.close()
    return missing


def pending(statements: cursor, service: str) -> list[str]:
    """The names of the migrations not yet applied, in order; needs the table that `migrate` makes."""
    statements.execute("SELECT name FROM schema_migrations WHERE service = %s", (service,))
    applied = {name for (name,) in statements}
    known = (file.name for file in (files(service) / "migrations").iterdir())
    return sorted(name for name in known if name.endswith(".sql") and name not in applied)
