"""What a call of the standard library's logging costs when Dashcam records it, against a NullHandler.

python -m benchmarks.stdlib_call [--quick]
"""

import argparse
import logging
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.event import FIELDS, with_extra
from benchmarks.report import interleave, judge, print_machine, print_table, ratio

import dashcam
from dashcam.record.handler import Handler
from dashcam.settings import Settings

CPU = "CPU µs a call"


def measure(logger: logging.Logger, calls: int) -> dict[str, float]:
    info = with_extra(logger.info)
    started_s, used_s = time.perf_counter(), time.process_time()
    for _ in range(calls):
        info()
    took_s, used_s = time.perf_counter() - started_s, time.process_time() - used_s
    return {"µs a call": 1e6 * took_s / calls, CPU: 1e6 * used_s / calls}


def logger_to(handler: logging.Handler) -> logging.Logger:
    logger = logging.Logger(type(handler).__module__, logging.INFO)  # noqa: LOG001 - apart from the tree of loggers
    logger.addHandler(handler)
    return logger


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    rounds, calls = (7, 4_000) if parser.parse_args().quick else (31, 20_000)
    print_machine("orjson")
    print(f"a message and {len(FIELDS)} fields, {rounds} interleaved rounds of {calls:,} calls, median [least-most]")
    with tempfile.TemporaryDirectory() as folder:
        dashcam.init("bench", settings=Settings(dir=Path(folder), spool_limit=1 << 40))
        ways = {"dashcam's handler": logger_to(Handler()), "a NullHandler": logger_to(logging.NullHandler())}
        figures = interleave(rounds, {way: partial(measure, logger, calls) for way, logger in ways.items()})
    print_table(figures)
    ours, null = figures.values()
    return (
        0 if judge("standard-library call, times a NullHandler call, CPU", ratio(ours, null, CPU), at_most=1.35) else 1
    )


if __name__ == "__main__":
    sys.exit(main())
