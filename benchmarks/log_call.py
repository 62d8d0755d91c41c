"""What one log call costs its caller, against others that write JSON to a file, on one thread and on four.

The others are set up to be fast: orjson where they take an encoder, one line a call, no rotation. The last way writes
nothing: a call of the standard library to a NullHandler.

    python -m benchmarks.log_call [--quick]
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import loguru
import orjson
import structlog
from benchmarks.disk import make_room
from benchmarks.event import FIELDS, with_dictionary, with_extra, with_keywords
from benchmarks.report import interleave, judge, print_machine, print_quick, print_table, ratio, verdict
from pythonjsonlogger.orjson import OrjsonFormatter

import dashcam
from dashcam.settings import RecordSettings

WALL, CPU = "µs a call", "CPU µs a call"
OURS, PICOLOGGING, NULL = "dashcam", "picologging + orjson", "logging to a NullHandler"


def by_dashcam(folder: Path) -> Callable[[], None]:
    dashcam.init("bench", settings=RecordSettings(dir=folder, spool_limit_bytes=1 << 40, console="off"))
    logging.setLogRecordFactory(logging.LogRecord)  # the other ways are to have records as they come
    return with_keywords(dashcam.get_logger("cars").info)


def by_picologging(folder: Path) -> Callable[[], None]:
    import picologging

    class Json(picologging.Formatter):
        def format(self, record):
            head = {"time": record.created, "level": record.levelname, "logger": record.name, "message": record.msg}
            return orjson.dumps(head | record.args).decode()

    handler = picologging.FileHandler(folder / "picologging.json")
    handler.setFormatter(Json())
    logger = picologging.Logger("cars", picologging.INFO)
    logger.addHandler(handler)
    return with_dictionary(logger.info)  # it has no `extra`


def by_structlog(folder: Path) -> Callable[[], None]:
    logger = structlog.wrap_logger(
        structlog.BytesLogger((folder / "structlog.json").open("ab")),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    ).bind(logger="cars")
    return with_keywords(logger.info)


def by_loguru(folder: Path) -> Callable[[], None]:
    loguru.logger.remove()
    loguru.logger.add(folder / "loguru.json", serialize=True, level="INFO")
    return with_keywords(loguru.logger.info)


def by_logging(folder: Path) -> Callable[[], None]:
    handler = logging.FileHandler(folder / "logging.json")
    handler.setFormatter(OrjsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    return _standard("to_a_file", handler)


def by_null_handler(_: Path) -> Callable[[], None]:
    return _standard("to_nothing", logging.NullHandler())


def _standard(name: str, handler: logging.Handler) -> Callable[[], None]:
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    return with_extra(logger.info)


WAYS = {
    OURS: by_dashcam,
    PICOLOGGING: by_picologging,
    "structlog + orjson": by_structlog,
    "logging + python-json-logger": by_logging,
    "loguru": by_loguru,
    NULL: by_null_handler,
}


def measure(folder: Path, call: Callable[[], None], calls: int, threads: int) -> dict[str, float]:
    """Microseconds of a call when so many threads share the calls."""
    make_room(folder)

    def work() -> None:
        for _ in range(calls // threads):
            call()

    workers = [Thread(target=work) for _ in range(threads)]
    started_s, used_s = time.perf_counter(), time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took_s, used_s = time.perf_counter() - started_s, time.process_time() - used_s
    return {WALL: 1e6 * took_s / calls, CPU: 1e6 * used_s / calls}


def fastest(figures: dict[str, list[dict[str, float]]]) -> list[dict[str, float]]:
    """Of each round, the least that a peer took."""
    peers = [samples for way, samples in figures.items() if way not in {OURS, NULL}]
    return [{CPU: min(sample[CPU] for sample in of_round)} for of_round in zip(*peers, strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    rounds, calls = (7, 4_000) if parser.parse_args().quick else (31, 20_000)
    if find_spec("picologging") is None:
        print("without picologging: it cannot be had for this Python")
        del WAYS[PICOLOGGING]
    print_machine("orjson", "structlog", "python-json-logger", "loguru")
    print_quick()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = {way: make(folder) for way, make in WAYS.items()}
        print(
            f"a message and {len(FIELDS)} fields, {rounds} interleaved rounds of {calls:,} calls, median [least-most]"
        )
        one = interleave(rounds, {way: partial(measure, folder, call, calls, 1) for way, call in made.items()})
        # picologging 0.9.3 stops for ever when threads share a handler: two locks wait for each other.
        shared = {way: call for way, call in made.items() if way != PICOLOGGING}
        four = interleave(rounds, {way: partial(measure, folder, call, calls, 4) for way, call in shared.items()})
    for threads, figures in (("one thread", one), ("four threads", four)):
        print(f"{threads}:")
        print_table(figures)
    return verdict(judged(one, four))


def judged(one, four):
    yield judge("log call, times the fastest peer, one thread, CPU", ratio(one[OURS], fastest(one), CPU), at_most=0.7)
    yield judge("log call, times a NullHandler call, one thread, CPU", ratio(one[OURS], one[NULL], CPU), at_most=0.6)
    structlog_ = four["structlog + orjson"]
    yield judge("log call, times structlog, four threads, wall", ratio(four[OURS], structlog_, WALL), at_most=0.5)


if __name__ == "__main__":
    sys.exit(main())
