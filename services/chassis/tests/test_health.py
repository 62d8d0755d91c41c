import pytest
from flask import Flask
from werkzeug.exceptions import ServiceUnavailable

from chassis.database import Database
from chassis.health import add_health, database_check
from chassis.migrations import migrate


def client_of(checks):
    app = Flask("works")
    add_health(app, checks)
    return app.test_client()


def refuse():
    raise ServiceUnavailable("on strike")


def test_a_process_that_answers_is_alive():
    """Health does not depend on what the service needs."""
    assert client_of({"paint": refuse}).get("/healthz").json == {"status": "alive"}


def test_a_service_is_ready_when_all_is_there():
    """Every check must pass."""
    assert client_of({"paint": lambda: None}).get("/readyz").json == {"status": "ready"}


def test_a_service_names_all_that_is_missing():
    """The answer says what failed and why."""
    answer = client_of({"paint": refuse, "steel": refuse, "glass": lambda: None}).get("/readyz")

    assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
    assert answer.json["detail"] == "Not ready. paint: on strike steel: on strike"


def test_an_empty_database_is_not_ready(database_url):
    """A database without the schema is of no use, and the reason says what to do."""
    with pytest.raises(ServiceUnavailable, match="parts migrate"):
        database_check(Database(database_url), "parts")()


def test_a_database_with_a_part_of_the_schema_is_not_ready(database_url):
    """Another service's schema does not count."""
    migrate(database_url, "cars")

    with pytest.raises(ServiceUnavailable, match="parts migrate"):
        database_check(Database(database_url), "parts")()


def test_a_database_with_the_schema_is_ready(database_url):
    """After `migrate` the check passes."""
    migrate(database_url, "parts")
    database = Database(database_url)

    database_check(database, "parts")()

    database.close()


def test_a_database_that_is_away_is_not_ready():
    """Without a database there is an answer all the same."""
    answer = client_of({"database": database_check(Database("postgresql://127.0.0.1:1/d"), "parts")}).get("/readyz")

    assert answer.json["detail"] == "Not ready. database: The database gave no answer."
