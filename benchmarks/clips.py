"""Measure what held lines cost the shipper, and what they save.

The lines are 380 bytes long, as those of a log call in a request. The backend takes everything at once, so the CPU time
is the shipper's own: of the whole process, with its start and its clips. A request has 20 lines and its span, and one
of a hundred fails. What is compared reads the same spool, in turns, so that a busy machine is as busy for both.

    python -m benchmarks.clips [--quick | --long]
    python -m benchmarks.clips --growth SECONDS           # of a shipper's memory, alone
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from statistics import median

from benchmarks.report import interleave, judge, middle, print_machine, print_quick, print_table, ratio, verdict

from dashcam.destinations.registry import open_store
from dashcam.find.query import Query, Term
from dashcam.settings import Settings, load
from dashcam.ship.batch import Limits
from dashcam.ship.inspection.stats import collect_stats
from dashcam.ship.shipper import ship
from dashcam.spool.segment import service_folder
from dashcam.spool.writer import Writer

GROWTH = "growth of a shipper that holds 10,000 lines/s, MB"
AMONG = "held, with the span of each request"
STEPS = 20  # DEBUG lines of a request
FAILS_EVERY = 100
INFO_REQUESTS = 10_000  # a drain of fewer is for the most part the start of a shipper
SHARED = {"ecs.version": "8.17.0", "service": {"name": "cars"}, "process": {"pid": 4242}, "host": {"name": "here"}}
CALL = (
    '{"time_ns":%d,"log.level":"%s","message":"query for car %d finished in the database","labels":{"car_id":%d,'
    '"rows":3},"http":{"request":{"id":"01a212fc-af2d-7607-a77e-%012d"}},"trace":{"id":"9efa7e9ba47a1e3ab7e567aa84b00'
    '11f"},"span":{"id":"00f067aa0ba902b7"},"transaction":{"id":"00f067aa0ba902b7"},"log":{"logger":"cars.api"},'
    '"event":{"kind":"event"}}\n'
)
SERVED = (
    '{"time_ns":%d,"processor":{"event":"transaction"},"log.level":"%s","message":"POST /cars","span":{"id":"00f067aa0b'
    'a902b7"},"trace":{"id":"9efa7e9ba47a1e3ab7e567aa84b0011f"},"transaction":{"id":"00f067aa0ba902b7","name":"POST /ca'
    'rs"},"http":{"request":{"id":"01a212fc-af2d-7607-a77e-%012d","method":"POST"},"response":{"status_code":%d},'
    '"route":"/cars"},"event":{"kind":"event","duration":1234567}}\n'
)


def writer_to(folder):
    """A writer of the service cars, with segments of the usual size."""
    return Writer(service_folder(folder / "spool", "here", "cars"), lambda: SHARED, 8 << 30)


def call(number, level="debug"):
    """The line of a log call."""
    return (CALL % (time.time_ns(), level, number, number, number // STEPS)).encode()


def served(request, status=200):
    """The line of a request's span."""
    return (SERVED % (time.time_ns(), "error" if status >= 500 else "info", request, status)).encode()


def fill(folder, requests, level="debug"):
    """Record requests of which one of a hundred fails; the number of lines of that level."""
    writer = writer_to(folder)
    for request in range(requests):
        for number in range(request * STEPS, (request + 1) * STEPS):
            writer.append(call(number, level))
        writer.append(served(request, 503 if request % FAILS_EVERY == 7 else 200))
    writer.close()
    return requests * STEPS


class Taking:
    """A backend that takes everything and counts its bytes."""

    limits = Limits(events=1000, bytes=1 << 20)

    def __init__(self):
        self.bytes = self.events = 0
        self._counting = threading.Lock()

    def ship(self, batch):
        """Take it."""
        size = sum(len(event.data) + 1 for event in batch)
        with self._counting:
            self.bytes += size
            self.events += len(batch)

    def close(self):
        """Nothing to give back."""


def drain(folder, level=""):
    """Ship what there is; the CPU seconds, and the backend."""
    given = {"DASHCAM_DIR": str(folder), "LOG_BACKEND": "taking", "DASHCAM_CLIP_LIMIT": "1000000"}
    backend, began_s = Taking(), time.process_time()
    ship(load(Settings, given | {"DASHCAM_SHIP_LEVEL": level}), lambda _: backend, is_drain=True)
    return time.process_time() - began_s, backend


