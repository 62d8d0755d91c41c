"""Events a second, processor time and disk of shipping to the local store, by batch size, and for a minute without end.

Each round makes a new file. Every batch is on disk before the next one is sent.

    python -m benchmarks.local_store [--events 100000] [--rounds 5] [--sustained 60]
"""

import argparse
import gc
import itertools
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from benchmarks.report import interleave, judge, print_machine, print_table, verdict
from benchmarks.traffic import EVENTS_A_REQUEST, requests

from dashcam.destinations.local.backend import Local, connect
from dashcam.destinations.local.options import Options
from dashcam.event import EncodedEvent

BATCHES = (100, 500, 2000)
LEAST_PER_S = 60_000  # ten workers record that much: each serves some 2,000 requests a second, of three events each


def ship_all(lines: list[EncodedEvent], batch: int) -> dict[str, float]:
    """Ship to a new file; what it took."""
    folder = Path(tempfile.mkdtemp())
    local = connect(Options(dir=folder))
    started_s, used_s = time.perf_counter(), time.process_time()
    for first in range(0, len(lines), batch):
        local.ship(lines[first : first + batch])
    took_s, used_s = time.perf_counter() - started_s, time.process_time() - used_s
    local.close()
    size = (folder / "events.db").stat().st_size
    shutil.rmtree(folder)
    return {
        "events/s": len(lines) / took_s,
        "CPU µs/event": 1e6 * used_s / len(lines),
        "bytes/event": size / len(lines),
    }


def sustain(seconds: float, batch: int) -> float:
    """Ship without a pause, and tell each tenth of the time how fast it goes; gives the least."""
    folder = Path(tempfile.mkdtemp())
    local = connect(Options(dir=folder))
    lines = itertools.chain.from_iterable(request.lines for request in requests(10**9, time.time_ns()))
    rates = []
    for tenth in range(10):
        rates.append(_rate(local, lines, batch, seconds / 10))
        print(f"  second {seconds * (tenth + 1) / 10:5.0f}: {rates[-1]:10,.0f} events/s")
    local.close()
    shutil.rmtree(folder)
    return min(rates)


def _rate(local: Local, lines: Iterable[EncodedEvent], batch: int, seconds: float) -> float:
    """Events a second of `ship` alone, over as many seconds of it."""
    events, spent_s = 0, 0.0
    while spent_s < seconds:
        part = list(itertools.islice(lines, batch))
        started_s = time.perf_counter()
        local.ship(part)
        spent_s += time.perf_counter() - started_s
        events += batch
    return events / spent_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sustained", type=float, default=60, metavar="SECONDS", help="0 leaves it out")
    parser.add_argument("--quick", action="store_true", help="20,000 events, 2 rounds, 5 seconds")
    given = parser.parse_args()
    if given.quick:
        given.events, given.rounds, given.sustained = 20_000, 2, 5
    print_machine("orjson")
    lines = [line for request in requests(given.events // EVENTS_A_REQUEST, time.time_ns()) for line in request.lines]
    gc.set_threshold(100_000)  # as `dashcam ship` has it
    gc.freeze()
    raw = sum(len(line.data) for line in lines) / len(lines)
    print(f"SQLite {sqlite3.sqlite_version}, {len(lines):,} events of {raw:.0f} bytes, {given.rounds} rounds")
    print_table(interleave(given.rounds, {f"batches of {batch}": partial(ship_all, lines, batch) for batch in BATCHES}))
    if not given.sustained:
        return 0
    print("without end, batches of 2000:")
    least = sustain(given.sustained, 2000)
    return verdict([judge("events/s into the local store, without end", least, at_least=LEAST_PER_S)])


if __name__ == "__main__":
    sys.exit(main())
