"""Fails a test that leaves behind what it began: threads, processes, open files, a recorder."""

import gc
import os
import stat
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from dashcam.record import recorder

PATIENCE_S = 20  # for what is just about to end, on a machine that several workers keep busy

_before = pytest.StashKey[set[str]]()


def _running():
    """The threads, child processes and open files and sockets of this process, in words."""
    threads = {f"thread {thread.name} ({thread.ident})" for thread in threading.enumerate()}
    return threads | set(_children()) | set(_files())


def _children():
    # Only Linux says so without help.
    for task in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread, or a process, that ends just now
            for pid in task.read_text().split():
                yield f"process {pid} ({Path(f'/proc/{pid}/cmdline').read_text()})"


def _files():
    for number in os.listdir("/dev/fd"):  # noqa: PTH208 — numbers, not paths
        try:
            mode = os.fstat(int(number)).st_mode
        except OSError:
            continue  # the listing's own
        if stat.S_ISREG(mode) or stat.S_ISSOCK(mode):
            yield f"file {number} ({Path('/dev/fd', number).resolve()})"


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
                pytest.fail("left behind: " + ", ".join(sorted(left)), pytrace=False)
            threading.Event().wait(0.02)
    if names := _recorders():
        pytest.fail(f"left recording as {', '.join(names)}: ask for the fixture `recording`", pytrace=False)
    return result