def fill_with_calls(folder, lines):
    """Record DEBUG lines alone; their number."""
    writer = writer_to(folder)
    for number in range(lines):
        writer.append(call(number))
    writer.close()
    return lines


def drained_anew(folder, lines, ship_level):
    """What a line costs a shipper that nothing is known to."""
    for state in ("positions", "clips", "pruned"):
        shutil.rmtree(folder / state, ignore_errors=True)
    cpu_s, _ = drain(folder, ship_level)
    return {"CPU, µs/line": cpu_s / lines * 1e6}


def compare_lines(requests, rounds):
    """What a line costs that is held, alone and among spans, and one that is shipped, with and without clips."""
    with tempfile.TemporaryDirectory() as name:
        calls, among, info = (Path(name) / part for part in ("calls", "among", "info"))
        held = fill_with_calls(calls, requests * STEPS)
        mixed = fill(among, requests) + requests
        shipped = fill(info, INFO_REQUESTS, "info") + INFO_REQUESTS
        ways = {
            "held": lambda: drained_anew(calls, held, "INFO"),
            AMONG: lambda: drained_anew(among, mixed, "INFO"),
            "INFO, nothing held": lambda: drained_anew(info, shipped, ""),
            "INFO, DEBUG would be held": lambda: drained_anew(info, shipped, "INFO"),
        }
        figures = interleave(rounds, ways)
    print_table(figures)
    return figures


def bytes_shipped(requests):
    """The share of the bytes that is not shipped, where one request of a hundred fails."""
    sent = {}
    for level in ("", "INFO"):
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder), requests)
            sent[level] = drain(Path(folder), level)[1].bytes
    print(f"{requests:,} requests: {sent['']:,} bytes, with clips {sent['INFO']:,}")
    return 100 * (1 - sent["INFO"] / sent[""])


def shipper(folder, **environment):
    """A shipper of its own, to the local store."""
    given = os.environ | {"DASHCAM_DIR": str(folder), "LOG_BACKEND": "local", "DASHCAM_SHIP_LEVEL": "INFO"}
    return subprocess.Popen(
        [sys.executable, "-m", "dashcam", "ship"], env=given | environment, stderr=subprocess.DEVNULL
    )


def until_found(folder, query, count):
    """The seconds until a store has so many events of a query."""
    os.environ["DASHCAM_DIR"] = str(folder)
    began_s = time.monotonic()
    while time.monotonic() - began_s < 60:
        if (folder / "events.db").exists():
            with closing(open_store("local")) as store:
                if len(list(store.find(query))) >= count:
                    return time.monotonic() - began_s
        time.sleep(0.02)
    return float("inf")


LOGGING = """
import sys, time
import dashcam
dashcam.init("cars")
log, calls = dashcam.get_logger("cars"), int(sys.argv[1])
for number in range(1_000):
    log.debug("query finished", rows=number)
used_s = time.thread_time()
for number in range(calls):
    log.debug("query finished", rows=number)
print((time.thread_time() - used_s) / calls * 1e6, end=" ")
print(sum(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")))
"""


