"""Send dead letters again to the backend that rejected them, after the cause was fixed.

Accepted events leave the dead letters; those that are rejected again stay, with the new reason. The shipper may keep
running.
"""

import argparse
import sys
import threading
from contextlib import closing

import orjson

from dashcam.cli import NOT_FOUND, OK
from dashcam.destinations.registry import connect, known, load_settings
from dashcam.errors import DashcamError, QueryError
from dashcam.settings import Settings
from dashcam.ship.delivery import Delivery, batches
from dashcam.ship.own_log import logged_to_stderr
from dashcam.ship.signals import set_by_signals
from dashcam.ship.state.dead_letters import DeadLetters, names_in

COPIED = "copy-"  # what a copy left, beside what the shipper left


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("route", nargs="*", help="backends; else all that have dead letters")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Replay; exit status 1 when some are left."""
    settings = load_settings()
    folder = settings.dir / "dead-letters"
    present = names_in(folder)
    if unknown := [route for route in arguments.route if not {route, COPIED + route} & set(present)]:
        for route in unknown:
            if route not in known():
                raise QueryError(f"{route!r} is not a backend. Known: {', '.join(known())}.")
        others = sorted({name.removeprefix(COPIED) for name in present})
        hint = f"Those with dead letters: {', '.join(others)}." if others else "No other backend has any."
        raise DashcamError(f"there are no dead letters of {', '.join(unknown)}. {hint}")
    names = [name for name in present if not arguments.route or name.removeprefix(COPIED) in arguments.route]
    stopping = threading.Event()
    with logged_to_stderr(), set_by_signals(stopping):
        counts = {name: _replay(name, settings, stopping) for name in names}
    if arguments.json:
        pairs = {name: {"replayed": replayed, "left": left} for name, (replayed, left) in counts.items()}
        print(orjson.dumps(pairs).decode())
    else:
        for name, (replayed, left) in counts.items():
            print(f"{name}: {replayed:,} replayed, {left:,} left")
        if not counts:
            print("dashcam: there are no dead letters", file=sys.stderr)
    return NOT_FOUND if any(left for _, left in counts.values()) else OK


def _replay(name: str, settings: Settings, stopping: threading.Event) -> tuple[int, int]:
    """Return how many events were accepted now, and how many are left."""
    letters = DeadLetters(settings.dir / "dead-letters", name)
    with closing(connect(name.removeprefix(COPIED))) as backend, letters.replay() as replay:
        delivery = Delivery(name, backend, letters, stopping, lambda _: None)
        dead = 0
        for batch in batches([letter.event for letter in replay.waiting.values()], backend.limits):
            dead += delivery.deliver(batch, replay.settle).dead
        return replay.delivered, dead + len(replay.waiting)
