"""Show the errors of a period in groups: of one type, from one place in your code, with one message but for its values.

Examples:
  dashcam errors
  dashcam errors --since 7d service:parts
  dashcam errors --json | jq 'select(.new)'

Each group comes with its count, its trend over the period, the routes it affects, and the ID of the newest story with
it, for dashcam trace. A group is new when the version of the service that ran before the last deployment did not have
it. Errors are log lines of level error and above, and warnings with an exception.

"""

import argparse
import time
from contextlib import closing

from dashcam.cli import NOT_FOUND, OK
from dashcam.cli.output import print_rows, terminal_style
from dashcam.cli.period import add_period, read_period, report_nothing
from dashcam.cli.query import add_query, parse_words
from dashcam.destinations.registry import load_settings, open_store
from dashcam.show.errors import as_json, draw_errors, find_errors


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_query(parser, "which errors, as for dashcam search; all when left out")
    add_period(parser, "24h")
    parser.add_argument("--json", action="store_true", help="print one JSON object a group")


def run(arguments: argparse.Namespace) -> int:
    """Print the groups, the most frequent first; exit status 1 when there was no error."""
    settings = load_settings()
    since_ns, until_ns = read_period(arguments)
    with closing(open_store(settings.routes[0])) as store:
        groups = find_errors(store, parse_words(arguments.query), since_ns, until_ns)
    drawing = draw_errors(groups, time.time_ns(), ascii_only=terminal_style().ascii_only)
    print_rows(map(as_json, groups), drawing, is_json=arguments.json)
    if not groups:
        report_nothing("error", arguments)
    return OK if groups else NOT_FOUND
