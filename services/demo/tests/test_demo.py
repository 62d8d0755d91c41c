"""The demo, as a person runs it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from demo.__main__ import is_whole


@pytest.fixture
def folder():
    """A temporary folder for all that the demo makes. Not pytest's: a PostgreSQL of another user goes there."""
    made = Path(tempfile.mkdtemp(prefix="test-demo-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def start(folder):
    """A function that starts the demo."""
    demos = []
    kept = {name: value for name, value in os.environ.items() if name not in {"DASHCAM_DIR", "LOG_BACKEND"}}

    def run(*options):
        demo = subprocess.Popen(
            [sys.executable, "-m", "dashcam", "demo", *options],
            env=kept | {"TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        demos.append(demo)
        return demo

    yield run
    for demo in demos:
        demo.kill()
        demo.communicate()


def left(folder):
    """Processes that belong to the demo: their environment has its folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("TMPDIR", "").startswith(str(folder)) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.name())
    return found


def wait_until_nothing_is_left(folder):
    end = time.monotonic() + 60
    while found := left(folder):
        assert time.monotonic() < end, found
        time.sleep(0.1)


def read_until(stream, pattern):
    """What a stream says up to a line with a pattern."""
    lines = []
    while not (lines and re.search(pattern, lines[-1])):
        lines.append(stream.readline())
        assert lines[-1], "".join(lines)
    return "".join(lines)


def test_once_tells_both_stories_and_leaves_nothing(start, folder):
    """One story went well, one failed in parts, both services are in each; then all is as it was."""
    demo = start("--once", "--json")

    told, said = demo.communicate(timeout=110)

    assert demo.returncode == 0, said
    good, bad = map(json.loads, told.splitlines())
    assert (good["outcome"], bad["outcome"]) == ("success", "failure")
    assert good["services"] == bad["services"] == ["cars", "parts"]
    assert left(folder) == list(folder.iterdir()) == []


def test_it_stays_until_it_is_told_to_end(start, folder):
    """While it stays its stories can be looked up as it says; SIGTERM ends it like Ctrl-C."""
    demo = start()
    said = read_until(demo.stderr, "Ctrl-C ends it all")
    directory, trace = re.search(r"export (DASHCAM_DIR=\S+)\n  (\S+ trace \S+)", said).groups()

    looked_up = subprocess.run(
        f"{directory} {trace}", shell=True, capture_output=True, text=True, check=False, timeout=60
    )
    demo.send_signal(signal.SIGTERM)

    assert looked_up.returncode == 0, looked_up.stderr
    assert "Out of stock for a 'DMC DeLorean': body." in looked_up.stdout
    assert demo.wait(60) == 0
    assert left(folder) == list(folder.iterdir()) == []


def test_a_killed_demo_leaves_nothing_running(start, folder):
    """Whatever ends the demo ends all that it started."""
    demo = start()
    read_until(demo.stderr, "viewer")
    assert len(left(folder)) > 5

    demo.kill()

    wait_until_nothing_is_left(folder)


def test_a_demo_killed_while_it_starts_leaves_nothing_running(start, folder):
    """PostgreSQL, just about to start, does not stay behind."""
    demo = start()
    while not list(folder.glob("*/postgres")):
        assert demo.poll() is None
        time.sleep(0.01)

    demo.kill()

    wait_until_nothing_is_left(folder)


def test_a_backend_that_finds_nothing_is_refused(start, monkeypatch, folder):
    """Where no story can be looked up the demo does not even start."""
    monkeypatch.setenv("LOG_BACKEND", "stdout")
    demo = subprocess.run(
        [sys.executable, "-m", "demo"], capture_output=True, text=True, check=False, timeout=60, cwd=folder
    )

    assert demo.returncode == 2
    assert "LOG_BACKEND='stdout'" in demo.stderr


def test_a_story_is_whole_with_the_span_of_every_call():
    """One that parts has not sent yet is waited for."""
    served = {"processor": {"event": "transaction"}, "span": {"id": "a"}}
    call = {"span": {"id": "b", "kind": "client"}, "url": {"full": "http://parts/"}}
    answered = {"processor": {"event": "transaction"}, "parent": {"id": "b"}}

    assert not is_whole({"entries": [{"event": served}, {"event": call}, {"event": None}]})
    assert not is_whole({"entries": [{"event": call}, {"event": answered}]})
    assert is_whole({"entries": [{"event": served}, {"event": call}, {"event": answered}]})
