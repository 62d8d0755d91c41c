"""Real processes, real disks and a backend that fails, by a seed; then every event is looked for.

    python -m tests.chaos --duration 60 --disk ext4 --seed 7 --report chaos.json

Services log without a pause while a fault comes every second or so; then all faults end, and what waits is shipped.
With `--soak` a fault comes every minute, and none ends the shipper or more than one of the services: their memory,
descriptors and threads are measured meanwhile, and have to stay as they are.

An event is lost if its log call returned, no store has it, and no drop was reported for it; double if a store has it
twice; invented if no log call began for it. Exit status 1 if there is one of these.
"""

import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from dashcam.destinations.registry import open_store
from dashcam.event import Event
from dashcam.find.query import Query, Term
from dashcam.testing.fake_loggly import StandIn

from ..long_runs import command_line, machine, write
from .disk import SIZES_MB, mounted, why_not
from .usage import Usage

WRITERS = 3
ROUTES = ("local", "loggly")
DRAIN_S = 180
SOAK_FAULT_S = 60.0  # between two faults
PAUSE_S, SOAK_PAUSE_S = 0.002, 0.05
SOAK_ROOM = 8  # times the smallest disk, which has to hold the events of hours
ROOT = Path(__file__).parents[2]


class Run:
    """The processes of one run, and the faults that can meet them."""

    def __init__(self, folder, disk, stand_in, rng, pause_s):
        self.folder, self.disk, self.stand_in, self.rng = folder, disk, stand_in, rng
        self.environment = (
            os.environ
            | stand_in.environment()
            | {
                "DASHCAM_DIR": str(disk.folder / "state"),
                "DASHCAM_CONSOLE": "off",
                "DASHCAM_SPOOL_LIMIT": "24MB",
                "LOG_BACKEND": ",".join(ROUTES),
            }
        )
        self._pause_s = pause_s  # of a service, after each event
        self.faults = Counter()
        self.writers = [self._writer() for _ in range(WRITERS)]
        self.shipper = self._shipper()
        self.pause = threading.Event().wait

    def _writer(self):
        command = [sys.executable, "-m", "tests.chaos.writer", self.folder / "witness", str(self._pause_s)]
        return subprocess.Popen(command, env=self.environment, cwd=ROOT, stderr=subprocess.DEVNULL)

    def _shipper(self):
        command = [sys.executable, "-m", "dashcam", "ship"]
        log = (self.folder / "shipper.log").open("ab")
        with log:
            return subprocess.Popen(command, env=self.environment, stderr=log, cwd=ROOT)

    def kill_writer(self, number=None):
        number = self.rng.randrange(WRITERS) if number is None else number
        self.writers[number].kill()
        self.writers[number].wait()
        self.writers[number] = self._writer()

    def kill_shipper(self):
        self.shipper.kill()
        self.shipper.wait()
        self.shipper = self._shipper()

    def restart_shipper(self):
        self.shipper.terminate()
        self.shipper.wait()
        self.shipper = self._shipper()

    def stop_backend(self):
        self.stand_in.stop()
        self.pause(self.rng.uniform(0.2, 1.5))
        self.stand_in.start()

    def answer_badly(self):
        self.stand_in.sending.plan(*self.rng.choices(["503", "429", "reset", "500"], k=self.rng.randint(1, 5)))

    def fill_disk(self):
        self.disk.fill()
        self.pause(self.rng.uniform(0.2, 1.5))
        self.disk.free()

    def lock_disk(self):
        self.disk.lock()
        self.pause(self.rng.uniform(0.1, 0.5))
        self.disk.unlock()

    def kill_first_writer(self):
        self.kill_writer(0)

    def fault(self, *, is_soak):
        """Let one fault happen."""
        kinds = [self.stop_backend, self.answer_badly]
        kinds += [self.kill_first_writer] if is_soak else [self.kill_writer, self.kill_shipper, self.restart_shipper]
        kinds += [self.fill_disk, self.lock_disk] if self.disk.is_real else []
        kind = self.rng.choice(kinds)
        kind()
        self.faults[kind.__name__] += 1
        if self.shipper.poll() is not None:  # as a supervisor does
            self.faults["shipper ended"] += 1
            self.shipper = self._shipper()

    def settle(self):
        """End all faults and all processes, and ship what waits."""
        for process in (*self.writers, self.shipper):
            process.terminate()
            process.wait()
        drain = [sys.executable, "-m", "dashcam", "ship", "--drain"]
        subprocess.run(drain, env=self.environment, check=True, timeout=DRAIN_S, stderr=subprocess.DEVNULL, cwd=ROOT)

    def status(self):
        """What `dashcam status` says in the end."""
        command = [sys.executable, "-m", "dashcam", "status", "--json"]
        return json.loads(subprocess.run(command, env=self.environment, capture_output=True, check=False).stdout)


