import os
import signal
import subprocess
import sys
import time

import psutil

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
STUBBORN = r"""
import os, signal, time
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(1, b"%d\n" % os.getpid())
time.sleep(60)
"""
OWNER = """
import subprocess, sys, time
leash = subprocess.Popen([sys.executable, "-m", "demo.supervise", *{command}], stdin=subprocess.PIPE)
print(leash.pid, flush=True)
time.sleep(60)
"""


def leashed(command):
    return subprocess.Popen(
        [sys.executable, "-m", "demo.supervise", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _status(pid):
    try:
        return psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return None


def wait_until_gone(pid):
    end = time.monotonic() + 20
    while _status(pid) not in {None, psutil.STATUS_ZOMBIE}:
        assert time.monotonic() < end, f"{pid} still runs"
        time.sleep(0.02)


def test_a_command_ends_when_the_pipe_does():
    """Closing the pipe ends the command by SIGTERM."""
    leash = leashed(SLEEP)
    assert leash.stdout.readline() == "up\n"

    leash.communicate(timeout=20)

    assert leash.returncode == -signal.SIGTERM % 256


def test_a_command_that_ends_by_itself_gives_its_status():
    """The leash's status is that of the command."""
    leash = leashed([sys.executable, "-c", "raise SystemExit(7)"])

    assert leash.wait(20) == 7

    leash.communicate()


def test_nothing_of_a_command_is_left():
    """A child of the command that ignores SIGTERM goes with it."""
    leash = leashed([sys.executable, "-c", STUBBORN])
    pids = [int(leash.stdout.readline()) for _ in range(2)]

    leash.communicate(timeout=20)

    for pid in pids:
        wait_until_gone(pid)


def test_a_killed_owner_takes_the_command_along():
    """The one who started the leash may be killed in any way."""
    program = OWNER.format(command=SLEEP)
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    leash = int(owner.stdout.readline())
    assert owner.stdout.readline() == "up\n"
    [command] = psutil.Process(leash).children()

    os.kill(owner.pid, signal.SIGKILL)

    wait_until_gone(command.pid)
    wait_until_gone(leash)
    owner.communicate(timeout=20)
