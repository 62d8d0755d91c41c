"""Python processes of the tests: started, listened to, killed."""

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

from . import prepared

DEADLINE_S = 100


def finished(code, *arguments, env=None):
    """Run a program to its end, whatever that is; its exit status, and what it printed."""
    return prepared.run(["-c", code, *map(str, arguments)], os.environ if env is None else env, DEADLINE_S)


def run(code, *arguments, env=None):
    """Run a program to its end; what it printed."""
    done = finished(code, *arguments, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_alone(code, *arguments, env=None):
    """As `run`, in a Python of its own, which calls the last finalizers as it ends: a fork leaves that out."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def running(code, *arguments, env=None, stderr=None):
    """A program that runs meanwhile, with pipes to and from it; killed at the end."""
    command = ["-c", code, *map(str, arguments)]
    environment = os.environ if env is None else env
    pipe = subprocess.PIPE
    with prepared.start(command, environment, stdin=pipe, stdout=pipe, stderr=stderr) as process:
        try:
            yield process
        finally:
            process.kill()


def until(condition, what, deadline_s=DEADLINE_S):
    """Wait for something to become true; gives it."""
    deadline = time.monotonic() + deadline_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"no {what} within {deadline_s} s"
        threading.Event().wait(0.01)
    return found


def dashcam_environment(folder, **environment):
    """The environment of a `dashcam` command that keeps everything below a folder and ships to standard output."""
    return os.environ | {"DASHCAM_DIR": str(folder), "LOG_BACKEND": "stdout", "NO_COLOR": "1"} | environment


def dashcam(*arguments, folder, **environment):
    """Run a `dashcam` command to its end."""
    command = ["-m", "dashcam", *map(str, arguments)]
    return prepared.run(command, dashcam_environment(folder, **environment), DEADLINE_S)


@contextmanager
def running_dashcam(*arguments, folder, **environment):
    """A `dashcam` command that runs meanwhile; what it prints goes to a file, `output`. Killed at the end."""
    output = folder / f"output-{len(list(folder.glob('output-*')))}"
    with output.open("wb") as file:
        command = ["-m", "dashcam", *map(str, arguments)]
        given = dashcam_environment(folder, **environment)
        process = prepared.start(command, given, stdout=file, stderr=subprocess.STDOUT)
    process.output = output
    try:
        yield process
    finally:
        process.kill()
        process.wait()
