"""Kill real processes with `kill -9`, many times, and look for every event: `python -m tests.kills [--kills N]`.

Three services and a shipper are forked from this process, so that a kill costs milliseconds and not a start of Python;
every second service records without mapped memory. Each says before and after each log call what it does, to a file
that the kernel keeps. At random moments one of them is killed and another takes its place. In the end what waits is
shipped, and each event is counted: lost if its call returned and it is neither in the store nor counted as dropped,
double if it is there twice, invented if no call began for it. And `dashcam audit` must find the store well. Exit
status 1 if there is one of these.
"""

import contextlib
import logging
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import dashcam
from dashcam.destinations.registry import connect, load_settings, open_store
from dashcam.find.audit import audit
from dashcam.find.query import Query
from dashcam.record.context import recorder
from dashcam.ship.inspection.stats import collect_stats
from dashcam.ship.shipper import ship
from dashcam.spool import file

from ..long_runs import command_line, machine, publish

SERVICES = 3
MAX_PAUSE_S = 0.03  # between two kills

log = dashcam.get_logger("kills")


def forked(work):
    """Run a function in a forked process; return its number."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def serve(witness, number):
    """Record without end; each step is told to the witness."""
    if number % 2:
        file.Mapping = None
    told = os.open(witness, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    dice = random.Random(number)
    step = 0
    while True:
        name = f"{number}-{step}"
        step += 1
        os.write(told, f"calling {name}\n".encode())
        log.info("step", step=name, filling="x" * dice.choice([0, 10, 300]))
        os.write(told, f"logged {name}\n".encode())
        if step % 20 == 0:
            time.sleep(dice.uniform(0, 0.01))


def deliver(*, is_drain=False):
    """Ship, as the command does."""
    recorder.stop()  # it is no service
    logging.disable()
    ship(load_settings(), connect, is_drain=is_drain, audited=["local"])


class Run:
    """The processes, and how many of each kind were killed."""

    def __init__(self, folder):
        self.folder = folder
        self.killed = Counter()
        self._started = 0
        self._dice = random.Random()
        self._pids = {"shipper": forked(deliver)} | {slot: self._service() for slot in range(SERVICES)}

    def _service(self):
        self._started += 1
        number = self._started
        return forked(lambda: serve(self.folder / "witness", number))

    def kill_one(self):
        """Kill a process at a random moment, and start another in its place."""
        time.sleep(self._dice.uniform(0, MAX_PAUSE_S))
        slot = self._dice.choice(list(self._pids))
        self._end(slot, signal.SIGKILL)
        self.killed["shipper" if slot == "shipper" else "service"] += 1
        self._pids[slot] = forked(deliver) if slot == "shipper" else self._service()

    def settle(self):
        """End everybody, and ship what waits."""
        for slot in self._pids:
            self._end(slot, signal.SIGTERM if slot == "shipper" else signal.SIGKILL)
        assert os.waitpid(forked(lambda: deliver(is_drain=True)), 0)[1] == 0

    def _end(self, slot, number):
        os.kill(self._pids[slot], number)
        os.waitpid(self._pids[slot], 0)


def alarms_of(store):
    """Return what an audit finds amiss in a store that has whole segments."""
    found = audit(store, Query())
    assert found.segments, "no segment is stated"
    return [*found.missing, *found.double, *found.changed, *found.invented, *found.gaps]


def judge(folder):
    """Count what became of the events."""
    told = [line.split() for line in (folder / "witness").read_text().splitlines()]
    began = {name for what, name in told if what == "calling"}
    logged = {name for what, name in told if what == "logged"}
    with contextlib.closing(open_store("local", os.environ)) as store:
        found = Counter(event.labels["step"] for event in store.find(Query()) if event.get("message") == "step")
        alarms = alarms_of(store)
    stats = collect_stats(folder / "state")
    dropped = sum(stats.dropped.values())
    return {
        "events": len(logged),
        "found": len(found),
        "dropped and counted": dropped,
        "lost": max(0, len(logged - found.keys()) - dropped),
        "double": sum(times > 1 for times in found.values()),
        "invented": len(found.keys() - began),
        "delivered by the account": stats.routes["local"].delivered,
        "alarms of an audit": len(alarms),
    }


def main():
    """Kill, and judge; an exit status."""
    parser = command_line("kills", __doc__)
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="how many (200)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder, began_s = Path(name), time.monotonic()
        os.environ |= {"DASHCAM_DIR": str(folder / "state"), "DASHCAM_CONSOLE": "off", "LOG_BACKEND": "local"}
        dashcam.init("kills")
        run = Run(folder)
        for _ in range(options.kills):
            run.kill_one()
        run.settle()
        result = {"kills": options.kills, "of": dict(run.killed)} | judge(folder)
    publish(result | {"seconds": round(time.monotonic() - began_s), "machine": machine()}, options.report)
    return 1 if any(result[each] for each in ("lost", "double", "invented", "alarms of an audit")) else 0


if __name__ == "__main__":
    sys.exit(main())
