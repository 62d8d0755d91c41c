"""Pods and a node's shipper, played in network and mount namespaces of their own: nothing of what was recorded is lost.

The shipper runs the command of the manifests and writes to a file, as to the log of its container.
"""

import os
import signal
import sys
import textwrap
from pathlib import Path

from ..processes import until
from .namespaces import NEEDED, stop

SERVICE = textwrap.dedent(
    """
    import os, signal, sys, dashcam

    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    dashcam.init()
    log = dashcam.get_logger("pod")
    file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
    number, padding, pause_every = int(os.pread(file, 20, 0) or 0), "x" * int(sys.argv[2]), int(sys.argv[3])
    while not stopping:
        log.info("counted", number=number, padding=padding)
        number += 1
        os.pwrite(file, b"%020d" % number, 0)
        signal.sigtimedwait([], 0.001)
        if number % pause_every == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
    """
)

pytestmark = NEEDED


def serve(pod, *, padding=200, pause_every=1_000_000):
    """Start a service that counts, from where it was; it stops itself for a pause."""
    return pod.start(sys.executable, "-c", SERVICE, str(pod.folder / "count"), str(padding), str(pause_every))


def count_of(pod):
    """How far it got."""
    path = pod.folder / "count"
    return int(path.read_text() or 0) if path.exists() else 0


def shipped(pod, service=""):
    """The numbers that a shipper sent of a service, its own pod's unless another is named."""
    return {
        event["labels"]["number"]
        for event in pod.shipped()
        if event["service"]["name"] == (service or pod.folder.name) and "number" in event.get("labels", {})
    }


def count_up(pod, by):
    wanted = count_of(pod) + by
    until(lambda: count_of(pod) >= wanted, f"{by} more events")


def test_an_evicted_pod_has_sent_everything(start):
    """The service ends first, then the sidecar, then the file system of both."""
    pod = start("cars")
    shipper, service = pod.ship(), serve(pod)
    count_up(pod, 300)

    stop(service)
    stop(shipper)
    pod.end()

    assert shipped(pod) >= set(range(count_of(pod)))


def test_killed_containers_go_on_where_they_were(start):
    """Service and sidecar, with the emptyDir that outlives both."""
    pod = start("cars")
    shipper, service = pod.ship(), serve(pod)
    for _ in range(2):
        count_up(pod, 200)
        os.killpg(service.pid, signal.SIGKILL)
        os.killpg(shipper.pid, signal.SIGKILL)
        service.wait()
        shipper.wait()
        shipper, service = pod.ship(), serve(pod)
    count_up(pod, 100)

    stop(service)
    stop(shipper)

    assert shipped(pod) >= set(range(count_of(pod)))


def test_a_small_empty_dir_is_enough(start):
    """More is recorded than fits: delivered segments make room. The service waits for that now and then."""
    pod = start("cars", size="12m", limit="4MB", DASHCAM_SYNC_INTERVAL="0.1")
    shipper, service = pod.ship(), serve(pod, padding=8_000, pause_every=200)
    for _ in range(8):  # 13 MB
        until(lambda: Path(f"/proc/{service.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "pause")
        until(lambda: b'"number":%d,' % (count_of(pod) - 1) in pod.log[-50_000:], "delivery")
        until(lambda: pod.spool_bytes() <= 2 << 20, "room")
        os.killpg(service.pid, signal.SIGCONT)

    stop(service)
    stop(shipper)

    assert shipped(pod) >= set(range(count_of(pod)))
    assert pod.dropped() == 0


def test_a_full_empty_dir_stops_nobody_and_is_told(start):
    """While the shipper hangs the service goes on; what did not fit is counted, and the rest arrives."""
    pod = start("cars", size="3m")
    shipper, service = pod.ship(), serve(pod, padding=8_000)
    count_up(pod, 100)
    os.killpg(shipper.pid, signal.SIGSTOP)
    count_up(pod, 600)  # 5 MB
    full = count_of(pod)
    os.killpg(shipper.pid, signal.SIGCONT)
    until(lambda: max(shipped(pod), default=0) > full, "events that fit again")

    stop(service)
    stop(shipper)

    arrived, dropped = shipped(pod), pod.dropped()
    assert dropped > 0
    assert len(arrived) + dropped == count_of(pod)


def test_the_node_s_shipper_sends_what_pods_left(start, tmp_path):
    """Two pods on the node's folder, one killed without a word; the shipper is in a namespace of its own."""
    folder = tmp_path / "node-folder"
    node, first, second = (start(name, host_path=folder) for name in ("node", "first", "second"))
    shipper = node.ship()
    services = {pod: serve(pod) for pod in (first, second)}
    for pod in services:
        count_up(pod, 200)

    os.killpg(services[first].pid, signal.SIGKILL)
    first.end()
    count_up(second, 200)
    stop(services[second])
    stop(shipper)

    for pod in (first, second):
        assert shipped(node, pod.folder.name) >= set(range(count_of(pod)))
