import psycopg2
import pytest
from werkzeug.exceptions import ServiceUnavailable

from chassis.command import run
from chassis.settings import SettingsError


def raiser(fault):
    def work():
        """Fail."""
        raise fault

    return work


def test_a_command_prints_what_it_gives(capsys):
    """A command that worked gives status 0."""
    assert run("works", {"greet": lambda: "hello"}, ["greet"]) == 0
    assert capsys.readouterr().out == "hello\n"


@pytest.mark.parametrize(
    ("fault", "status", "told"),
    [
        (SettingsError("A is not set."), 2, "A is not set.\n"),
        (psycopg2.OperationalError("no route\n"), 3, "PostgreSQL cannot be reached: no route\n"),
        (ServiceUnavailable("away"), 3, "away\n"),
    ],
)
def test_a_fault_is_told_in_words(capsys, fault, status, told):
    """What a person can mend comes without a traceback, with a status of its own."""
    assert run("works", {"try": raiser(fault)}, ["try"]) == status
    assert capsys.readouterr().err == told


def test_an_unknown_command_is_refused(capsys):
    """Usage is status 2."""
    with pytest.raises(SystemExit, match="2"):
        run("works", {"greet": lambda: "hello"}, ["sing"])
    assert "greet" in capsys.readouterr().err
