"""Show which services, databases and outside hosts call each other: how often, how many calls fail, how long they take.

Examples:
  dashcam map
  dashcam map --since 24h --json

The drawing has each call under its caller, and a call that got no answer as a broken arrow. An outgoing call leads to
the service that served it, or else to the host that was called.

"""

import argparse
from contextlib import closing

from dashcam.cli import NOT_FOUND, OK
from dashcam.cli.output import print_rows, terminal_style
from dashcam.cli.period import add_period, read_period, report_nothing
from dashcam.cli.query import add_query, parse_words
from dashcam.destinations.registry import load_settings, open_store
from dashcam.show.service_map import as_json, build_map, draw_map


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_query(parser, "which calls, as for dashcam search; all when left out")
    add_period(parser, "1h")
    parser.add_argument("--json", action="store_true", help="print one JSON object an edge")


def run(arguments: argparse.Namespace) -> int:
    """Print the map; exit status 1 when nothing was served and nothing called."""
    settings = load_settings()
    since_ns, until_ns = read_period(arguments)
    with closing(open_store(settings.routes[0])) as store:
        found = build_map(store, parse_words(arguments.query), since_ns, until_ns)
    drawing = draw_map(found, ascii_only=terminal_style().ascii_only)
    print_rows(map(as_json, found.calls), drawing, is_json=arguments.json)
    if not found.places:
        report_nothing("request and no call", arguments)
    return OK if found.places else NOT_FOUND
