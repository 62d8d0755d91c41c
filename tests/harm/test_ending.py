"""Programs that end while threads and finalizers log: the process ends, and each line is kept or counted."""

import re
import subprocess
import sys

import pytest

from dashcam.spool.drops import read_drops

from ..spool.spools import read_spool

DEADLINE_S = 30  # an end takes less than a second

PROLOGUE = """
import atexit, builtins, gc, logging, os, random, sys, threading, time
from pathlib import Path
import dashcam
from dashcam.settings import RecordSettings

folder, way, console = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
dashcam.init("ending", settings=RecordSettings(dir=folder, console=console))
log = dashcam.get_logger("ending") if way == "dashcam" else logging.getLogger("ending")
gc.disable()  # what is not freed before is at the end

class Last:
    def __init__(self, name, lines=1, filling=""):
        self.name, self.lines, self.filling, self.itself = name, lines, filling, self
    def __del__(self):
        for line in range(self.lines): log.info(f"last {self.name} {line} {self.filling}")
"""


def _end(code, folder, way="dashcam", console="off"):
    """Run a program to its end; its exit status, and what it printed to standard error."""
    command = [sys.executable, "-c", PROLOGUE + code, str(folder), way, console]
    nothing, pipe = subprocess.DEVNULL, subprocess.PIPE
    done = subprocess.run(command, stdout=nothing, stderr=pipe, check=False, timeout=DEADLINE_S)
    return done.returncode, done.stderr.decode()


def _last_lines(folder):
    """The lines of finalizers that are in the spool."""
    return re.findall(r'"message":"last ([\w ]+) ', b"".join(read_spool(folder / "spool")).decode())


THREADS = """
def work():
    while True: log.info("x" * 8000)
Last("cycle", 300, "x" * 8000)
for _ in range(4): threading.Thread(target=work, daemon=True).start()
time.sleep(random.random() * 0.05)
"""
TRIES = pytest.mark.parametrize("tries", [3, pytest.param(200, marks=pytest.mark.long)])


@TRIES
@pytest.mark.parametrize("console", ["off", "json"])
@pytest.mark.parametrize("way", ["dashcam", "logging"])
def test_threads_that_log_until_they_are_stopped(tmp_path, way, console, tries):
    """A finalizer does not wait for a lock that one of them holds, and all its lines are kept."""
    for number in range(tries):
        status, printed = _end(THREADS, tmp_path / str(number), way, console)

        assert status == 0, printed[-2000:]
        assert _last_lines(tmp_path / str(number)) == [f"cycle {line}" for line in range(300)]


@TRIES
def test_threads_that_log_without_a_spool(tmp_path, monkeypatch, tries):
    """A finalizer does not wait for the counts of what is dropped, and all its lines are counted."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for number in range(tries):
        (folder := tmp_path / str(number)).mkdir()
        (folder / "spool").write_text("a file in its place")

        status, printed = _end(THREADS, folder)

        assert status == 0, printed[-2000:]
        assert sum(read_drops(folder / "spool").values()) >= 300


ENDS = {
    "a finalizer of the very end": "builtins.kept = Last('one')",
    "a cycle": "Last('one')",
    "a callback": "atexit.register(say)",
    "a line after our callback": "atexit._run_exitfuncs(); say()",
    "an exit in a thread": "threading.Thread(target=lambda: (say(), sys.exit(3))).start()",
    "an exit at once": "say(); os._exit(0)",
    "a thread that outlives the program": """
threading.Thread(target=lambda: (threading.main_thread().join(), say())).start()
""",
    "a thread of a callback": """
def begin():
    thread = threading.Thread(target=say)
    try: thread.start()
    except RuntimeError: say()  # since Python 3.12 none starts then
    else: thread.join()
atexit.register(begin)
""",
}


@pytest.mark.parametrize("end", ENDS)
def test_an_end(tmp_path, end):
    """The line of its last moment is kept."""
    assert _end("def say(): log.info('last one 0 ')\n" + ENDS[end], tmp_path) == (0, "")

    assert _last_lines(tmp_path) == ["one 0"]
