"""Two services that answer the same requests, and a shipper that holds their DEBUG lines, all killed now and then.

As a program: a service that answers requests from a number on. Before and after each one it writes down which, so that
a kill leaves behind what it had begun.
"""

import itertools
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

from dashcam.destinations.registry import open_store
from dashcam.find.query import Query, Term
from tests import prepared
from tests.ship.clips.clip_lines import call_line, served_line
from tests.spool.spools import SHARED, start_line

FAILS_EVERY = 100
STEPS = 5  # DEBUG lines of each service in a request
DEADLINE_S = 300
SPOOL_LIMIT_BYTES = 1_000_000_000  # at three quarters the oldest held lines go: those of requests long answered
MAX_SPOOL_BYTES = 900_000_000  # a service waits while its spool is larger: nothing is dropped here


def fails(number):
    """Return whether a request fails."""
    return number % FAILS_EVERY == 7


def serve(spool, service, first, last, notes):
    """Answer requests."""
    from dashcam.spool.file import SegmentOptions
    from dashcam.spool.segment import service_folder
    from dashcam.spool.writer import Writer

    shared = SHARED | {"service": {"name": service}, "process": {"pid": os.getpid()}, "host": {"name": "here"}}
    folder = service_folder(Path(spool), "here", service)
    open_marks = []
    writer = Writer(folder, lambda: shared, SPOOL_LIMIT_BYTES, lambda: open_marks, options=SegmentOptions(256 << 10))
    file = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for number in range(first, last):
        request = f"golf-{number}"
        os.write(file, b"+%d\n" % number)
        open_marks[:] = [start_line(number, f"{number}")]
        writer.append(open_marks[0])
        for step in range(STEPS):
            writer.append(call_line(number, "debug", request, f"{service} {number} {step}"))
        writer.append(call_line(number, "info", request, f"{service} {number} info"))
        end = served_line(number, request, 503 if fails(number) and service == "cars" else 200)
        open_marks.clear()
        writer.append(re.sub(rb'"span":\{"id":"cd"\}', b'"span":{"id":"%d"}' % number, end, count=1))
        os.write(file, b"-%d\n" % number)
        if number % 20 == 0:
            time.sleep(0.02)  # so that it lasts for a while
        if number % 500 == 0:
            while spool_bytes(folder) > MAX_SPOOL_BYTES:
                time.sleep(0.05)
    writer.close()


def spool_bytes(folder):
    """Return the bytes of a service's segments; the shipper may remove one meanwhile."""
    total = 0
    for path in folder.glob("*.segment"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


class Traffic:
    """The processes of one run below a folder."""

    def __init__(self, folder, requests, kills):
        self.folder, self.requests, self._wanted = folder, requests, kills
        self.interrupted = set()
        self.kills = Counter()
        self._environment = os.environ | {
            "DASHCAM_DIR": str(folder / "state"),
            "LOG_BACKEND": "local",
            "DASHCAM_LOCAL_LIMIT": "20GB",
            "DASHCAM_SHIP_LEVEL": "INFO",
            "DASHCAM_CLIP_LIMIT": "1000000",
            "DASHCAM_SPOOL_LIMIT": str(SPOOL_LIMIT_BYTES),
        }
        self._processes = {name: self._start(name) for name in ("cars", "parts", "shipper")}

    def _note(self, name):
        """Return what a service noted last: it answers one request after the other."""
        path = self.folder / f"{name}.notes"
        if not path.exists():
            return "-0"
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 40))
            whole = file.read().rpartition(b"\n")[0]  # the last line may be half written
            return (whole.split() or [b"-0"])[-1].decode()

    def _begun(self, name):
        note = self._note(name)
        return -1 if note == "-0" else int(note[1:])

    def answered(self):
        """Return how many requests both services have begun."""
        return min(self._begun(name) for name in ("cars", "parts")) + 1

    def _start(self, name):
        if name == "shipper":
            command = ["-m", "dashcam", "ship"]
        else:
            command = ["-m", "tests.kills.clip_traffic", str(self.folder / "state" / "spool"), name]
            command += [str(self._begun(name) + 1), str(self.requests), str(self.folder / f"{name}.notes")]
        voice = subprocess.DEVNULL if name == "shipper" else None  # what ends a service by itself is said
        return prepared.start(command, self._environment, stderr=voice)

    def run(self, show=lambda: None, seed=1):
        """Have every request answered, with the kills spread over them; then ship what is left.

        `show` is called now and then.
        """
        rng, kills = random.Random(seed), self._wanted
        victims = itertools.cycle(["cars", "parts", "shipper"])
        until_s = time.monotonic() + DEADLINE_S + kills + self.requests / 100
        while sum(self._is_working(name) for name in ("cars", "parts")):
            assert time.monotonic() < until_s, "the requests were not answered in time"
            time.sleep(rng.uniform(0.02, 0.2))
            show()
            if self.kills.total() <= self.answered() * kills / self.requests:
                self._kill(next(victims))
        while self.kills.total() < kills:
            time.sleep(rng.uniform(0.2, 0.8))
            self._kill("shipper")
        self._processes["shipper"].send_signal(signal.SIGTERM)
        self._processes["shipper"].wait(30)
        subprocess.run([sys.executable, "-m", "dashcam", "ship", "--drain"], env=self._environment, check=True)

    def _is_working(self, name):
        status = self._processes[name].poll()
        assert not status, f"{name} ended by itself with {status} after {self._note(name)}"
        return status is None

    def _kill(self, name):
        process = self._processes[name]
        if process.poll() is None:
            process.kill()
            process.wait()
            self.kills[name] += 1
            if name != "shipper":
                note = self._note(name)
                if note.startswith("+"):
                    self.interrupted.add(int(note[1:]))
            self._processes[name] = self._start(name)

    def stop(self):
        """End whatever is left."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def arrived(self):
        """Return the DEBUG lines in the store, each with how often it is there."""
        os.environ["DASHCAM_DIR"] = self._environment["DASHCAM_DIR"]
        with closing(open_store("local")) as store:
            return Counter(event.get("message") for event in store.find(Query(Term("log.level", "debug"))))


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
