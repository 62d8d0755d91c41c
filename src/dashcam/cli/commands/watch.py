"""Evaluate rules again and again, and send a notice when a rule is met and when it is no longer met.

Examples:
  dashcam watch rules.toml --check
  dashcam watch rules.toml

  [[rule]]
  name = "orders fail"
  query = "route:/cars outcome:failure"
  above = 5
  window = "5m"

  [notify.team]
  slack = "env:SLACK_URL"

A rule counts the events of a query, or measures requests, failures, failed_share, p50, p95 or p99. With `below` it
fires when something stops. A notice goes to a webhook, to Slack, to a command or by e-mail, with the newest story.
While the backend is down, the rules are evaluated over the events that wait in the spool. docs/alerts.md describes it.

"""

import argparse
import hashlib
import sys
import threading
from functools import partial
from pathlib import Path

from dashcam.cli import OK
from dashcam.cli.query import parse_words
from dashcam.destinations.registry import load_settings, open_store
from dashcam.errors import DashcamError
from dashcam.event import NS_PER_S
from dashcam.ship.own_log import logged_to_stderr
from dashcam.ship.signals import pause, set_by_signals
from dashcam.spool.lock import lock
from dashcam.watch.rules import load_rules
from dashcam.watch.senders import send
from dashcam.watch.waiting import WatchedStore, read_waiting
from dashcam.watch.watcher import Watcher


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("rules", type=Path, help="a TOML file")
    parser.add_argument("--check", action="store_true", help="only read the rules, and report every fault in them")
    parser.add_argument("--once", action="store_true", help="look once, send, and end; for cron")


def run(arguments: argparse.Namespace) -> int:
    """Watch until SIGTERM or Ctrl-C."""
    settings = load_settings()
    rules = load_rules(arguments.rules, lambda text: parse_words([text]))
    if arguments.check:
        print(f"dashcam: {arguments.rules} has {len(rules.rules)} rules, and no fault", file=sys.stderr)
        return OK
    route = settings.routes[0]
    store = WatchedStore(partial(open_store, route), partial(read_waiting, settings.dir, route))
    name = hashlib.sha256(str(arguments.rules.resolve()).encode()).hexdigest()[:12]
    path = settings.dir / "watch" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    stopping = threading.Event()
    with logged_to_stderr(), path.with_suffix(".lock").open("wb") as file, set_by_signals(stopping):
        try:
            lock(file.fileno())
        except OSError:
            raise DashcamError(f"{arguments.rules} is watched by another process already.") from None
        watcher = Watcher(rules, store, path, send)
        while not stopping.is_set():
            watcher.step()
            if arguments.once:
                break
            pause(stopping, min(rules.every_ns / NS_PER_S, 5.0))
    return OK
