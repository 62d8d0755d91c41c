"""Compare a store with what was recorded: it must hold each stated event once, unchanged.

When a segment of the spool is finished and sent, the shipper sends a statement of it, which is an event like any other:
the IDs and checksums of the segment's events, and the statement before. The audit reads the statements from the store.
It names events that are missing, double or changed, or that nobody recorded, and statements that are missing or
changed. It needs no file of the machine that recorded them.

A segment counts if its last event is within the period. Events of a segment that is not finished are not stated yet.
Exit status 1 when something is wrong, or nothing was stated. Allow for the time that a store needs until it finds what
it was sent (--until 2m).

Examples:
  dashcam audit --since 24h
  dashcam audit --since 7d --until 5m --json

"""

import argparse
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

import orjson

from dashcam.cli import NOT_FOUND, OK
from dashcam.cli.period import add_period, check_period
from dashcam.destinations import registry
from dashcam.destinations.registry import load_settings, open_store
from dashcam.event import format_time
from dashcam.find.audit import audit
from dashcam.find.query import Query
from dashcam.ship.state import checkpoint
from dashcam.ship.state.dead_letters import DeadLetters

if TYPE_CHECKING:
    from dashcam.find.audit import Findings

SHOWN = 20  # IDs of each kind
KINDS = ("missing", "double", "changed", "invented")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_period(parser, "24h")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print what is found for each backend that has a store; exit status 1 when something is not well."""
    settings = load_settings()
    check_period(arguments.since, arguments.until)
    period = Query(since_ns=arguments.since, until_ns=arguments.until)
    found: dict[str, Findings] = {}
    for route in settings.routes:
        if registry.get(route).store is not None:
            letters = DeadLetters(settings.dir / "dead-letters", route).read()
            dead = {letter.event.id for letter in letters}
            with closing(open_store(route)) as store:
                # The newest statement of this machine's shipper says where the chain ends, unless one is under way.
                known = checkpoint.load(settings.dir / "positions").get(route)
                found[route] = audit(store, period, dead=dead, head=known.head if known and not known.before else None)
    if arguments.json:
        print(orjson.dumps({name: asdict(each) for name, each in found.items()}).decode())
    else:
        _print_findings(found)
    return OK if found and all(each.is_well and each.segments for each in found.values()) else NOT_FOUND


def _print_findings(found: "dict[str, Findings]") -> None:
    for name, each in found.items():
        counts = ", ".join(f"{len(getattr(each, kind)):,} {kind}" for kind in KINDS)
        print(f"{name}: {each.expected:,} events of {each.segments:,} segments audited: {counts}")
        for kind in KINDS:
            ids = getattr(each, kind)
            for id_ in ids[:SHOWN]:
                print(f"  {kind} {id_}")
            if len(ids) > SHOWN:
                print(f"  and {len(ids) - SHOWN:,} more {kind}: --json lists all")
        for gap in each.gaps:
            print(f"  {gap}")
        if each.let_go:
            print(f"  {each.let_go:,} more are too old for this store, and may have been removed")
        if each.segments:
            print(f"  audited up to {format_time(each.end_ns)}; later events follow when their segments are finished")
        else:
            print("  nothing was audited: the store has no statement of a segment from this period")
    if not found:
        print("dashcam: no backend of LOG_BACKEND has a store to audit")
