"""What one log call costs its caller, over a corpus of ordinary events, against others that write JSON to a file.

The others are set up to be fast: orjson where they take an encoder, one line a call, no rotation. Each kind of event is
measured on one thread beside the two fastest; the first one also on four threads, and beside all others. The last way
writes nothing: a call of the standard library to a NullHandler.

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
from statistics import median
from threading import Thread

import loguru
import orjson
import structlog
from benchmarks.corpus import CORPUS, LONGER_WAYS, with_dictionary, with_extra, with_keywords
from benchmarks.disk import make_room
from benchmarks.report import interleave, judge, middle, print_machine, print_quick, print_table, ratio, verdict
from pythonjsonlogger.orjson import OrjsonFormatter

import dashcam
from dashcam.settings import RecordSettings

WALL, CPU = "µs a call", "CPU µs a call"
OURS, PICOLOGGING, STRUCTLOG = "dashcam", "picologging + orjson", "structlog + orjson"
NULL = "logging to a NullHandler"
OWN = "the benchmark's own"

Writer = Callable[[str, dict[str, object]], Callable[[], None]]  # makes a call of a message and its fields


def by_dashcam(folder: Path) -> Writer:
    # The other ways are to have `logging` as it comes: its records, and calls that nobody else records.
    factory, call_handlers = logging.getLogRecordFactory(), logging.Logger.callHandlers
    dashcam.init("bench", settings=RecordSettings(dir=folder, spool_limit_bytes=1 << 40, console="off"))
    logging.setLogRecordFactory(factory)
    logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign]
    return partial(with_keywords, dashcam.get_logger("cars").info)


def by_picologging(folder: Path) -> Writer:
    import picologging

    class Json(picologging.Formatter):
        def format(self, record):
            head = {"time": record.created, "level": record.levelname, "logger": record.name, "message": record.msg}
            if record.args:
                head |= record.args
            return orjson.dumps(head, default=str).decode()

    handler = picologging.FileHandler(folder / "picologging.json")
    handler.setFormatter(Json())
    logger = picologging.Logger("cars", picologging.INFO)
    logger.addHandler(handler)
    return partial(with_dictionary, logger.info)  # it has no `extra`


def by_structlog(folder: Path) -> Writer:
    logger = structlog.wrap_logger(
        structlog.BytesLogger((folder / "structlog.json").open("ab")),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=partial(orjson.dumps, default=str)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    ).bind(logger="cars")
    return partial(with_keywords, logger.info)


def by_loguru(folder: Path) -> Writer:
    loguru.logger.remove()
    loguru.logger.add(folder / "loguru.json", serialize=True, level="INFO")
    return partial(with_keywords, loguru.logger.info)


def by_logging(folder: Path) -> Writer:
    handler = logging.FileHandler(folder / "logging.json")
    handler.setFormatter(OrjsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    return _standard("to_a_file", handler)


def by_null_handler(_: Path) -> Writer:
    return _standard("to_nothing", logging.NullHandler())


def _standard(name: str, handler: logging.Handler) -> Writer:
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    return partial(with_extra, logger.info)


WAYS = {
    OURS: by_dashcam,
    PICOLOGGING: by_picologging,
    STRUCTLOG: by_structlog,
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


Kinds = dict[str, tuple[str, dict[str, object]]]


def over_kinds(
    kinds: Kinds, made: dict[str, Writer], folder: Path, rounds: int, calls: int
) -> dict[str, dict[str, float]]:
    """Print each kind of event, and return what it costs: times each of the fastest peers, CPU."""
    peers = [peer for peer in (PICOLOGGING, STRUCTLOG) if peer in made]
    print(
        f"CPU µs a call by kind of event, {rounds} interleaved rounds of {calls:,} calls, median; dashcam times each:"
    )
    print(f"{'':28}" + "".join(f"{way:>24}" for way in [OURS, *peers]) + "".join(f"{'times ' + p:>32}" for p in peers))
    times: dict[str, dict[str, float]] = {}
    for kind, (message, fields) in kinds.items():
        ways = {way: partial(measure, folder, made[way](message, fields), calls, 1) for way in [OURS, *peers]}
        figures = interleave(rounds, ways)
        times[kind] = {peer: ratio(figures[OURS], figures[peer], CPU) for peer in peers}
        costs = "".join(f"{middle(figures[way], CPU):>24.2f}" for way in figures)
        print(f"{kind:28}{costs}" + "".join(f"{times[kind][peer]:>32.2f}" for peer in peers), flush=True)
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    is_quick = parser.parse_args().quick
    rounds, calls = (7, 4_000) if is_quick else (31, 20_000)
    if find_spec("picologging") is None:
        print("without picologging: it cannot be had for this Python")
        del WAYS[PICOLOGGING]
    print_machine("orjson", "structlog", "python-json-logger", "loguru")
    print_quick()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = {way: make(folder) for way, make in WAYS.items()}
        times = over_kinds(CORPUS, made, folder, 7 if is_quick else 15, 2_000 if is_quick else 5_000)
        print("what is masked within a text, cut or replaced takes a longer way, without a promise:")
        over_kinds(LONGER_WAYS, made, folder, 7, 1_000)
        calls_of = {way: write(*CORPUS[OWN]) for way, write in made.items()}
        print(f"{OWN}, {rounds} interleaved rounds of {calls:,} calls, median [least-most]")
        one = interleave(rounds, {way: partial(measure, folder, call, calls, 1) for way, call in calls_of.items()})
        # picologging 0.9.3 stops for ever when threads share a handler: two locks wait for each other.
        shared = {way: call for way, call in calls_of.items() if way != PICOLOGGING}
        four = interleave(rounds, {way: partial(measure, folder, call, calls, 4) for way, call in shared.items()})
    for threads, figures in (("one thread", one), ("four threads", four)):
        print(f"{threads}:")
        print_table(figures)
    return verdict(judged(times, one, four))


def judged(times, one, four):
    if PICOLOGGING in WAYS:
        of_picologging = [peers[PICOLOGGING] for peers in times.values()]
        yield judge("log call over the corpus, median, times picologging, CPU", median(of_picologging), at_most=0.45)
        yield judge("log call over the corpus, worst, times picologging, CPU", max(of_picologging), at_most=0.8)
    yield judge("log call, times a NullHandler call, one thread, CPU", ratio(one[OURS], one[NULL], CPU), at_most=0.6)
    yield judge("log call, times structlog, four threads, wall", ratio(four[OURS], four[STRUCTLOG], WALL), at_most=0.5)


if __name__ == "__main__":
    sys.exit(main())
