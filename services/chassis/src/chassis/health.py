"""The answers of a service to the questions if it lives, and if it can do its work."""

from collections.abc import Callable, Mapping

from flask import Flask
from opentelemetry.instrumentation.utils import suppress_instrumentation
from werkzeug import Response
from werkzeug.exceptions import HTTPException, ServiceUnavailable

from chassis.database import Database
from chassis.deadline import within
from chassis.migrations import pending
from chassis.problems import problem

CHECK_S = 2.0  # shorter than what orchestrators wait for a probe by default

Check = Callable[[], None]


def add_health(app: Flask, checks: Mapping[str, Check]) -> None:
    """Add `/healthz`, the process is alive, and `/readyz`, no check raises an HTTP error; 503 names what is missing."""

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    def readyz() -> dict[str, str] | Response:
        if missing := [f"{name}: {fault}" for name, check in checks.items() if (fault := _fault(check))]:
            return problem(ServiceUnavailable(f"Not ready. {' '.join(missing)}", retry_after=1))
        return {"status": "ready"}


def database_check(database: Database, service: str) -> Check:
    """The check that a database answers and has the newest schema."""

    def check() -> None:
        with database.transaction() as statements:
            statements.execute("SELECT to_regclass('schema_migrations') IS NULL")
            is_empty = statements.fetchone() == (True,)
            if is_empty or pending(statements, service):
                raise ServiceUnavailable(f"The schema is not current, `{service} migrate` brings it up to date.")

    return check


def _fault(check: Check) -> str:
    try:
        with within(CHECK_S), suppress_instrumentation():  # probes come every few seconds, and are no one's story
            check()
    except HTTPException as fault:
        return str(fault.description)
    return ""
