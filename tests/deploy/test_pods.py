"""Pods and a node's shipper, played in network and mount namespaces of their own: nothing of what was recorded is lost.

The shipper runs the command of the manifests and writes to a file, as to the log of its container.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from ..processes import until

SIDECAR = Path(__file__).parents[2] / "deploy" / "kubernetes" / "components" / "sidecar" / "shipper.yaml"
SERVICE = textwrap.dedent(
    """
    import os, signal, sys, dashcam

    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    dashcam.init()
    log = dashcam.get_logger("pod")
    file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
    number = int(os.pread(file, 20, 0) or 0)
    while not stopping:
        log.info("counted", number=number, padding="x" * 200)
        number += 1
        os.pwrite(file, b"%020d" % number, 0)
        signal.sigtimedwait([], 0.001)
    """
)

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root, and unshare of util-linux, for namespaces"
)


class Namespace:
    """Programs in one network and mount namespace, with a spool that is a file system of its own or a folder."""

    def __init__(self, folder, name, *, host_path=None, size="64m", limit="16MB"):
        self.folder = folder / name
        self.folder.mkdir()
        self.spool = host_path or self.folder / "spool"
        self.spool.mkdir(exist_ok=True)
        self.environment = {
            **os.environ,
            "DASHCAM_DIR": str(self.spool),
            "DASHCAM_SPOOL_LIMIT": limit,
            "DASHCAM_CONSOLE": "off",
            "LOG_BACKEND": "stdout",
            "OTEL_SERVICE_NAME": name,
            "OTEL_RESOURCE_ATTRIBUTES": f"service.instance.id={name}",
            "PATH": f"{_program(folder)}:{os.environ['PATH']}",
        }
        mount = "" if host_path else f"mount -t tmpfs -o size={size} tmpfs {shlex.quote(str(self.spool))};"
        script = f"ip link set lo up 2>/dev/null; {mount} echo ready; exec sleep infinity"
        command = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script]
        self._holder = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._holder.stdout.readline() == b"ready\n"
        self._started = []

    def run(self, *command, out=None):
        """Start a program in it, in a group of its own."""
        with (self.folder / (out or "ignored")).open("ab") as file:
            inside = [*self._enter, *command]
            process = subprocess.Popen(inside, env=self.environment, stdout=file, start_new_session=True)
        self._started.append(process)
        return process

    def serve(self):
        return self.run(sys.executable, "-c", SERVICE, str(self.folder / "count"))

    def ship(self):
        return self.run(*YAML(typ="safe").load(SIDECAR)[0]["value"]["command"], out="log")

    @property
    def _enter(self):
        return ["nsenter", "--target", str(self._holder.pid), "--net", "--mount"]

    def dropped(self):
        """How many events it says it dropped."""
        command = [*self._enter, "dashcam", "status", "--json"]
        told = subprocess.run(command, env=self.environment, capture_output=True, check=False).stdout
        return sum(json.loads(told)["dropped"].values())

    @property
    def count(self):
        path = self.folder / "count"
        return int(path.read_text() or 0) if path.exists() else 0

    def end(self):
        """As an eviction: whatever is still there goes, the spool of the pod too."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._holder.returncode is None:
            self._holder.kill()
            self._holder.communicate()


def _program(folder):
    """A folder with the command `dashcam`."""
    path = folder / "bin" / "dashcam"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m dashcam "$@"\n')
    path.chmod(0o755)
    return path.parent


@pytest.fixture
def start(tmp_path):
    """A function that makes a namespace."""
    made = []

    def make(name, **how):
        made.append(Namespace(tmp_path, name, **how))
        return made[-1]

    yield make
    for each in made:
        each.end()


def shipped(log, service):
    """The numbers that arrived from a service; a kill may cut the last line of a shipper."""
    numbers = set()
    for line in log.read_bytes().splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event["service"]["name"] == service and "number" in event.get("labels", {}):
            numbers.add(event["labels"]["number"])
    return numbers


def count_up(pod, by):
    wanted = pod.count + by
    until(lambda: pod.count >= wanted, f"{by} more events")


def stop(process):
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_an_evicted_pod_has_sent_everything(start):
    """The service ends first, then the sidecar, then the file system of both."""
    pod = start("cars")
    shipper, service = pod.ship(), pod.serve()
    count_up(pod, 300)

    stop(service)
    stop(shipper)
    pod.end()

    assert shipped(pod.folder / "log", "cars") >= set(range(pod.count))


def test_a_rolling_update_loses_nothing(start):
    """The new pod is there before the old one goes, each with a spool of its own."""
    old, new = start("old"), start("new")
    running = {pod: (pod.ship(), pod.serve()) for pod in (old, new)}
    for pod in (old, new):
        count_up(pod, 200)

    for pod in (old, new):
        shipper, service = running[pod]
        stop(service)
        stop(shipper)

    for pod in (old, new):
        assert shipped(pod.folder / "log", pod.folder.name) >= set(range(pod.count))


def test_killed_containers_go_on_where_they_were(start):
    """Service and sidecar, with the emptyDir that outlives both."""
    pod = start("cars")
    shipper, service = pod.ship(), pod.serve()
    for _ in range(2):
        count_up(pod, 200)
        os.killpg(service.pid, signal.SIGKILL)
        os.killpg(shipper.pid, signal.SIGKILL)
        service.wait()
        shipper.wait()
        shipper, service = pod.ship(), pod.serve()
    count_up(pod, 100)

    stop(service)
    stop(shipper)

    assert shipped(pod.folder / "log", "cars") >= set(range(pod.count))


def test_a_small_empty_dir_is_enough(start):
    """More is recorded than fits: delivered segments make room."""
    pod = start("cars", size="12m", limit="4MB")
    shipper, service = pod.ship(), pod.serve()
    count_up(pod, 15_000)

    stop(service)
    stop(shipper)

    assert shipped(pod.folder / "log", "cars") >= set(range(pod.count))


def test_a_full_empty_dir_stops_nobody_and_is_told(start):
    """While the shipper hangs the service goes on; what did not fit is counted, and the rest arrives."""
    pod = start("cars", size="3m")
    shipper = pod.ship()
    service = pod.serve()
    count_up(pod, 100)
    os.killpg(shipper.pid, signal.SIGSTOP)
    count_up(pod, 10_000)
    full = pod.count
    os.killpg(shipper.pid, signal.SIGCONT)
    until(lambda: max(shipped(pod.folder / "log", "cars")) > full, "events that fit again")

    stop(service)
    stop(shipper)

    arrived, dropped = shipped(pod.folder / "log", "cars"), pod.dropped()
    assert dropped > 0
    assert len(arrived) + dropped == pod.count


def test_the_node_s_shipper_sends_what_pods_left(start, tmp_path):
    """Two pods on the node's folder, one killed without a word; the shipper is in a namespace of its own."""
    folder = tmp_path / "node-folder"
    node, first, second = (start(name, host_path=folder) for name in ("node", "first", "second"))
    shipper = node.ship()
    services = {pod: pod.serve() for pod in (first, second)}
    for pod in services:
        count_up(pod, 200)

    os.killpg(services[first].pid, signal.SIGKILL)
    first.end()
    count_up(second, 200)
    stop(services[second])
    stop(shipper)

    for pod in (first, second):
        assert shipped(node.folder / "log", pod.folder.name) >= set(range(pod.count))
