"""Print events as they arrive in the store, with a query only those that match, until Ctrl-C."""

import argparse
import time
from contextlib import closing
from functools import partial

from dashcam.cli.output import print_events
from dashcam.cli.quantities import count
from dashcam.cli.query import add_query, parse_words
from dashcam.destinations.registry import load_settings, open_store
from dashcam.event import NS_PER_S
from dashcam.find.query import Query

LOOK_BACK_S = 60  # events come in late: from a spool, through a buffer, past a refresh
POLL_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_query(parser, "as for dashcam search")
    parser.add_argument("-n", type=count, default=0, metavar="N", help="print the newest N first (0)")
    parser.add_argument("--local-time", action="store_true", help="print times of this time zone instead of UTC")
    parser.add_argument("--json", action="store_true", help="print JSON Lines")


def run(arguments: argparse.Namespace) -> int:
    """Print what comes; of what is older than the start of the command only the newest -n."""
    settings = load_settings()
    expression = parse_words(arguments.query)
    start_ns = time.time_ns()
    shown: dict[str, int] = {}
    show = partial(print_events, is_json=arguments.json, local_time=arguments.local_time)
    with closing(open_store(settings.routes[0])) as store:
        if arguments.n > 0:
            show(store.find(Query(expression, until_ns=start_ns, limit=arguments.n)))
        while True:
            since_ns = max(start_ns, time.time_ns() - LOOK_BACK_S * NS_PER_S)
            fresh = [event for event in store.find(Query(expression, since_ns)) if event.id not in shown]
            show(fresh)
            shown |= {event.id: event.time_ns for event in fresh}
            shown = {name: time_ns for name, time_ns in shown.items() if time_ns >= since_ns}
            time.sleep(POLL_S)
