"""Events a second, and memory, of `dashcam search --limit 0 --json` over all that the local store has.

Each round is a whole process that writes into a pipe which is read and counted. The memory of a search over a tenth of
the events is measured beside it: what grows with the events would show.

    python -m benchmarks.search_all [--events 5000000] [--rounds 2] [--folder DIR]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.lookup import fill
from benchmarks.report import interleave, judge, middle, print_machine, print_table, verdict

from dashcam.destinations.local.options import Options


def search(folder: Path, events: int) -> dict[str, float]:
    """What a search for all events takes."""
    environment = {**os.environ, "DASHCAM_DIR": str(folder), "LOG_BACKEND": "local"}
    command = [sys.executable, "-m", "dashcam", "search", "--since", "36500d", "--limit", "0", "--json"]
    started_s = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    lines = 0
    while part := process.stdout.read(1 << 20):
        lines += part.count(b"\n")
    _, status, used = os.wait4(process.pid, 0)
    took_s = time.perf_counter() - started_s
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode or lines < events - 10:
        raise SystemExit(f"{lines:,} of {events:,} events, exit status {process.returncode}")
    return {
        "events/s": lines / took_s,
        "CPU µs/event": 1e6 * (used.ru_utime + used.ru_stime) / lines,
        "MiB": used.ru_maxrss / 1024,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the files are made, and stay")
    parser.add_argument("--quick", action="store_true", help="200,000 events, 2 rounds")
    given = parser.parse_args()
    if given.quick:
        given.events, given.rounds = 200_000, 2
    print_machine("orjson")
    with tempfile.TemporaryDirectory() as folder:
        ways = {}
        for events in (given.events // 10, given.events):
            home = (given.folder or Path(folder)) / str(events)
            if not (home / "events.db").exists():
                fill(Options(dir=home, limit_bytes=1 << 40, retention_days=36_500), events)
            ways[f"{events:,} events"] = partial(search, home, events)
        figures = interleave(given.rounds, ways)
    print_table(figures)
    few, many = figures.values()
    return verdict(
        [
            judge("events/s of a search for all as JSON", middle(many, "events/s"), at_least=100_000),
            judge(
                "memory of a search for all events, times that for a tenth",
                middle(many, "MiB") / middle(few, "MiB"),
                at_most=1.25,
            ),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
