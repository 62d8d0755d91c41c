"""Run many seeds, or one step by step: `python -m tests.simulation [--seeds N] [--from N] [--jobs N] [--trace]`.

Prints what failed as it goes, and a table in the end. Exit status 1 if a seed failed; it is then kept in `seeds/`.
"""

import os
import sys
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from ..long_runs import command_line, machine, write
from .points import POINTS
from .world import World

SEEDS = Path(__file__).with_name("seeds")
NS_PER_H = 3600 * 10**9


@dataclass
class Result:
    """What came of some runs."""

    seeds: int = 0
    hours: float = 0.0
    cpu_s: float = 0.0
    events: int = 0
    calls: int = 0
    cuts: int = 0
    faults: Counter = field(default_factory=Counter)
    reached: set = field(default_factory=set)
    failed: dict = field(default_factory=dict)

    def add(self, other):
        """Add those of other runs."""
        for name in ("seeds", "hours", "cpu_s", "events", "calls", "cuts"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.faults += other.faults
        self.reached |= other.reached
        self.failed |= other.failed


def run(seed, minutes=None):
    """Run one seed; where minutes are given, for so long and not as the seed says."""
    began_s = time.process_time()
    world, failed = World(seed, minutes=minutes), {}
    try:
        world.run()
    except Exception as fault:  # noqa: BLE001 - whatever it is, it is what this seed has found
        failed = {seed: f"{type(fault).__name__}: {fault}"}
    calls, hours = sum(world.disk.counts.values()), world.machine.now_ns / NS_PER_H
    cpu_s = time.process_time() - began_s
    oracle = world.oracle
    return Result(1, hours, cpu_s, oracle.lines, calls, oracle.cuts, world.faults, world.disk.reached, failed)


def table(total):
    """Return the summary as text."""
    rows = [
        ("seeds", f"{total.seeds:,}"),
        ("failed", f"{len(total.failed):,}"),
        ("simulated hours", f"{total.hours:,.1f}"),
        ("seconds of CPU", f"{total.cpu_s:,.0f}"),
        ("events", f"{total.events:,}"),
        ("calls of the system", f"{total.calls:,}"),
        ("power cuts", f"{total.cuts:,}"),
        ("points and states met by chance", f"{len(total.reached):,} of {len({point.name for point in POINTS}):,}"),
    ]
    rows += [(f"fault: {name}", f"{count:,}") for name, count in sorted(total.faults.items())]
    return "\n".join(f"{name:40}{value:>14}" for name, value in rows)


def report(total):
    """Return the summary as what JSON can hold."""
    fields = {name: value for name, value in vars(total).items() if name != "reached"}
    return fields | {"reached": sorted(total.reached), "machine": machine()}


def trace(seed):
    """Run one seed, and print its steps."""
    world = World(seed)
    try:
        world.run()
    finally:
        for now_ns, *what in world.trace:
            print(f"{now_ns / 1e9:12.3f} s  {' '.join(map(str, what))}")


def main():
    """Run the seeds; an exit status."""
    parser = command_line("simulation", __doc__)
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="how many (100)")
    parser.add_argument("--from", type=int, default=0, metavar="N", dest="first", help="the first one (0)")
    parser.add_argument("--seconds", type=float, default=float("inf"), metavar="S", help="begin no run after so long")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (1)")
    parser.add_argument("--trace", action="store_true", help="run the first seed alone, and print its steps")
    options = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is a part of a run
        os.execve(sys.executable, [*sys.orig_argv], os.environ | {"PYTHONHASHSEED": "0"})
    if options.trace:
        trace(options.first)
        return 0
    total, until_s = Result(), time.monotonic() + options.seconds
    with ProcessPoolExecutor(options.jobs) as pool:
        seeds = iter(range(options.first, options.first + options.seeds))
        under_way = {pool.submit(run, seed) for seed in islice(seeds, 2 * options.jobs)}
        while under_way:
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                total.add(future.result())
                for seed, fault in future.result().failed.items():
                    (SEEDS / str(seed)).touch()
                    print(f"seed {seed}: {fault}", flush=True)
            if time.monotonic() < until_s:
                under_way |= {pool.submit(run, seed) for seed in islice(seeds, len(done))}
            write(report(total), options.report)
            if sys.stderr.isatty():
                print(f"\r{total.seeds:,} seeds, {total.hours:,.0f} hours", end="", file=sys.stderr, flush=True)
    print(table(total))
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
