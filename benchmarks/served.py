"""A form of the garage under gunicorn, one worker, and a client that keeps its connection."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).parents[1]
TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def served(form, folder):
    """The port, and the worker's pid."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread"]
    command += ["--threads", "2", "--keep-alive", "60", "--log-level", "critical", "--no-control-socket"]
    environment = os.environ | {"DASHCAM_DIR": str(folder), "PYTHONPATH": str(ROOT), "DASHCAM_SPOOL_LIMIT": "100GB"}
    process = subprocess.Popen([*command, f"benchmarks.garage:{form}()"], env=environment)
    try:
        wait_for(port)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield port, int(children[0])
    finally:
        process.terminate()
        process.wait()


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
    """Seconds of processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid):
    """What a process holds for itself and its share of what it shares (PSS)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in rollup if line.startswith("Pss:")).split()[1]) / 1024
