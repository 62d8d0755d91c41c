"""Print events as they arrive in the store, with a query only those that match, until Ctrl-C."""

import argparse
import time

from dashcam.cli import OK
from dashcam.destinations.registry import load_settings, open_store
from dashcam.event import NS_PER_S

LOOK_BACK_S = 60  # events come in late: from a spool, through a buffer, past a refresh
POLL_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("query", nargs="?", default="", help="as for dashcam search")
    parser.add_argument("--json", action="store_true", help="print JSON Lines")


def run(arguments: argparse.Namespace) -> int:
    """Print what comes; what is older than the start of the command is not shown."""
    from contextlib import closing

    from dashcam.cli.output import print_events
    from dashcam.find.language import parse
    from dashcam.find.query import Query

    settings = load_settings()
    expression = parse(arguments.query)
    start_ns = time.time_ns()
    shown: dict[str, int] = {}
    with closing(open_store(settings.routes[0])) as store:
        while True:
            since_ns = max(start_ns, time.time_ns() - LOOK_BACK_S * NS_PER_S)
            fresh = [event for event in store.find(Query(expression, since_ns)) if event.id not in shown]
            print_events(fresh, is_json=arguments.json)
            shown |= {event.id: event.time_ns for event in fresh}
            shown = {name: time_ns for name, time_ns in shown.items() if time_ns >= since_ns}
            time.sleep(POLL_S)
    return OK
