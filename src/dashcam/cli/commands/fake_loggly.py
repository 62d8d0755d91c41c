"""Run a fake Loggly on this machine: print the settings that send to it and search it, and serve until Ctrl-C.

It is written from Loggly's documentation. Options choose its behaviour where the documentation leaves it open
(docs/loggly.md).
"""

import argparse
import signal
import sys
import threading
from pathlib import Path

import orjson

from dashcam.cli import OK
from dashcam.cli.quantities import port
from dashcam.errors import DashcamError
from dashcam.testing.fake_loggly import Behaviour, StandIn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--host", default="127.0.0.1", help="the address it listens at; in a container 0.0.0.0")
    parser.add_argument("--port", type=port, default=0, help="the port it listens at; else any free one")
    parser.add_argument("--journal", type=Path, metavar="FILE", help="keep what was sent, for the next start")
    parser.add_argument(
        "--delay", type=float, default=0.0, metavar="S", help="until an event is found; Loggly's takes minutes"
    )
    parser.add_argument("--drift", type=float, metavar="S", help="give events that arrive later than this a new time")
    parser.add_argument("--queries-per-s", type=float, metavar="N", help="answer 503 to more searches")
    parser.add_argument("--lucene", action="store_true", help="understand Lucene's queries, not only those clients use")
    parser.add_argument("--json", action="store_true", help="print the settings as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        stand_in = StandIn(
            Behaviour(
                delay_s=arguments.delay,
                drift_s=arguments.drift,
                queries_per_s=arguments.queries_per_s,
                lucene=arguments.lucene,
            ),
            host=arguments.host,
            port=arguments.port,
            journal=arguments.journal,
        ).start()
    except (OSError, OverflowError) as fault:
        raise DashcamError(f"the fake Loggly cannot start: {fault}") from fault
    if arguments.json:
        print(orjson.dumps(stand_in.environment()).decode(), flush=True)
    else:
        for name, value in stand_in.environment().items():
            print(f"export {name}={value}", flush=True)
        print("Paste these where the shipper runs and where you search. Ctrl-C ends the fake Loggly.", file=sys.stderr)
    stopping.wait()
    stand_in.close()
    return OK
