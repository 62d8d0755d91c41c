"""Whatever is killed, and whenever: what was logged is found, once, and what was open is told as aborted."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from itertools import count
from pathlib import Path

import pytest
import requests

from dashcam.destinations.registry import open_store
from dashcam.find.query import Query

from .. import prepared
from ..ports import free_port
from ..processes import DEADLINE_S, until

HERE = Path(__file__).parent


class Stage:
    """gunicorn and a shipper, each of which can be killed and is then started again."""

    def __init__(self, folder, *, preload):
        self.folder, self.port, self.preload = folder, free_port(), preload
        self.environment = os.environ | {
            "DASHCAM_DIR": str(folder / "state"),
            "LOG_BACKEND": "local",
            "WITNESS": str(folder / "witness"),
        }
        self.server, self.shipper = self.start_server(), self.start_shipper()
        until(self.is_ready, "answer of gunicorn")

    def start_server(self):
        command = ["-m", "gunicorn", "--pythonpath", str(HERE), "--bind", f"127.0.0.1:{self.port}", "--workers", "2"]
        command += ["--threads", "3", "--log-level", "critical", "--reuse-port", "--graceful-timeout", "1"]
        command += ["--preload"] if self.preload else []
        return prepared.start([*command, "witness:create_app()"], self.environment, cwd=self.folder)

    def start_shipper(self):
        return prepared.start(["-m", "dashcam", "ship"], self.environment, stderr=subprocess.DEVNULL)

    def is_ready(self):
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"http://127.0.0.1:{self.port}/ready", timeout=1).ok
        return False

    def workers(self):
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children")
        return [int(pid) for pid in children.read_text().split()] if children.exists() else []

    def kill(self, whom):
        if whom == "worker":
            for pid in random.sample(workers := self.workers(), min(1, len(workers))):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        elif whom == "master":
            self.server.kill()
            self.server.wait()
            self.server = self.start_server()
        else:
            self.shipper.kill()
            self.shipper.wait()
            self.shipper = self.start_shipper()

    def stop(self):
        for process in (self.server, self.shipper):
            process.terminate()
            process.wait(timeout=DEADLINE_S)


def load(stage, stopping, numbers):
    """Send requests, one after another, until told to stop; most of those that meet a kill fail."""
    with requests.Session() as session:
        while not stopping.is_set():
            with contextlib.suppress(requests.RequestException):
                name = f"load-{next(numbers)}"
                session.get(f"http://127.0.0.1:{stage.port}/work", headers={"X-Request-ID": name}, timeout=2)


def run_with_kills(folder, kills, *, preload):
    """Load with kills at random moments; then what the witness saw and what the store holds."""
    stage = Stage(folder, preload=preload)
    stopping, numbers = threading.Event(), count()
    threads = [threading.Thread(target=load, args=(stage, stopping, numbers)) for _ in range(3)]
    try:
        for thread in threads:
            thread.start()
        for _ in range(kills):
            stopping.wait(random.uniform(0.02, 0.3))
            stage.kill(random.choice(["worker", "worker", "master", "shipper"]))
        until(stage.is_ready, "answer after the last kill")
        stopping.wait(0.5)
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
        stage.stop()
    drain = [sys.executable, "-m", "dashcam", "ship", "--drain"]
    subprocess.run(drain, env=stage.environment, check=True, timeout=DEADLINE_S, stderr=subprocess.DEVNULL)
    store = open_store("local", stage.environment)
    with contextlib.closing(store):
        return (folder / "witness").read_text().splitlines(), list(store.find(Query()))


@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
@pytest.mark.parametrize("kills", [6, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_nothing_is_lost_and_nothing_stops_untold(tmp_path, kills, preload):
    """Every log call that returned is found once; every request that began has its span, or is told as aborted."""
    testimony, events = run_with_kills(tmp_path, kills, preload=preload)

    logged = [line.removeprefix("logged ") for line in testimony if line.startswith("logged ")]
    found = Counter(event.labels["step"] for event in events if event.get("message") == "step")
    assert [step for step in logged if found[step] != 1] == []
    assert [step for step, times in found.items() if times > 1] == []

    begun = [line.removeprefix("begun ") for line in testimony if line.startswith("begun ")]
    ends = Counter(
        event.get("http.request.id")
        for event in events
        if event.get("processor.event") == "transaction" or event.get("event.action") == "request-aborted"
    )
    assert len(logged) > 100
    assert [request for request in begun if ends[request] != 1] == []
