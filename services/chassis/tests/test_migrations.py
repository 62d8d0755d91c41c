from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest

from chassis.database import connect
from chassis.migrations import migrate, pending


@pytest.fixture
def service(tmp_path, monkeypatch):
    """A package with two migrations, the second of which needs the first: its name and their folder."""
    name = f"works_{tmp_path.name}"  # a package is imported once, so each test has its own
    folder = tmp_path / name / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / name / "__init__.py").touch()
    (folder / "0001_first.sql").write_text("CREATE TABLE t (n integer);")
    (folder / "0002_second.sql").write_text("INSERT INTO t VALUES (7);")
    monkeypatch.syspath_prepend(tmp_path)
    return name, folder


def rows(url):
    with closing(connect(url)) as link, link.cursor() as statements:
        statements.execute("SELECT n FROM t")
        return statements.fetchall()


def test_migrations_are_applied_in_order(database_url, service):
    """A new database gets all of them."""
    assert migrate(database_url, service[0]) == ["0001_first.sql", "0002_second.sql"]
    assert rows(database_url) == [(7,)]


def test_a_migration_is_applied_once(database_url, service):
    """The second run finds nothing to do."""
    migrate(database_url, service[0])

    assert migrate(database_url, service[0]) == []
    assert rows(database_url) == [(7,)]


def test_several_at_once_apply_a_migration_once(database_url, service):
    """Of many that start together one works, the others wait and find nothing to do."""
    with ThreadPoolExecutor(6) as threads:
        applied = list(threads.map(lambda _: migrate(database_url, service[0]), range(6)))

    assert sorted(map(len, applied)) == [0, 0, 0, 0, 0, 2]
    assert rows(database_url) == [(7,)]


def test_a_failing_migration_leaves_nothing(database_url, service):
    """All are applied, or none."""
    (service[1] / "0003_third.sql").write_text("SELECT 1 / 0;")

    with pytest.raises(psycopg2.errors.DivisionByZero):
        migrate(database_url, service[0])

    with pytest.raises(psycopg2.errors.UndefinedTable):
        rows(database_url)


def test_a_new_migration_is_pending(database_url, service):
    """What was added since is named."""
    migrate(database_url, service[0])
    (service[1] / "0003_third.sql").touch()

    with closing(connect(database_url)) as link, link.cursor() as statements:
        assert pending(statements, service[0]) == ["0003_third.sql"]
