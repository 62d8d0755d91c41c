"""Show the requests of a period by service and route: rate, failures, times, and what changed since the period before.

Examples:
  dashcam overview
  dashcam overview --since 24h service:cars
  dashcam overview --since 15m --json

The period before is as long and ends where this one begins. Times are within which 50, 95 and 99 % of the requests were
answered.

"""

import argparse
import sys
import time
from contextlib import closing

import orjson

from dashcam.cli import NOT_FOUND, OK
from dashcam.cli.period import check_period, moment, since_phrase
from dashcam.cli.query import add_query, parse_words
from dashcam.destinations.registry import load_settings, open_store
from dashcam.event import NS_PER_S
from dashcam.find.query import And, Query
from dashcam.show.overview import as_json, changes, collect, draw_overview
from dashcam.show.web.recent import SERVED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_query(parser, "which requests, as for dashcam search; all when left out")
    parser.add_argument("--since", type=moment, default="1h", metavar="WHEN", help="an age as 1h, or a time (1h)")
    parser.add_argument("--until", type=moment, metavar="WHEN", help="likewise; now unless given")
    parser.add_argument("--json", action="store_true", help="print one JSON object a row")


def run(arguments: argparse.Namespace) -> int:
    """Print the overview; exit status 1 when there was no request."""
    settings = load_settings()
    check_period(arguments.since, arguments.until)
    since_ns, until_ns = arguments.since, arguments.until or time.time_ns()
    wanted = And((SERVED, parse_words(arguments.query)))
    with closing(open_store(settings.routes[0])) as store:
        now = collect(store.find(Query(wanted, since_ns, until_ns)))
        before = {} if arguments.json else collect(store.find(Query(wanted, 2 * since_ns - until_ns, since_ns)))
    if arguments.json:
        for row in now.values():
            print(orjson.dumps(as_json(row)).decode())
    else:
        for sentence in changes(now, before):
            print(sentence)
        for line in draw_overview(list(now.values()), (until_ns - since_ns) / NS_PER_S) if now else ():
            print(line)
    if not now:
        print(f"dashcam: no request {since_phrase(arguments.since)}", file=sys.stderr)
    return OK if now else NOT_FOUND
