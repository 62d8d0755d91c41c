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
from statistics import median
from typing import Any

from benchmarks.corpus import CORPUS, with_extra
from benchmarks.disk import make_room
from benchmarks.report import interleave, judge, middle, print_machine, print_quick, ratio, verdict

import dashcam
from dashcam.settings import RecordSettings

CPU = "CPU µs a call"
LOGGER = logging.Logger("cars", logging.INFO)  # noqa: LOG001 - apart from the tree of loggers
LOGGER.addHandler(logging.NullHandler())


def changed() -> tuple[Callable[..., Any], Callable[..., Any]]:
    return logging.getLogRecordFactory(), logging.Logger.callHandlers


def measure(
    folder: Path, changes: tuple[Callable[..., Any], Callable[..., Any]], info: Callable[[], None], calls: int
) -> dict[str, float]:
    """Microseconds of a call, with the record factory and `callHandlers` as given: what `init` changes in `logging`."""
    make_room(folder)
    logging.setLogRecordFactory(changes[0])
    logging.Logger.callHandlers = changes[1]  # type: ignore[method-assign]
    started_s, used_s = time.perf_counter(), time.process_time()
    for _ in range(calls):
        info()
    took_s, used_s = time.perf_counter() - started_s, time.process_time() - used_s
    return {"µs a call": 1e6 * took_s / calls, CPU: 1e6 * used_s / calls}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    rounds, calls = (7, 2_000) if parser.parse_args().quick else (15, 5_000)
    print_machine("orjson")
    print_quick()
    print(
        f"CPU µs a call by kind of event, {rounds} interleaved rounds of {calls:,} calls, median; times a NullHandler:"
    )
    print(f"{'':28}{'recorded':>12}{'NullHandler':>14}{'times':>8}{'times, its own factory':>26}")
    times, own_factory = {}, {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        null = changed()
        dashcam.init("bench", settings=RecordSettings(dir=folder, spool_limit_bytes=1 << 40, console="off"))
        ours = changed()
        for kind, (message, fields) in CORPUS.items():
            info = with_extra(LOGGER.info, message, fields)
            ways = {
                "recorded": partial(measure, folder, ours, info, calls),
                "Python's record factory": partial(measure, folder, (null[0], ours[1]), info, calls),
                "NullHandler": partial(measure, folder, null, info, calls),
            }
            figures = interleave(rounds, ways)
            times[kind] = ratio(figures["recorded"], figures["NullHandler"], CPU)
            own_factory[kind] = ratio(figures["Python's record factory"], figures["NullHandler"], CPU)
            recorded, nothing = middle(figures["recorded"], CPU), middle(figures["NullHandler"], CPU)
            print(
                f"{kind:28}{recorded:>12.2f}{nothing:>14.2f}{times[kind]:>8.2f}{own_factory[kind]:>26.2f}", flush=True
            )
    return verdict(judged(times))


def judged(times):
    name = "standard-library call over the corpus, {}, times a NullHandler call, CPU"
    yield judge(name.format("median"), median(times.values()), at_most=1.4)
    yield judge(name.format("worst"), max(times.values()), at_most=2)


if __name__ == "__main__":
    sys.exit(main())
