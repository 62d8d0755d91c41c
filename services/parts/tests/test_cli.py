import os
import subprocess
import sys
from pathlib import Path


def run(environment, *words):
    command = [str(Path(sys.executable).with_name("parts")), *words]
    base = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.Popen(command, env=base | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_several_migrate_at_once(database_url):
    """Started together, one process brings the schema up to date and the others agree."""
    processes = [run({"DATABASE_URL": database_url}, "migrate") for _ in range(3)]

    answers = sorted(process.communicate(timeout=30)[0] for process in processes)

    assert [process.returncode for process in processes] == [0, 0, 0]
    assert answers == ["0001_parts.sql\n", "The schema is current.\n", "The schema is current.\n"]


def test_a_missing_setting_is_told():
    """Without its setting the command says what it takes, with status 2."""
    process = run({}, "migrate")

    _, told = process.communicate(timeout=30)

    assert process.returncode == 2
    assert told == "DATABASE_URL is not set: it takes postgresql://user:password@host:port/database.\n"


def test_a_database_that_is_away_is_told():
    """A database that cannot be reached is status 3, without its password."""
    process = run({"DATABASE_URL": "postgresql://joe:s3cret@127.0.0.1:1/d"}, "migrate")

    _, told = process.communicate(timeout=30)

    assert process.returncode == 3
    assert told.startswith("PostgreSQL cannot be reached")
    assert "s3cret" not in told
