"""The command line as a whole: help, exit statuses, mistakes."""

import subprocess
import sys

import pytest

from dashcam.cli import COMMANDS
from dashcam.version import __version__

from ..processes import dashcam


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_tells_of_itself(tmp_path, command):
    """With the exit statuses, and without doing anything."""
    done = dashcam(command, "--help", folder=tmp_path)

    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: dashcam {command}")
    assert "exit status: 0 found or done" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_help(tmp_path):
    """Lists them all."""
    done = dashcam("--help", folder=tmp_path)

    assert done.returncode == 0
    assert all(f"\n  {command} " in done.stdout for command in COMMANDS)


def test_the_version(tmp_path):
    """That of the package."""
    assert dashcam("--version", folder=tmp_path).stdout == f"dashcam {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "usage: dashcam COMMAND"),
        (("trase",), "dashcam: 'trase' is not a command. Known: "),
        (("--no-such-option",), "is not a command"),
        (("trace",), "usage: dashcam trace"),
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
