"""Hold a store against what was recorded here: each event that was delivered has to be there, once, as it was.

The spool knows what that is, and so does the statement that it leaves of each segment that it removes. Names the events
that are missing, double, changed, or that nobody recorded. Exit status 1 when there are any. Allow for the time that a
store takes to find what it was sent (--until 2m), and for events that it no longer keeps (--since).

Examples:
  dashcam audit --since 24h
  dashcam audit --since 7d --until 5m --json

"""

import argparse
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import orjson

from dashcam.cli import NOT_FOUND, OK
from dashcam.cli.period import check_period, moment
from dashcam.destinations import registry
from dashcam.destinations.registry import load_settings, open_store
from dashcam.find.query import Query
from dashcam.ship import statements
from dashcam.ship.dead_letters import DeadLetters
from dashcam.ship.statements import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dashcam.event import Event
    from dashcam.ship.statements import StatedEvent

SHOWN = 20  # IDs of each kind


@dataclass(slots=True)
class Findings:
    """The result for one store: the number of events that have to be there, and the IDs of those that are not well."""

    expected: int = 0
    missing: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """True when the store has everything, as it was."""
        return not (self.missing or self.double or self.changed or self.invented)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--since", type=moment, default="24h", metavar="WHEN", help="an age as 1h, or a time (24h)")
    parser.add_argument("--until", type=moment, metavar="WHEN", help="likewise; now unless given")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print what is found for each backend that has a store; exit status 1 when something is not well."""
    settings = load_settings()
    check_period(arguments.since, arguments.until)
    query = Query(since_ns=arguments.since, until_ns=arguments.until)
    found: dict[str, Findings] = {}
    gaps: list[str] = []
    for route in settings.routes:
        if registry.get(route).store is None:
            continue
        stated = statements.load(settings.dir)
        gaps = stated.gaps
        dead = {letter.event.id for letter in DeadLetters(settings.dir / "dead-letters", route).read()}
        with closing(open_store(route)) as store:
            found[route] = compare(route, stated.events, store.find(query), query, dead)
    _print_findings(found, gaps, is_json=arguments.json)
    return OK if not gaps and all(each.is_well for each in found.values()) else NOT_FOUND


def compare(
    route: str, stated: "Iterable[StatedEvent]", found: "Iterable[Event]", query: "Query", dead: set[str]
) -> Findings:
    """Hold the events of a store against those that were stated."""
    known = {each.id: each for each in stated}
    segments = {id_[:24] for id_ in known}
    wanted = {
        id_
        for id_, each in known.items()
        if route in each.routes
        and id_ not in dead
        and (query.since_ns or 0) <= each.time_ns
        # A store keeps microseconds.
        and (query.until_ns is None or each.time_ns < query.until_ns)
    }
    findings = Findings(expected=len(wanted))
    seen: set[str] = set()
    for event in found:
        id_ = event.id
        if id_ in seen:
            findings.double.append(id_)
        elif id_ in known and digest_of(event) != known[id_].digest:
            findings.changed.append(id_)
        elif id_ not in known and id_[:24] in segments:
            findings.invented.append(id_)
        seen.add(id_)
    findings.missing = sorted(wanted - seen)
    return findings


def _print_findings(found: dict[str, Findings], gaps: list[str], *, is_json: bool) -> None:
    if is_json:
        print(orjson.dumps({name: asdict(each) for name, each in found.items()} | {"gaps": gaps}).decode())
        return
    for name, each in found.items():
        counts = (len(each.missing), len(each.double), len(each.changed), len(each.invented))
        print(
            "{}: {:,} events expected; {:,} missing, {:,} double, {:,} changed, {:,} invented".format(
                name, each.expected, *counts
            )
        )
        for kind in ("missing", "double", "changed", "invented"):
            for id_ in getattr(each, kind)[:SHOWN]:
                print(f"  {kind} {id_}")
    for gap in gaps:
        print(f"  {gap}")
    if not found:
        print("dashcam: no backend of LOG_BACKEND has a store to audit")
