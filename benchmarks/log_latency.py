"""How long single log calls take: four threads log as fast as they can, beside a shipper that reads what they wrote.

Each call is timed on its own, by the clock and by the processor time of its thread: the latter is what a call costs,
the former also has what other threads and processes took meanwhile. The spool begins a new segment every few thousand
calls; the longest call is one that did so, or one that was interrupted.

    python -m benchmarks.log_latency [--quick]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from array import array
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from threading import Thread

from benchmarks.event import FIELDS, MESSAGE
from benchmarks.report import judge, print_machine, print_table, verdict

import dashcam
from dashcam.record import recorder
from dashcam.settings import RecordSettings

THREADS = 4
CLOCKS = {"clock": time.perf_counter_ns, "processor": time.thread_time_ns}
LIMIT_BYTES = 4 << 30  # of the spool: four threads record faster than one shipper reads, and none is to be dropped


def time_calls(info, clock, calls):
    """The nanoseconds of each call, sorted, of all threads."""
    taken = [array("q") for _ in range(THREADS)]

    def work(mine):
        for _ in range(calls // THREADS):
            began_ns = clock()
            info(MESSAGE, **FIELDS)
            mine.append(clock() - began_ns)

    workers = [Thread(target=work, args=(mine,)) for mine in taken]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sorted(ns for mine in taken for ns in mine)


def nothing(message, **fields):
    """What the machine takes away from a call that does nothing: other threads, interrupts, the clock itself."""


def measure(info, clock, calls, begun):
    before, taken_ns = len(begun), time_calls(info, clock, calls)
    shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}
    figures = {f"{name}, µs": taken_ns[int(share * len(taken_ns))] / 1e3 for name, share in shares.items()}
    return figures | {"longest, µs": taken_ns[-1] / 1e3, "segments begun": len(begun) - before}


def watch_segments(spool):
    """The segments that the spool begins from now on."""
    rotate, begun = spool._rotate, []  # noqa: SLF001 - nothing else tells

    def watched():
        begun.append(time.time())
        return rotate()

    spool._rotate = watched  # noqa: SLF001
    return begun


@contextmanager
def shipper(folder):
    """A shipper that hands everything on to standard output, which nobody reads."""
    environment = os.environ | {"DASHCAM_DIR": str(folder), "LOG_BACKEND": "stdout"}
    command = [sys.executable, "-m", "dashcam", "ship"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    rounds, calls = (3, 40_000) if parser.parse_args().quick else (9, 200_000)
    print_machine("orjson")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dashcam.init("bench", settings=RecordSettings(dir=folder, spool_limit_bytes=LIMIT_BYTES, console="off"))
        info = dashcam.get_logger("cars").info
        begun = watch_segments(recorder.current().spool)
        with shipper(folder):
            measure(info, time.perf_counter_ns, calls, begun)
            figures = {by: [] for by in (*CLOCKS, *(f"{by}, an empty call" for by in CLOCKS))}
            for _ in range(rounds):
                for by, clock in CLOCKS.items():
                    figures[by].append(measure(info, clock, calls, begun))
                    figures[f"{by}, an empty call"].append(measure(nothing, clock, calls, begun))
        dropped = sum(recorder.current().spool._dropped.values())  # noqa: SLF001
        recorder.stop()
    print(f"{THREADS} threads, {rounds} rounds of {calls:,} calls by each, median [least-most]; {dropped} were dropped")
    print_table(figures)
    return verdict(judged(figures))


def judged(figures):
    for by, name in (("processor", "of processor"), ("clock", "by the clock")):
        taken_us = median(sample["p99.9, µs"] for sample in figures[by])
        yield judge(f"p99.9 of a log call, four threads, shipper at work, µs {name}", taken_us, at_most=20)


if __name__ == "__main__":
    sys.exit(main())