def _steps(run, route):
    """The events of a route's store that the services logged, each ID once."""
    if route == "loggly":  # of what it accepted in hours: the stand-in's search would read all of it for each page
        accepted = [Event.from_json(line) for line in run.stand_in.lines()]
        return {event.id: event for event in accepted if event.get("message") == "step"}.values()
    with contextlib.closing(open_store(route, run.environment)) as store:
        return list(store.find(Query(Term("message", "step"))))


def judge(run):
    """What became of each event: counts, by route."""
    testimony = [line.split() for line in (run.folder / "witness").read_text().splitlines()]
    began = {name for what, name in testimony if what == "calling"}
    logged = {name for what, name in testimony if what == "logged"}
    status = run.status()
    dropped = sum(status["dropped"].values())
    routes = {}
    for route in ROUTES:
        found = Counter(event.labels["step"] for event in _steps(run, route) if event.labels)
        missing = len(logged - found.keys())
        routes[route] = {
            "found": len(found),
            "missing": missing,
            "lost": max(0, missing - dropped),
            "double": sum(times > 1 for times in found.values()),
            "invented": len(found.keys() - began),
        }
    return {"logged": len(logged), "dropped": status["dropped"], "routes": routes, "status": status}


def main():
    """Run once; gives the exit status."""
    parser = command_line("chaos", __doc__)
    parser.add_argument("--duration", type=float, default=60, metavar="S", help="seconds of faults (60)")
    parser.add_argument("--soak", action="store_true", help="a fault a minute, and a look at what processes use")
    parser.add_argument("--disk", choices=["none", *SIZES_MB], default="none", help="the file system of DASHCAM_DIR")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="which faults, and when")
    arguments = parser.parse_args()
    if reason := why_not(arguments.disk):
        print(f"{arguments.disk}: not run, {reason}")
        return 0
    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as folder,
        mounted(arguments.disk, Path(folder), times=SOAK_ROOM if arguments.soak else 1) as disk,
        StandIn() as stand_in,
    ):
        run = Run(
            Path(folder), disk, stand_in, random.Random(arguments.seed), SOAK_PAUSE_S if arguments.soak else PAUSE_S
        )
        pauses_s = (SOAK_FAULT_S, SOAK_FAULT_S) if arguments.soak else (0.2, 1.5)
        usage = Usage({"shipper": run.shipper.pid, "service": run.writers[-1].pid})
        until_s = time.monotonic() + arguments.duration
        while time.monotonic() < until_s:
            run.pause(min(run.rng.uniform(*pauses_s), max(0.0, until_s - time.monotonic())))
            run.fault(is_soak=arguments.soak)
            if arguments.soak:
                usage.measure()
        run.settle()
        report = {"disk": arguments.disk, "seed": arguments.seed, "seconds": arguments.duration} | judge(run)
        report |= {"faults": dict(run.faults), "machine": machine()}
    if arguments.soak:
        report["usage"] = usage.report(arguments.duration)
    _print(report)
    write(report, arguments.report)
    bad = [row for row in report["routes"].values() if row["lost"] or row["double"] or row["invented"]]
    grown = [row for row in report.get("usage", ()) if row["last"] > row["allowed"]]
    return 1 if bad or grown else 0


def _print(report):
    faults = ", ".join(f"{name} {times}" for name, times in sorted(report["faults"].items()))
    print(f"{report['disk']}, seed {report['seed']}, {report['seconds']:g} s: {faults}")
    print(f"  {report['logged']:,} log calls, dropped and reported: {report['dropped']}")
    for route, row in report["routes"].items():
        print(f"  {route}: " + ", ".join(f"{name} {count:,}" for name, count in row.items()))
    for row in report.get("usage", ()):
        print("  {process}, {what}: {first:,} at first, {last:,} in the end, {allowed:,} allowed".format_map(row))


if __name__ == "__main__":
    sys.exit(main())
