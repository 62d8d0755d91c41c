"""Kills at any moment: no alert is missed, and none has two IDs."""

import json
import os
import random
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from .. import prepared
from ..processes import running, until

ROOT = Path(__file__).parents[2]

RECORD = """
import sys, time
import dashcam
dashcam.init("cars")
log = dashcam.get_logger("cars")
print("ready", flush=True)
for number in sys.stdin:
    log.error("order failed", order=int(number))
    print("logged", flush=True)
"""

RULES = """
every = "100ms"
[notify.hook]
webhook = "http://127.0.0.1:{port}/"
[[rule]]
name = "order {number}"
query = "order:{number} level:error"
above = 0
window = "1h"
"""

RULE = """
[[rule]]
name = "order {number}"
query = "order:{number} level:error"
above = 0
window = "1h"
"""


@contextmanager
def receiving(path):
    command = ["-m", "tests.watch.receiver", str(path)]
    with prepared.start(command, os.environ, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def received(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def rules_for(count, port):
    return RULES.format(port=port, number=0) + "".join(RULE.format(number=number) for number in range(1, count))


@pytest.mark.parametrize(
    ("restarts", "alerts"), [(8, 4), pytest.param(200, 20, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
def test_none_is_missed_and_none_twice(tmp_path, monkeypatch, restarts, alerts):
    """Each failed order is one alert, by its ID, though the watcher is killed again and again and the backend is down.

    Nothing is shipped at all: whatever is found is found in the spool. A kill between the receiver's answer and the
    state file brings the same ID once more, which the receiver knows by its key; there are few of these.
    """
    monkeypatch.setenv("DASHCAM_DIR", str(tmp_path))
    monkeypatch.setenv("LOG_BACKEND", "local")
    chance, file = random.Random(11), tmp_path / "received"
    with receiving(file) as port, running(RECORD) as service:
        (tmp_path / "rules.toml").write_text(rules_for(alerts, port))
        assert service.stdout.readline() == "ready\n"
        orders = iter(range(alerts))
        for restart in range(restarts):
            with watching(tmp_path):
                time.sleep(chance.uniform(0, 1.5))
                if restart % max(1, restarts // alerts) == 0 and (order := next(orders, None)) is not None:
                    print(order, file=service.stdin, flush=True)
                    assert service.stdout.readline() == "logged\n"
                    time.sleep(chance.uniform(0, 0.6))
        with watching(tmp_path):
            until(lambda: len({key for key, _ in received(file)}) >= alerts, "notice of each alert")
            time.sleep(1)  # for one that would come twice

    keys = [key for key, _ in received(file)]
    assert len(set(keys)) == alerts
    assert all(key.endswith("-firing") for key in keys)
    assert len(keys) - alerts <= max(2, restarts // 20)


@contextmanager
def watching(folder):
    command = ["-m", "dashcam", "watch", str(folder / "rules.toml")]
    with prepared.start(command, os.environ, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()
