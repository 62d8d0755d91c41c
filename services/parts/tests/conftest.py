import pytest

from chassis.database import Database
from chassis.migrations import migrate
from parts.app import create_app
from parts.settings import Settings
from parts.warehouse import Warehouse


@pytest.fixture
def parts_database_url(database_url):
    """A database with the schema."""
    migrate(database_url, "parts")
    return database_url


@pytest.fixture
def client(parts_database_url):
    """A client of the service."""
    app = create_app(Settings(parts_database_url))
    yield app.test_client()
    app.extensions["database"].close()


@pytest.fixture
def warehouse(parts_database_url):
    """A warehouse with a database of its own."""
    database = Database(parts_database_url)
    yield Warehouse(database)
    database.close()
