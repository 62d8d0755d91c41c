"""Fails a test that leaves behind what it began: threads, processes, open files, a recorder."""

import gc
import os
import stat
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from dashcam.record.context import recorder

PATIENCE_S = 20  # for what is just about to end, on a machine that several workers keep busy

_before = pytest.StashKey[set[tuple[str, int, str]]]()


def _running():
    """The threads, child processes and open files and sockets of this process, each by its number."""
    # Asked before and after every test, so the words for them are left to the few that are shown.
    threads = {("thread", thread.ident, thread.name) for thread in threading.enumerate()}
    return threads.union(_children(), _files())


def _children():
    # Only Linux says so without help.
    for task in os.scandir("/proc/self/task") if sys.platform == "linux" else ():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ends just now
            for pid in Path(task, "children").read_text().split():
                yield "process", int(pid), ""


def _files():
    for entry in os.scandir("/dev/fd"):
        try:
            found = os.fstat(number := int(entry.name))
        except OSError:
            continue  # the listing's own
        if stat.S_ISREG(found.st_mode) or stat.S_ISSOCK(found.st_mode):
            yield "file", number, f"{found.st_dev}:{found.st_ino}"


def _in_words(kind, number, name):
    with suppress(OSError):  # a process that ends just now
        match kind:
            case "process":
                name = Path(f"/proc/{number}/cmdline").read_text().replace("\0", " ")
            case "file":
                name = Path("/dev/fd", str(number)).resolve()
    return f"{kind} {number} ({name})"


def _recorders():
    """The services that this process records; it records none from now on."""
    names = [each.service.name for each in recorder.running()]
    recorder.stop()
    return names


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    # A module that records as it is imported would do so in every test.
    report = yield
    if names := _recorders():
        report.outcome, report.longrepr = "failed", f"importing {collector.nodeid} records as {', '.join(names)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    # Not before its fixtures: those of the session are begun by whichever test comes first.
    item.stash[_before] = _running()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    result = yield
    if item.stash.get(_before, None) is not None:
        deadline = time.monotonic() + PATIENCE_S
        while left := _running() - item.stash[_before]:
            gc.collect()
            if time.monotonic() > deadline:
                pytest.fail("left behind: " + ", ".join(sorted(_in_words(*each) for each in left)), pytrace=False)
            threading.Event().wait(0.02)
    if names := _recorders():
        pytest.fail(f"left recording as {', '.join(names)}: ask for the fixture `recording`", pytrace=False)
    return result
