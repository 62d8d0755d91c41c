"""Count what is left of log calls when the process is killed with `kill -9` right after the last one.

Each way logs in a process of its own, to a file of its own, set up as its documentation shows for a service: 10,000
calls as fast as they go, and 2,000 calls, one per millisecond. Then the file is read. Dashcam's spool is read by
`dashcam ship --drain`.

    python -m benchmarks.killed [--quick]
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.report import judge, print_machine, verdict

PACES = {"burst": (10_000, 0), "1,000/s": (2_000, 0.001)}  # calls, and seconds between two
KILL = """
import os, signal, time
for number in range({calls}):
    log.info("call %d." % number)
    {pause_s} and time.sleep({pause_s})
os.kill(os.getpid(), signal.SIGKILL)
"""
DASHCAM = """
import dashcam
dashcam.init("killed")
log = dashcam.get_logger("killed")
"""
LOGGING = """
import logging
logging.basicConfig(filename="out", level=logging.INFO)
log = logging.getLogger("killed")
"""
STRUCTLOG = """
import structlog
structlog.configure(logger_factory=structlog.WriteLoggerFactory(open("out", "a")))
log = structlog.get_logger()
"""
LOGURU = """
from loguru import logger as log
log.remove()
log.add("out", enqueue={enqueue}, serialize=True)
"""
OPENTELEMETRY = """
import logging
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, ConsoleLogRecordExporter
provider = LoggerProvider()
provider.add_log_record_processor(BatchLogRecordProcessor(ConsoleLogRecordExporter(open("out", "a"))))
logging.basicConfig(handlers=[LoggingHandler(logger_provider=provider)], level=logging.INFO)
log = logging.getLogger("killed")
"""
OURS = "dashcam"
WAYS = {
    OURS: DASHCAM,
    "logging, FileHandler": LOGGING,
    "structlog, WriteLogger": STRUCTLOG,
    "loguru": LOGURU.format(enqueue=False),
    "loguru, enqueue=True": LOGURU.format(enqueue=True),
    "OpenTelemetry, BatchLogRecordProcessor": OPENTELEMETRY,
}
NUMBER = re.compile(rb"call (\d+)\.")


def lost_by(way: str, calls: int, pause_s: float) -> float:
    """Log in a process that is killed; how many of the calls are not found."""
    with tempfile.TemporaryDirectory(prefix="killed-") as folder:
        environment = os.environ | {"DASHCAM_DIR": folder, "LOG_BACKEND": "stdout"}
        program = [sys.executable, "-W", "ignore", "-c", WAYS[way] + KILL.format(calls=calls, pause_s=pause_s)]
        subprocess.run(program, cwd=folder, env=environment, check=False)
        if way == OURS:
            ship = [sys.executable, "-m", "dashcam", "ship", "--drain"]
            printed = subprocess.run(ship, env=environment, capture_output=True, check=True).stdout
        else:
            printed = (Path(folder) / "out").read_bytes()
    return calls - len(set(NUMBER.findall(printed)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    rounds = 3 if parser.parse_args().quick else 9
    print_machine("structlog", "loguru", "opentelemetry-sdk")
    print(f"log calls lost, {rounds} kills each, median [least-most]")
    print(f"{'':40}" + "".join(f"{f'{calls:,} calls, {pace}':>26}" for pace, (calls, _) in PACES.items()))
    worst = {}
    for way in WAYS:
        lost = [sorted(lost_by(way, *pace) for _ in range(rounds)) for pace in PACES.values()]
        print(f"{way:40}" + "".join(f"{f'{median(each):,.0f} [{each[0]:,}-{each[-1]:,}]':>26}" for each in lost))
        worst[way] = max(each[-1] for each in lost)
    return verdict([judge("log calls lost by kill -9", worst[OURS], at_most=0)])


if __name__ == "__main__":
    sys.exit(main())
