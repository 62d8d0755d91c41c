"""Whatever a command prints, nothing in it acts on the terminal, and an output that fails is a sentence."""

import io
import json
import subprocess
import sys

import pytest

from dashcam.cli import main
from dashcam.cli.door import Door

from ..processes import dashcam, dashcam_environment
from ..show import events
from .recorded import record

DASHCAM = [sys.executable, "-m", "dashcam"]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain, déjà vu, 東京\tand a line\n", "plain, déjà vu, 東京\tand a line\n"),
        ("\x1b]52;c;aGk=\x07", "\\u001b]52;c;aGk=\\u0007"),
        ("\x9b31m", "\\u009b31m"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("\r\x7f", "\\u000d\\u007f"),
        ("\U000e0001", "\\udb40\\udc01"),
        ("a\u00a0b", "a\u00a0b"),
    ],
)
def test_what_a_terminal_acts_on_is_escaped(text, written):
    """As JSON does it, so that a line of JSON is still the same."""
    stream = io.StringIO()

    Door(stream, "a stream").write(text)

    assert stream.getvalue() == written


def test_a_services_name_is_escaped(tmp_path):
    """Whoever may write into the spool chooses it."""
    code = "import dashcam; dashcam.init('ca\\x1b]52;c;aGk=\\x07rs'); dashcam.get_logger('cars').info('made')"
    subprocess.run([sys.executable, "-c", code], env=dashcam_environment(tmp_path), check=True, timeout=60)

    done = dashcam("status", folder=tmp_path)

    assert "rs" in done.stdout
    assert not {"\x1b", "\x07", "\x9b"} & set(done.stdout + done.stderr)


def test_an_argument_is_escaped(tmp_path):
    """An error repeats it."""
    done = dashcam("trace", "--no\x1b[2J", folder=tmp_path)

    assert done.returncode == 2
    assert "\x1b" not in done.stderr


def test_json_stays_the_same(tmp_path):
    """What is escaped means the same text."""
    record(tmp_path, 1)
    code = "import dashcam; dashcam.init('cars'); dashcam.get_logger('cars').info('a\\u202eb\\u0085c')"
    subprocess.run([sys.executable, "-c", code], env=dashcam_environment(tmp_path), check=True, timeout=60)

    printed = [json.loads(line)["message"] for line in dashcam("cat", folder=tmp_path).stdout.splitlines()]

    assert "a\u202eb\u0085c" in printed


@pytest.mark.parametrize("command", [["status"], ["settings"], ["help"]])
def test_a_full_disk_is_a_sentence(tmp_path, command):
    """Standard output that takes nothing: exit status 1 and no traceback."""
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [*DASHCAM, *command],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=dashcam_environment(tmp_path),
            check=False,
            timeout=60,
        )

    assert (done.returncode, done.stderr) == (1, "dashcam: standard output: No space left on device\n")


def test_a_closed_output_is_a_sentence(tmp_path):
    """`dashcam search >&-`."""
    command = ["sh", "-c", '"$@" >&-', "sh", *DASHCAM, "search"]
    done = subprocess.run(
        command, stderr=subprocess.PIPE, text=True, env=dashcam_environment(tmp_path), check=False, timeout=60
    )

    assert (done.returncode, done.stderr) == (1, "dashcam: standard output: it is closed\n")


@pytest.mark.parametrize("command", ["overview", "errors", "map"])
def test_what_strangers_wrote_cannot_act_on_a_terminal(put, capsys, command):
    """Control and direction marks are spelled out."""
    odd = events.Service("ca\x1b[2Jrs\u202e", [])
    odd.server(0, 1, "GET /\x1b]0;x", 500, events.ROOT)
    odd.line(0, "bro\x9bken\u200b", events.ROOT, level="error")
    odd.query(0, 1, "SELECT 1", "1" * 16, parent=events.ROOT)
    put(*odd.events)

    assert main([command, "--since", "2026-11-24T01:30:00Z"]) == 0
    assert all(character.isprintable() or character == "\n" for character in capsys.readouterr().out)
