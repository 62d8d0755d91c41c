"""A form of the garage under gunicorn, one worker, and a client that keeps its connection."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]


@contextmanager
def served(form, folder):
    """The port, and the worker's pid."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread"]
    command += ["--threads", "2", "--keep-alive", "60", "--log-level", "critical", "--no-control-socket"]
    environment = os.environ | {"DASHCAM_DIR": str(folder), "PYTHONPATH": str(ROOT), "DASHCAM_SPOOL_LIMIT": "100GB"}
    environment |= {"DASHCAM_CONSOLE": "off"}  # the other forms print nothing
    process = subprocess.Popen([*command, f"benchmarks.garage:{form}()"], env=environment)
    try:
        wait_for(port)
        Client(port).ask(1)  # the port is open before there is a worker
        (worker,) = psutil.Process(process.pid).children()
        yield port, worker.pid
    finally:
        process.terminate()
        process.wait()


def free_port():
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_for(port):
    deadline_s = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)
        else:
            return


class Client:
    """Asks one after another on one connection."""

    def __init__(self, port):
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(self, count):
        """Seconds that each request took."""
        took_s = []
        for number in range(count):
            started_s = time.perf_counter()
            self._connection.request("GET", f"/cars/{number}")
            self._connection.getresponse().read()
            took_s.append(time.perf_counter() - started_s)
        return took_s


def cpu_s(pid):
    """Seconds of processor that a process has used: on Linux by its own clock, as ticks are ten milliseconds."""
    if sys.platform == "linux":
        return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) gives
    used = psutil.Process(pid).cpu_times()
    return used.user + used.system


def memory_mib(pid):
    """What a process holds for itself, and on Linux its share of what it shares (PSS)."""
    held = psutil.Process(pid).memory_full_info()
    return getattr(held, "pss", held.uss) / 2**20
