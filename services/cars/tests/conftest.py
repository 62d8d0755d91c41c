import pytest

import parts.app
import parts.settings
from cars.app import create_app
from cars.settings import Settings
from chassis.database import Database
from chassis.migrations import migrate

from .processes import started, wait_for
from .servers import served


@pytest.fixture
def cars_database_url(new_database):
    """A database with the schema of cars."""
    url = new_database()
    migrate(url, "cars")
    return url


@pytest.fixture
def parts_database_url(new_database):
    """A database with the schema of parts."""
    url = new_database()
    migrate(url, "parts")
    return url


@pytest.fixture
def sql(cars_database_url, parts_database_url):
    """A function that runs a statement in the database of "cars" or "parts" and gives the rows."""
    databases = {"cars": Database(cars_database_url), "parts": Database(parts_database_url)}

    def run(service, statement):
        with databases[service].transaction() as statements:
            statements.execute(statement)
            return statements.fetchall() if statements.description else []

    yield run
    for database in databases.values():
        database.close()


@pytest.fixture
def parts_app(parts_database_url):
    """The real parts service."""
    app = parts.app.create_app(parts.settings.Settings(parts_database_url))
    yield app
    app.extensions["database"].close()


@pytest.fixture
def client_of(cars_database_url):
    """A function that gives a client of cars which finds parts at an address."""
    apps = []

    def make(url, **patience):
        apps.append(create_app(Settings(cars_database_url, url, **patience)))
        return apps[-1].test_client()

    yield make
    for app in apps:
        app.extensions["database"].close()
        app.extensions["parts"].close()


@pytest.fixture
def client(parts_app, client_of):
    """A client of cars, with the real parts behind it."""
    with served(parts_app) as url:
        yield client_of(url)


@pytest.fixture
def start(tmp_path, recording):
    """A function that starts a service, which is part of the recording."""

    def run(name, **environment):
        return started(name, tmp_path, recording.environment | environment)

    return run


@pytest.fixture(name="parts")
def serve_parts(start, parts_database_url):
    """The parts service."""
    with start("parts", DATABASE_URL=parts_database_url) as service:
        wait_for(service.is_ready)
        yield service


@pytest.fixture(name="cars")
def serve_cars(start, parts, cars_database_url):
    """The cars service, with parts behind it."""
    with start("cars", DATABASE_URL=cars_database_url, PARTS_URL=parts.url) as service:
        wait_for(service.is_ready)
        yield service
