"""A program that a prepared Python forks for does what it does in a Python of its own."""

import os
import subprocess
import sys

import psutil
import pytest

from . import prepared
from .processes import until

PROGRAMS = {
    "where it is": 'import os, sys; print(sys.argv, os.getcwd(), sys.path[0], os.environ.get("DASHCAM_DIR"), __name__)',
    "what is imported": "import sys; print([name for name in sys.modules if name.startswith('dashcam')])",
    "what comes late": "import atexit, threading; atexit.register(print, 2); threading.Timer(0.05, print, [1]).start()",
    "a status": "import sys; print('é'); print('no', file=sys.stderr); sys.exit(3)",
    "a kill": "import os; os.kill(os.getpid(), 9)",
    "an empty input": "print(input())",
    "no standard error": "import sys; sys.stderr = None; print('é')",
    "a closed output": "import sys; sys.stdout.close()",
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program(program):
    """The same output and status; only the way to an exception has more steps."""
    environment = {"DASHCAM_DIR": "é", "TZ": "Asia/Tokyo"}
    command = ["-c", program, "an argument"]

    forked = prepared.run(command, environment, 100)

    alone = subprocess.run(
        [sys.executable, *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (forked.returncode, forked.stdout) == (alone.returncode, alone.stdout)
    assert forked.stderr.splitlines()[-1:] == alone.stderr.splitlines()[-1:]


def test_a_program_that_takes_too_long(tmp_path):
    """It is killed."""
    program = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"

    with pytest.raises(subprocess.TimeoutExpired):
        prepared.run(["-c", program, str(tmp_path / "pid")], os.environ, 3)

    until(lambda: not psutil.pid_exists(int((tmp_path / "pid").read_text())), "end of it")


ECHO = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
for line in sys.stdin:
    print(line.upper(), end="", flush=True)
    print("seen", file=sys.stderr, flush=True)
signal.pause()
"""


def test_a_program_that_runs_meanwhile(tmp_path):
    """It is written to, read from, asked to end and killed as one of `subprocess.Popen`."""
    pipe = subprocess.PIPE
    with (tmp_path / "errors").open("w+") as errors:
        with prepared.start(["-c", ECHO], os.environ, stdin=pipe, stdout=pipe, stderr=errors) as program:
            print("golf", file=program.stdin, flush=True)
            assert program.stdout.readline() == "GOLF\n"
            assert program.poll() is None
            with pytest.raises(subprocess.TimeoutExpired):
                program.wait(0.01)
            program.terminate()
            assert program.wait(100) == program.returncode == 7
            program.kill()  # to no effect: who has its number now is somebody else
        errors.seek(0)
        assert errors.read() == "seen\n"

    with prepared.start(["-c", ECHO], os.environ, stdin=pipe, stdout=pipe) as program:
        program.kill()
    assert program.poll() == -9
