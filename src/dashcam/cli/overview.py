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
from dashcam.find.query import Query
from dashcam.show.overview import as_json, build_overview, count_requests, draw_overview


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
    wanted = parse_words(arguments.query)
    with closing(open_store(settings.routes[0])) as store:
        if arguments.json:
            rows = count_requests(store, Query(wanted, since_ns, until_ns))
            for row in rows.values():
                print(orjson.dumps(as_json(row)).decode())
            return OK if rows else _explain_nothing(arguments)
        overview = build_overview(store, wanted, since_ns, until_ns)
    for change in overview.changes:
        print(change.text)
    if not overview.rows:
        return _explain_nothing(arguments)
    for line in draw_overview(overview.rows, overview.period_s):
        print(line)
    return OK


def _explain_nothing(arguments: argparse.Namespace) -> int:
    print(f"dashcam: no request {since_phrase(arguments.since)}", file=sys.stderr)
    return NOT_FOUND
