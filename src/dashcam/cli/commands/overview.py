"""Show the requests of a period by service and route: rate, failures, times, and what changed since the period before.

Examples:
  dashcam overview
  dashcam overview --since 24h service:cars
  dashcam overview --since 15m --json
  dashcam overview level:error

A search selects requests by their own fields and labels, not by their log lines: level:error selects those that failed.
The period before is as long and ends where this one begins. p50, p95 and p99 are the times within which 50, 95 and 99 %
of the requests were answered.

"""

import argparse
from contextlib import closing

from dashcam.cli import NOT_FOUND, OK
from dashcam.cli.output import print_rows
from dashcam.cli.period import add_period, read_period, report_nothing
from dashcam.cli.query import add_query, parse_words
from dashcam.destinations.registry import load_settings, open_store
from dashcam.show.overview import as_json, build_overview, draw_overview


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_query(parser, "which requests, as for dashcam search; all when left out")
    add_period(parser, "1h")
    parser.add_argument("--json", action="store_true", help="print one JSON object a row")


def run(arguments: argparse.Namespace) -> int:
    """Print the overview; exit status 1 when there was no request."""
    settings = load_settings()
    since_ns, until_ns = read_period(arguments)
    wanted = parse_words(arguments.query)
    with closing(open_store(settings.routes[0])) as store:
        overview = build_overview(store, wanted, since_ns, until_ns)
    print_rows(map(as_json, overview.rows), draw_overview(overview), is_json=arguments.json)
    if not overview.rows:
        report_nothing("request", arguments)
    return OK if overview.rows else NOT_FOUND