def log_call(calls, ship_level):
    """What a DEBUG call costs a service that is told, or not told, what is shipped at once; and its own memory."""
    with tempfile.TemporaryDirectory() as folder:
        given = os.environ | {"DASHCAM_DIR": folder, "LOG_LEVEL": "DEBUG", "DASHCAM_CONSOLE": "off"}
        environment = given | ({"DASHCAM_SHIP_LEVEL": ship_level} if ship_level else {})
        command = [sys.executable, "-c", LOGGING, str(calls)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    cpu_us, memory_kb = map(float, done.stdout.split())
    return {"CPU, µs/call": cpu_us, "own memory, MB": memory_kb / 1000}


def compare_log_calls(calls, rounds):
    """How many times as much a log call costs where its line will be held, and the megabytes more."""
    ways = {"all is shipped": lambda: log_call(calls, ""), "DEBUG is held": lambda: log_call(calls, "INFO")}
    figures = interleave(rounds, ways)
    print_table(figures)
    shipped, held = figures["all is shipped"], figures["DEBUG is held"]
    more_mb = middle(held, "own memory, MB") - middle(shipped, "own memory, MB")
    return ratio(held, shipped, "CPU, µs/call"), more_mb


def searchable(rounds):
    """The seconds from the end of a failed request until its DEBUG lines are found."""
    took_s = []
    with tempfile.TemporaryDirectory() as folder:
        path, writer = Path(folder), writer_to(Path(folder))
        process = shipper(path)
        for request in range(rounds):
            for number in range(request * STEPS, (request + 1) * STEPS):
                writer.append(call(number))
            writer.append(served(request, 503))
            took_s.append(until_found(path, Query(Term("log.level", "debug")), (request + 1) * STEPS))
        process.terminate()
        process.wait()
        writer.close()
    return median(took_s)


def restart(megabytes):
    """The seconds until a shipper that starts over so much that is held ships something new."""
    with tempfile.TemporaryDirectory() as folder:
        path, writer = Path(folder), writer_to(Path(folder))
        lines = megabytes * 1_000_000 // len(call(0))
        for number in range(lines):
            writer.append(call(number))
        given = {"DASHCAM_DIR": folder, "LOG_BACKEND": "local", "DASHCAM_SPOOL_LIMIT": "8GB"}
        drain_as_local(path, given)
        writer.append(served(lines // STEPS - 5, 503))
        process = shipper(path, DASHCAM_SPOOL_LIMIT="8GB")
        new_s = until_found(path, Query(Term("processor.event", "transaction")), 1)
        clip_s = until_found(path, Query(Term("log.level", "debug")), STEPS)
        process.terminate()
        process.wait()
        writer.close()
    print(f"over {megabytes} MB of held lines: ships after {new_s:.2f} s, the clip {clip_s:.2f} s later")
    return new_s


def drain_as_local(folder, given):
    """Have a shipper go past what is held, and end."""
    process = shipper(folder, **given)
    while (route := collect_stats(folder).routes.get("local")) is None or route.waiting:
        time.sleep(0.5)
    process.terminate()
    process.wait()


def growth(seconds, lines_per_s=10_000):
    """The megabytes that a shipper grows by while lines are held, after the first third of the time."""
    with tempfile.TemporaryDirectory() as folder:
        path, writer = Path(folder), writer_to(Path(folder))
        process = shipper(path)
        sizes, began_s, number = [], time.monotonic(), 0
        while (passed_s := time.monotonic() - began_s) < seconds:
            while number < passed_s * lines_per_s:
                writer.append(call(number))
                number += 1
            status = Path(f"/proc/{process.pid}/statm").read_text().split()
            sizes.append((passed_s, int(status[1]) * resource.getpagesize() / 1e6))
            threading.Event().wait(0.05)
        held = collect_stats(path).routes["local"]
        process.terminate()
        process.wait()
        writer.close()
    first = max(size for at, size in sizes if at < seconds / 3)
    print(f"{number:,} lines in {seconds} s: {held.held:,} held, {held.expired:,} expired; RSS {sizes[-1][1]:.0f} MB")
    return max(size for at, size in sizes if at > seconds * 2 / 3) - first


def main():
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of it")
    parser.add_argument("--long", action="store_true", help="ten minutes of held lines")
    parser.add_argument("--growth", type=int, metavar="SECONDS", help="measure the growth of a shipper alone")
    arguments = parser.parse_args()
    print_machine()
    print_quick()
    if arguments.growth:
        return verdict([judge(GROWTH, growth(arguments.growth), at_most=20)])
    requests, rounds = (1_000, 3) if arguments.quick else (5_000, 7)
    figures = compare_lines(requests, rounds)
    slower = 100 * (ratio(figures["INFO, DEBUG would be held"], figures["INFO, nothing held"], "CPU, µs/line") - 1)
    more, more_mb = compare_log_calls(20_000 if arguments.quick else 100_000, rounds)
    kept = [
        judge("CPU of a log call whose line is held, times one whose line is shipped", more, at_most=1.05),
        judge("memory of a service whose lines are held, MB more", more_mb, at_most=1),
        judge("CPU of the shipper for a held line, µs", middle(figures["held"], "CPU, µs/line"), at_most=1.5),
        judge("the same with the span of each request, µs", middle(figures[AMONG], "CPU, µs/line"), at_most=2),
        judge("CPU of the shipper for INFO lines where DEBUG would be held, % more", slower, at_most=5),
        judge("bytes that clips do not ship at 1 % failures, %", bytes_shipped(requests), at_least=90),
        judge("failed request to its DEBUG lines found, s", searchable(5), at_most=2),
        judge(
            "restart over held lines until something new ships, s", restart(50 if arguments.quick else 512), at_most=2
        ),
        judge(GROWTH, growth(600 if arguments.long else 30), at_most=20),
    ]
    return verdict(kept)


if __name__ == "__main__":
    sys.exit(main())
