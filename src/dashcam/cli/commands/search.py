"""Print the events that match a query, oldest first.

Examples:
  dashcam search 'level:error service:parts "timed out"'
  dashcam search 'duration:>250ms path:/cars' --since 1h --json
  dashcam search -level:info created --since 30d --limit 0

Words are searched for in messages, errors, labels and IDs; field:value in one field; a name that is not a field is a
label. The language has AND, OR, NOT, ( ), the wildcards * and ?, and ranges: [a TO b], >, >=, <, <=. docs/search.md
describes it.

"""

import argparse
import sys
from contextlib import closing

from dashcam.cli import NOT_FOUND, OK
from dashcam.cli.output import print_events
from dashcam.cli.period import add_period, check_period
from dashcam.cli.quantities import count
from dashcam.cli.query import add_query, explain_nothing, parse_words
from dashcam.cli.spool_store import SpoolStore
from dashcam.destinations.registry import load_settings, open_store
from dashcam.find.query import Query


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_query(parser, "what to look for; everything when left out")
    add_period(parser, "24h")
    parser.add_argument("-n", "--limit", type=count, default=100, metavar="N", help="the newest N, 0 for all (100)")
    parser.add_argument("--held", action="store_true", help="look into the spool of this machine, held lines too")
    parser.add_argument("--local-time", action="store_true", help="print times of this time zone instead of UTC")
    parser.add_argument("--json", action="store_true", help="print JSON Lines")


def run(arguments: argparse.Namespace) -> int:
    """Print the hits; exit status 1 when there are none."""
    settings = load_settings()
    check_period(arguments.since, arguments.until)
    query = Query(parse_words(arguments.query), arguments.since, arguments.until, arguments.limit)
    with closing(SpoolStore(settings.dir) if arguments.held else open_store(settings.routes[0])) as store:
        found = print_events(store.find(query), is_json=arguments.json, local_time=arguments.local_time)
        if not found:
            print("dashcam: no event matches", file=sys.stderr)
            for reason in explain_nothing(store, query, arguments.since):
                print(f"dashcam: {reason}", file=sys.stderr)
    if found and found == arguments.limit:
        print(f"dashcam: only the newest {found} are shown; --limit 0 shows all", file=sys.stderr)
    return OK if found else NOT_FOUND
