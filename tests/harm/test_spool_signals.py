"""A program does what it likes with SIGBUS while another one truncates its segment: it goes on all the same."""

import subprocess
import sys

import pytest

from ..processes import DEADLINE_S
from ..spool.conftest import needs_c
from ..spool.spools import numbers_in

pytestmark = needs_c

PROLOGUE = """
import ctypes, faulthandler, os, resource, signal, sys, threading
from pathlib import Path
from tests.spool.spools import log_line, write_to

libc, spool = ctypes.CDLL(None), Path(sys.argv[1])
BUS, ALL = [signal.SIGBUS], signal.valid_signals()

def block(signals=ALL):
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)

def append(first, end):
    for number in range(first, end):
        writer.append(log_line(number))

def truncate():
    for path in spool.rglob("*.segment"):
        os.truncate(path, 0)
"""
OPEN = "writer = write_to(spool, segment_bytes=1 << 20); append(0, 10)"


def _finish(code, spool):
    """Run a program in a Python of its own; its exit status."""
    command = [sys.executable, "-c", PROLOGUE + code, str(spool)]
    return subprocess.run(command, check=False, timeout=DEADLINE_S).returncode


# What a program does with the signal once it has logged.
HABITS = {
    "blocks it": "block(BUS)",
    "blocks all": "block()",
    "ends by it": "signal.signal(signal.SIGBUS, signal.SIG_DFL)",
    "ignores it": "signal.signal(signal.SIGBUS, signal.SIG_IGN)",
    "has a handler": "signal.signal(signal.SIGBUS, lambda *_: os._exit(3))",
    "has a handler in C": "libc.signal(signal.SIGBUS, libc._exit)",
    "reports it": "faulthandler.enable()",
    "blocks it and ends by it": "block(); signal.signal(signal.SIGBUS, signal.SIG_DFL)",
}
# What comes next, where the file is short.
USES = {
    "a line": "append(10, 20)",
    "a long line": "writer.append(log_line(10, 'x' * 40_000)); append(11, 20)",
    "a count": "writer.drop('error'); append(10, 20)",
    "the seal": "writer.close(); append(10, 20)",
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("habit", HABITS)
def test_a_program_with_habits_of_its_own(tmp_path, habit, use):
    """No fault ends it, and it keeps every line that follows."""
    assert _finish("\n".join([OPEN, HABITS[habit], "truncate()", USES[use], "writer.close()"]), tmp_path) == 0

    kept = [number for number in numbers_in(tmp_path) if number < 1000]
    assert kept[-9:] == list(range(11, 20))


LIVES = {
    "a thread that blocks all signals from its start": """
block()
thread = threading.Thread(target=lambda: (append(0, 10), truncate(), append(10, 20)))
thread.start()
signal.pthread_sigmask(signal.SIG_UNBLOCK, ALL)
thread.join()
""",
    "threads that do and do not": """
def work():
    block()
    for number in range(10, 200): append(number, number + 1); truncate()
thread = threading.Thread(target=work)
thread.start()
for number in range(200, 400): append(number, number + 1); truncate()
thread.join()
append(10, 20)
""",
    "a handler that ends what was enabled before ours": """
faulthandler.disable()
truncate()
append(10, 20)
""",
    "a handler again and again": """
for number in range(50):
    signal.signal(signal.SIGBUS, signal.SIG_DFL)
    truncate()
    append(number, number + 1)
append(10, 20)
""",
    "no memory for another page": """
resource.setrlimit(resource.RLIMIT_DATA, (0, resource.RLIM_INFINITY))
truncate()
append(10, 20)
resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
""",
    "a fork while the file is short": """
truncate()
if not (child := os.fork()):
    append(10, 15)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
append(10, 20)
""",
}


@pytest.mark.parametrize("life", LIVES)
def test_a_program_that_lives_through_it(tmp_path, life):
    """No fault ends it, and it keeps every line that follows."""
    enable = "faulthandler.enable()\n" if "before ours" in life else ""

    assert _finish(f"{enable}{OPEN}\n{LIVES[life]}\nwriter.close()", tmp_path) == 0

    assert numbers_in(tmp_path)[-10:] == list(range(10, 20))


def test_a_signal_that_is_blocked_waits(tmp_path):
    """A program that blocks SIGBUS and asks for it gets the one that was sent, not those of our files."""
    code = """
block(BUS)
os.kill(os.getpid(), signal.SIGBUS)
append(10, 15)
truncate()
append(15, 20)
assert signal.sigtimedwait(BUS, 0).si_signo == signal.SIGBUS
assert signal.sigtimedwait(BUS, 0) is None
assert signal.SIGBUS in signal.pthread_sigmask(signal.SIG_BLOCK, [])
"""
    assert _finish(f"{OPEN}\n{code}\nwriter.close()", tmp_path) == 0
