"""What a process prints of its log calls."""

import os
import platform
import pty
import subprocess
import sys
from contextlib import suppress

import orjson
import pytest

from ..processes import finished

SCRIPT = """
import logging, sys
import dashcam
dashcam.init("cars", "1.0.0")
log = dashcam.get_logger("cars.api")
log.info("%d cars", 7, model="VW Golf", name="n", password="hunter2")
log.debug("not recorded")
logging.getLogger("library").info("an info of a library")
try:
    {}["no"]
except KeyError:
    log.exception("broken", id="\\x1b[31m")
"""


def _run(recording, script=SCRIPT, **environment):
    done = finished(script, env=recording.environment | environment)
    assert (done.returncode, done.stdout) == (0, "")
    return done.stderr


@pytest.mark.parametrize("mode", ["auto", "json"])
def test_json_where_nobody_reads(recording, mode):
    """One line an event to standard error, the same as is recorded but for its id and sequence."""
    printed = [orjson.loads(line) for line in _run(recording, DASHCAM_CONSOLE=mode).splitlines()]

    for event in printed:
        assert len(event["event"].pop("id")) == 24
    recorded = [event.fields for event in recording.events()]
    for event in recorded:
        del event["event"]["id"], event["event"]["sequence"]
    assert printed == recorded
    assert [event["message"] for event in printed] == ["7 cars", "an info of a library", "broken"]
    assert printed[0]["labels"] == {"model": "VW Golf", "name": "n", "password": "***"}


def test_text_on_demand(recording):
    """Time, level, logger, message, fields; a trace below; nothing that a terminal obeys."""
    lines = _run(recording, DASHCAM_CONSOLE="text").splitlines()

    assert [line[13:] for line in lines[:3]] == [
        'INFO     cars.api  7 cars  model="VW Golf"  name=n  password=***',
        "INFO     library  an info of a library",
        r"ERROR    cars.api  broken  id=\x1b[31m",
    ]
    assert lines[3] == "Traceback (most recent call last):"
    assert lines[-1] == "KeyError: 'no'"


def test_text_on_a_terminal(recording):
    """`auto` knows one."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], env=recording.environment, stderr=theirs)
    os.close(theirs)
    printed = b""
    with suppress(OSError):  # an error on Linux when the other side has ended, on macOS an end
        while part := os.read(ours, 10_000):
            printed += part
    os.close(ours)

    assert process.wait(timeout=100) == 0
    assert b"INFO     cars.api  7 cars" in printed
    assert b"{" not in printed.splitlines()[0]


def test_off(recording):
    """Nothing of ours; Python prints a library's warnings as it would without us."""
    script = SCRIPT + "log.error('not printed')\nlogging.getLogger('library').warning('as ever')\n"

    assert _run(recording, script, DASHCAM_CONSOLE="off") == "as ever\n"
    assert len(recording.events()) == 5


OWN = """
import logging, sys
import dashcam
{early}
dashcam.init("cars")
{late}
dashcam.get_logger("cars").warning("ours")
logging.getLogger("library").warning("theirs")
"""
CONFIGURE = "logging.basicConfig(format='own %(message)s')"


@pytest.mark.parametrize("when", ["early", "late"])
def test_a_program_that_prints_by_itself(recording, when):
    """Nothing is printed twice, and its own format stays."""
    script = OWN.format(**{"early": "", "late": ""} | {when: CONFIGURE})

    assert _run(recording, script) == "own ours\nown theirs\n"


def test_a_handler_that_does_nothing(recording):
    """Libraries add a NullHandler to their own logger; their warnings are printed all the same."""
    script = OWN.format(early="logging.getLogger('library').addHandler(logging.NullHandler())", late="")

    assert [orjson.loads(line)["message"] for line in _run(recording, script).splitlines()] == ["ours", "theirs"]


def test_an_unhandled_exception(recording):
    """Python prints it; the record has it once, and the console not a second time."""
    done = subprocess.run(
        [sys.executable, "-c", "import dashcam\ndashcam.init('cars')\n{}['no']"],
        env=recording.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.stderr.count("KeyError") == 1
    assert done.stderr.startswith("Traceback")
    assert [event.get("error.type") for event in recording.events()] == ["KeyError"]


@pytest.mark.parametrize(
    "stream", ["None", "open(__import__('os').devnull)", "type('Odd', (), {'flush': lambda self: None})()"]
)
def test_a_console_that_cannot_be_written(recording, stream):
    """Log calls go on, and are recorded."""
    script = f"import sys; sys.stderr = {stream}\n" + SCRIPT

    _run(recording, script)

    assert len(recording.events()) == 3


STUCK = """
import os, pathlib, signal, sys, threading, time
import dashcam
dashcam.init("cars")
log = dashcam.get_logger("cars")
os.set_blocking(2, False)
try:
    while True:
        os.write(2, b"." * 4096)
except BlockingIOError:
    os.set_blocking(2, True)
log_thread = threading.Thread(target=log.warning, args=["nobody reads this"], daemon=True)
log_thread.start()
writes = pathlib.Path(f"/proc/self/task/{log_thread.native_id}/syscall")
while writes.read_text().split()[:2] != ["1", "0x2"]:
    time.sleep(0.01)
child = os.fork()
if child == 0:
    log.warning("of the child")
    os._exit(7)
until_s = time.monotonic() + 10
while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < until_s:
    time.sleep(0.01)
if not ended[0]:
    os.kill(child, signal.SIGKILL)
print(os.waitstatus_to_exitcode(ended[1]) if ended[0] else "hangs")
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.skipif(
    platform.machine() != "x86_64" or sys.platform != "linux", reason="asks Linux whether a thread writes"
)
def test_a_fork_beside_a_console_that_nobody_reads(recording):
    """The child records, and does not wait for a line that a thread of its parent is in the middle of."""
    environment = recording.environment | {"DASHCAM_CONSOLE": "json"}
    # Since Python 3.12 a fork beside a thread is a warning, which would wait for the console too.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", STUCK]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.read() == b"7\n"

    assert "of the child" in [event.get("message") for event in recording.events()]
