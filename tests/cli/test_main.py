"""The command line as a whole: help, exit statuses, mistakes."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from dashcam.cli import COMMANDS, main
from dashcam.version import __version__

from ..processes import dashcam

ROOT = Path(__file__).parents[2]
FILES = {command.replace("-", "_") for command in COMMANDS}


def test_each_command_has_a_file_of_its_name():
    """`dashcam fake-loggly` is in cli/commands/fake_loggly.py, and no other file is in that folder."""
    files = {path.stem for path in (ROOT / "src" / "dashcam" / "cli" / "commands").glob("*.py")}

    assert files - {"__init__"} == FILES


def test_each_command_has_a_test_of_its_name():
    """Those of `dashcam fake-loggly` are in tests/cli/commands/test_fake_loggly.py."""
    files = {path.stem for path in (ROOT / "tests" / "cli" / "commands").glob("test_*.py")}

    assert files == {f"test_{file}" for file in FILES}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_tells_of_itself(tmp_path, monkeypatch, capsys, command):
    """With the exit statuses, and without doing anything."""
    monkeypatch.setenv("DASHCAM_DIR", str(tmp_path))

    with pytest.raises(SystemExit) as end:
        main([command, "--help"])

    printed = capsys.readouterr().out
    assert end.value.code == 0
    assert printed.startswith(f"usage: dashcam {command}")
    assert "Exit status: 0 found or done" in printed
    assert max(map(len, printed.splitlines())) <= 80
    assert list(tmp_path.iterdir()) == []


def test_help(tmp_path):
    """Lists them all."""
    done = dashcam("--help", folder=tmp_path)

    assert done.returncode == 0
    assert all(f"\n  {command} " in done.stdout for command in COMMANDS)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_help_is_a_command_too(tmp_path):
    """For all commands, and for one."""
    assert dashcam("help", folder=tmp_path).stdout == dashcam("--help", folder=tmp_path).stdout
    assert dashcam("help", "trace", folder=tmp_path).stdout == dashcam("trace", "--help", folder=tmp_path).stdout


def test_the_version(tmp_path):
    """That of the package."""
    assert dashcam("--version", folder=tmp_path).stdout == f"dashcam {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "usage: dashcam COMMAND"),
        (("trac",), "dashcam: 'trac' is not a command. Did you mean trace?"),
        (("wibble",), "dashcam: 'wibble' is not a command. Known: "),
        (("--no-such-option",), "is not a command"),
        (("trace",), "dashcam: Give an ID, or --last for the newest."),
        (("cat", "--json"), "unrecognized arguments: --json"),
        (("search", "status:abc"), "'abc' is not a value of http.response.status_code"),
        (("search", "--since", "1h", "--until", "2h"), "The period is empty"),
        (("copy", "--from", "local", "--to", "bogus", "--since", "1d"), "--to 'bogus' is not a destination. Known: "),
        (("copy", "--from", "bogus", "--to", "local", "--since", "1d"), "--from 'bogus' is not a destination"),
        (("copy", "--from", "stdout", "--to", "local", "--since", "1d"), "--from stdout: this destination cannot be"),
        (("status", "--colour"), "unrecognized arguments: --colour"),
        (("search", "a:(b"), "dashcam: "),
    ],
)
def test_mistakes(tmp_path, arguments, expected):
    """Say what is wrong on standard error; exit status 2."""
    done = dashcam(*arguments, folder=tmp_path, LOG_BACKEND="local")

    assert done.returncode == 2
    assert expected in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_the_command_is_installed():
    """Beside the interpreter that has the package."""
    command = sys.executable.rpartition("/")[0] + "/dashcam"

    assert subprocess.run([command, "--version"], capture_output=True, check=True).stdout.startswith(b"dashcam ")


@pytest.mark.parametrize("words", [["ship", "--drain"], ["replay"]])
def test_a_command_leaves_the_log_of_its_process_as_it_was(tmp_path, monkeypatch, words):
    """A program that calls `main` gets no line of a later delivery on a standard error that may be closed by then."""
    monkeypatch.setenv("DASHCAM_DIR", str(tmp_path))
    log = logging.getLogger("dashcam.ship")
    before = log.handlers[:], log.level, log.propagate

    main(words)

    assert (log.handlers, log.level, log.propagate) == before
