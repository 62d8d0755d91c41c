"""The share of a core that a shipper takes beside processes that record nothing now, and in a spool of many segments.

Each process has an open segment, which the shipper must look at to see that nothing new is in it. Finished segments
that are delivered, and stay until the spool needs room, must cost nothing. The time is that of the kernel's scheduler
for all threads of `dashcam ship`, from a moment after everything is delivered.

    python -m benchmarks.idle_shipper [--processes 300] [--segments 10000] [--seconds 30]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.report import judge, middle, print_machine, print_table, verdict

from dashcam.ship.inspection.stats import collect_stats
from dashcam.spool.file import SegmentOptions
from dashcam.spool.segment import service_folder
from dashcam.spool.writer import Writer

SERVICES = 10
SETTLE_S = 10  # a shipper looks less often at what has been quiet for long
SEGMENTS_PER_S = 300  # that it finds to be finished, and looks at no more
MOST_PERCENT = 0.5
LINE = b'{"time_ns":%d,"log.level":"info","message":"ready","log":{"logger":"cars"},"event":{"kind":"event"}}\n'


def record(spool: Path, number: int) -> Writer:
    """What a process does that has said that it is ready."""
    service = f"service-{number % SERVICES}"
    shared = {"ecs.version": "8.17.0", "service": {"name": service}, "host": {"name": "here"}}
    writer = Writer(service_folder(spool, "here", service), lambda: shared, 1 << 40, options=SegmentOptions())
    writer.append(LINE % time.time_ns())
    return writer


@contextmanager
def shipper(folder: Path):
    """A shipper that takes everything at once."""
    environment = {**os.environ, "DASHCAM_DIR": str(folder), "LOG_BACKEND": "stdout", "DASHCAM_SPOOL_LIMIT": "64GB"}
    process = subprocess.Popen(
        [sys.executable, "-m", "dashcam", "ship"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def used_s(process: subprocess.Popen) -> float:
    """Processor seconds of all threads so far."""
    threads = Path(f"/proc/{process.pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def idle(processes: int, segments: int, seconds: float) -> dict[str, float]:
    """The share of a core, in percent."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        for number in range(segments):
            record(folder / "spool", number).close()
        for number in range(processes):
            stack.callback(record(folder / "spool", number).close)
        process = stack.enter_context(shipper(folder))
        while not (routes := collect_stats(folder).routes) or routes["stdout"].delivered < processes + segments:
            time.sleep(0.5)
        time.sleep(SETTLE_S + segments / SEGMENTS_PER_S)
        began_s, before_s = time.monotonic(), used_s(process)
        time.sleep(seconds)
        return {"% of a core": 100 * (used_s(process) - before_s) / (time.monotonic() - began_s)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=300)
    parser.add_argument("--segments", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--quick", action="store_true", help="1,000 segments, 10 seconds")
    given = parser.parse_args()
    if given.quick:
        given.segments, given.seconds = 1_000, 10
    print_machine()
    ways = {
        "nothing": (0, 0),
        f"{given.processes} processes": (given.processes, 0),
        f"{given.segments:,} segments": (0, given.segments),
    }
    figures = {name: [idle(*spool, given.seconds)] for name, spool in ways.items()}
    print_table(figures)
    del figures["nothing"]
    return verdict(
        judge(f"% of a core for a shipper beside {name} at rest", middle(samples, "% of a core"), at_most=MOST_PERCENT)
        for name, samples in figures.items()
    )


if __name__ == "__main__":
    sys.exit(main())
