"""Send what the services recorded to the backends of LOG_BACKEND.

Runs until SIGTERM or Ctrl-C, then waits for the answers under way. Started again, it continues where it stopped.
Nothing is lost while a backend is down: events wait in the spool.
"""

import argparse
import gc
import logging
import os
from collections.abc import Iterator
from contextlib import closing

from dashcam.cli import NOT_FOUND, OK
from dashcam.destinations import registry
from dashcam.destinations.registry import connect, load_settings, open_store
from dashcam.ship.clips.events import ACTION
from dashcam.ship.clips.other_hosts import Search
from dashcam.ship.own_log import logged_to_stderr
from dashcam.ship.shipper import ship

MIN_PAUSE_S = 3.0  # between two looks for verdicts of other hosts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--drain", action="store_true", help="send what waits now, then stop")
    parser.add_argument("--json", action="store_true", help="log in JSON Lines, on standard error too")
    parser.add_argument("--verbose", action="store_true", help="report each step")


def run(arguments: argparse.Namespace) -> int:
    """Ship until a signal or the end of what there is."""
    settings = load_settings()
    gc.set_threshold(100_000)  # lines hold no cycles: looking for some among them took a third of the time
    formatter = None
    if arguments.json:
        from dashcam import EcsFormatter  # late: only this needs the recorder's imports

        formatter = EcsFormatter(service="dashcam-ship")
    audited = {name for name in settings.routes if registry.get(name).store}
    with logged_to_stderr(logging.DEBUG if arguments.verbose else logging.INFO, formatter):
        ending = ship(settings, connect, is_drain=arguments.drain, search=_search, audited=audited)
    status = NOT_FOUND if ending.fault else OK
    if ending.is_hung:
        os._exit(status)  # a thread that waits for a backend's answer would be waited for
    return status


def _search(route: str) -> Search | None:
    """Return the way to find what other hosts keep; a store that finds events late is asked less often."""
    destination = registry.get(route)
    if destination.store is None:
        return None

    def kept(since_ns: int) -> Iterator[tuple[str, str]]:
        from dashcam.find.query import Query, Term  # late: a tenth of a shipper's start

        with closing(open_store(route)) as store:
            for event in store.find(Query(Term("event.action", ACTION), since_ns)):
                if request := event.get("http.request.id"):
                    yield str(request), str(event.get("event.reason"))

    return Search(kept, max(MIN_PAUSE_S, destination.found_within_s / 10))
