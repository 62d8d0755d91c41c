"""Events a second and processor time of shipping to Loggly, against loggly-python-handler, into the same stand-in.

Each way is a whole process, its start and imports included: `dashcam ship --drain` over a spool that a service has
filled, and a program that logs as many events as it can through the handler, which sends each by itself.

    python -m benchmarks.loggly [events] [rounds]
"""

import logging
import os
import subprocess
import sys
import tempfile
import time
from functools import partial

from benchmarks.event import FIELDS, MESSAGE
from benchmarks.report import interleave, judge, print_machine, print_table, ratio, verdict

import dashcam
from dashcam.testing.fake_loggly import StandIn

SHARE = 60  # the handler is given this part of the events: it would take minutes for all


def record(events: int) -> None:
    """Fill a spool, as a service does."""
    dashcam.init()
    logger = dashcam.get_logger("cars.api")
    for _ in range(events):
        logger.info(MESSAGE, **FIELDS)


def log_by_handler(events: int, url: str) -> None:
    """Send every event by loggly-python-handler."""
    from loggly.handlers import HTTPSHandler
    from pythonjsonlogger.json import JsonFormatter

    handler = HTTPSHandler(url)
    handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("cars.api")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    for _ in range(events):
        logger.info(MESSAGE, extra=FIELDS)


def ship(events: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, StandIn() as stand_in:
        environment = os.environ | stand_in.environment() | {"DASHCAM_DIR": folder, "OTEL_SERVICE_NAME": "cars"}
        environment |= {"DASHCAM_CONSOLE": "off"}
        subprocess.run([sys.executable, "-m", "benchmarks.loggly", "record", str(events)], env=environment, check=True)
        return measure(stand_in, events, [sys.executable, "-m", "dashcam", "ship", "--drain"], environment)


def hand_over(events: int) -> dict[str, float]:
    with StandIn() as stand_in:
        url = f"{stand_in.url}/inputs/{stand_in.behaviour.token}/tag/python"
        command = [sys.executable, "-m", "benchmarks.loggly", "handler", str(events), url]
        return measure(stand_in, events, command, dict(os.environ))


def measure(stand_in: StandIn, events: int, command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """What a process took from its start until the stand-in has all events."""
    start = time.monotonic()
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    elapsed = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    arrived = sum(MESSAGE.encode() in line for line in stand_in.lines())  # and not what a shipper states about them
    if arrived != events:
        raise SystemExit(f"{arrived} of {events} events arrived by {command}")
    return {"events/s": events / elapsed, "CPU, µs/event": (used.ru_utime + used.ru_stime) / events * 1e6}


def main(events: int = 500_000, rounds: int = 5) -> int:
    print_machine("loggly-python-handler", "requests", "orjson")
    print(f"{events:,} events, {rounds} interleaved rounds, whole processes: median [least-most]")
    ways = {
        "loggly-python-handler": partial(hand_over, events // SHARE),
        "dashcam ship": partial(ship, events),
    }
    figures = interleave(rounds, ways)
    print_table(figures)
    return verdict(judged(*figures.values()))


def judged(theirs, ours):
    speed, cost = (ratio(ours, theirs, name) for name in ours[0])
    yield judge("events/s to Loggly, times loggly-python-handler's", speed, at_least=50)
    yield judge("CPU of an event sent to Loggly, times loggly-python-handler's", cost, at_most=0.01)


if __name__ == "__main__":
    if sys.argv[1:2] == ["record"]:
        record(int(sys.argv[2]))
    elif sys.argv[1:2] == ["handler"]:
        log_by_handler(int(sys.argv[2]), sys.argv[3])
    else:
        sys.exit(main(*map(int, sys.argv[1:])))
