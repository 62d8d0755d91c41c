"""How long single log calls take: four threads log as fast as they can, beside a shipper that reads what they wrote.

Each call is timed on its own, by the clock and by the processor time of its thread: the latter is what a call costs,
the former also has what other threads and processes took meanwhile. The spool begins a new segment every few thousand
calls; the longest call is one that did so, or one that was interrupted. A machine interrupts whatever runs, hundreds of
times a second for some microseconds: so a call that only counts, for as long as a log call takes, is timed beside.

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
from dashcam.record.context import recorder
from dashcam.settings import RecordSettings

THREADS = 4
STEPS = 1_000_000  # counted to find out how fast this machine counts
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


def counting(seconds):
    """A call that only counts for about so long: what the machine takes away from it, it takes from any call."""
    started_s = time.thread_time()
    sum(range(STEPS))
    steps = int(STEPS * seconds / (time.thread_time() - started_s))

    def count(_message, **_fields):
        sum(range(steps))

    return count


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
            usual_us = measure(info, time.thread_time_ns, calls, begun)["p50, µs"]
            count = counting(usual_us / 1e6)
            figures = {by: [] for by in (*CLOCKS, *(f"{by}, only counting" for by in CLOCKS))}
            for _ in range(rounds):
                for by, clock in CLOCKS.items():
                    figures[by].append(measure(info, clock, calls, begun))
                    figures[f"{by}, only counting"].append(measure(count, clock, calls, begun))
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
