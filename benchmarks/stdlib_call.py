"""What a call of the standard library's logging costs when Dashcam records it, against a NullHandler without Dashcam.

python -m benchmarks.stdlib_call [--quick]
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.disk import make_room
from benchmarks.event import FIELDS, with_extra
from benchmarks.report import interleave, judge, print_machine, print_quick, print_table, ratio, verdict

import dashcam
from dashcam.settings import RecordSettings

CPU = "CPU µs a call"
LOGGER = logging.Logger("cars", logging.INFO)  # noqa: LOG001 - apart from the tree of loggers
LOGGER.addHandler(logging.NullHandler())


def changed() -> tuple[Callable[..., Any], Callable[..., Any]]:
    return logging.getLogRecordFactory(), logging.Logger.callHandlers


def measure(folder: Path, changes: tuple[Callable[..., Any], Callable[..., Any]], calls: int) -> dict[str, float]:
    """Microseconds of a call, with the record factory and `callHandlers` as given: what `init` changes in `logging`."""
    make_room(folder)
    logging.setLogRecordFactory(changes[0])
    logging.Logger.callHandlers = changes[1]  # type: ignore[method-assign]
    info = with_extra(LOGGER.info)
    started_s, used_s = time.perf_counter(), time.process_time()
    for _ in range(calls):
        info()
    took_s, used_s = time.perf_counter() - started_s, time.process_time() - used_s
    return {"µs a call": 1e6 * took_s / calls, CPU: 1e6 * used_s / calls}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    rounds, calls = (7, 4_000) if parser.parse_args().quick else (31, 20_000)
    print_machine("orjson")
    print_quick()
    print(f"a message and {len(FIELDS)} fields, {rounds} interleaved rounds of {calls:,} calls, median [least-most]")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        null = changed()
        dashcam.init("bench", settings=RecordSettings(dir=folder, spool_limit_bytes=1 << 40, console="off"))
        ours = changed()
        ways = {
            "recorded": partial(measure, folder, ours, calls),
            "recorded, Python's record factory": partial(measure, folder, (null[0], ours[1]), calls),
            "a NullHandler": partial(measure, folder, null, calls),
        }
        figures = interleave(rounds, ways)
    print_table(figures)
    times = ratio(figures["recorded"], figures["a NullHandler"], CPU)
    return verdict([judge("standard-library call, times a NullHandler call, CPU", times, at_most=1.35)])


if __name__ == "__main__":
    sys.exit(main())
