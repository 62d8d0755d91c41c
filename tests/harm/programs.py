"""Programs that record in a process of their own: how they ended, and what they recorded."""

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from dashcam.testing import Recording

ROOT = Path(__file__).parents[2]
DEADLINE_S = 110
BEGIN = """
import contextvars, enum, logging, os, signal, sys, threading, time
import dashcam
from tests.harm.doors import DOORS, OF_TEXT, plain
from tests.harm.values import ENDLESS, VALUES
dashcam.init("harm")
log = dashcam.get_logger("harm")
"""


@dataclass
class Ended:
    """A program that ended by itself: what it printed, and the events that it recorded."""

    output: str
    errors: str
    events: list

    def labels(self, name):
        """A label of each event that has it, in the order of time."""
        return [event.get("labels")[name] for event in self.events if name in (event.get("labels") or {})]

    def event_of(self, n):
        """The event of a call."""
        (event,) = [event for event in self.events if (event.get("labels") or {}).get("n") == n]
        return event


def run(folder, program, *arguments):
    """Run a program to its end, and assert that it ends as programs do; freed memory is overwritten meanwhile."""
    environment = os.environ | {
        "DASHCAM_DIR": str(folder),
        "DASHCAM_CONSOLE": "off",
        "PYTHONMALLOC": os.environ.get("PYTHONMALLOC", "debug"),
    }
    command = [sys.executable, "-X", "faulthandler", "-c", BEGIN + textwrap.dedent(program), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=DEADLINE_S
    )
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stderr[-4000:]}"
    return Ended(done.stdout, done.stderr, Recording(folder).events())


EACH = """
import faulthandler, json, tempfile, traceback

def in_child(name, errors):
    os.dup2(errors.fileno(), 2)
    faulthandler.enable(2)
    signal.alarm(40)
    try:
        use(name)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

for name in json.loads(sys.argv[1]):
    with tempfile.TemporaryFile() as errors:
        if not (pid := os.fork()):
            in_child(name, errors)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        errors.seek(0)
        print(json.dumps([name, status, errors.read().decode()]))
"""


@dataclass
class Tried:
    """A part of a program: its exit status, what it printed on standard error, and the calls that it recorded."""

    status: int
    errors: str
    recorded: list


def run_each(folder, program, names):
    """Run a program that defines `use(name)`, in a fork for each name; calls are numbered `name|…`."""
    ended = run(folder, program + EACH, json.dumps(list(names)))
    tried = {name: Tried(status, errors, []) for name, status, errors in map(json.loads, ended.output.splitlines())}
    for n in ended.labels("n"):
        tried[n.partition("|")[0]].recorded.append(n.partition("|")[2])
    return tried
