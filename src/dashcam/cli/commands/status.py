"""Show what was recorded, and what happened to it.

For each backend, recorded = earlier + delivered + held + expired + waiting + dead-lettered. Earlier events were handled
before the backend was set; held ones are below DASHCAM_SHIP_LEVEL. Exit status 1 when a backend has trouble, an event
was dropped or is in the dead letters, a file cannot be read, or events wait and no shipper works here. With --health it
is 1 only when the shipper does not work; one that waits for a backend that is down does. An answer takes less than a
second. Where that is not enough to count everything, it says so; --full counts everything.
"""

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from dashcam.cli import NOT_FOUND, OK
from dashcam.cli.ownership import who_may_write
from dashcam.destinations.registry import load_settings
from dashcam.event import parse_time
from dashcam.ship.clips.events import history
from dashcam.ship.inspection import health
from dashcam.ship.inspection.stats import MAX_S, collect_stats

if TYPE_CHECKING:
    from dashcam.ship.inspection.stats import RouteAccount, SpoolStats


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--full", action="store_true", help="count everything, however long it takes")
    parser.add_argument("--health", action="store_true", help="check only that the shipper is at work")


def run(arguments: argparse.Namespace) -> int:
    """Print the account."""
    settings = load_settings()
    if arguments.health:
        found = health.check(settings.dir, max(health.MAX_SILENCE_S, 2 * settings.sync_interval_s))
        print("\n".join(found.lines))
        return OK if found.is_well else NOT_FOUND
    stats = collect_stats(settings.dir, max_s=math.inf if arguments.full else MAX_S)
    if arguments.json:
        print(orjson.dumps(asdict(stats)).decode())
    else:
        print("\n".join(_lines(stats, str(settings.dir))))
    return OK if _is_well(stats) else NOT_FOUND


def _is_well(stats: "SpoolStats") -> bool:
    if any(route.trouble or route.dead for route in stats.routes.values()) or stats.letters:
        return False
    if any(stats.dropped.values()) or stats.quarantined or stats.unreadable or stats.shipper.troubles:
        return False
    return stats.shipper.is_at_work or not stats.is_waiting


def _lines(stats: "SpoolStats", folder: str) -> Iterator[str]:
    services = ", ".join(f"{name} {count:,}" for name, count in stats.services.items()) or "nothing yet"
    yield f"{folder}: {stats.bytes / 1e6:.1f} MB of spool ({services})"
    yield f"recorded {stats.recorded:,}" + ("" if stats.is_complete else " or more: --full counts all")
    for name, route in stats.routes.items():
        yield from _route_lines(name, route)
    yield from _shipper_lines(stats)
    for reason, count in stats.dropped.items():
        if count:
            yield f"  dropped {count:,}: {REASONS[reason]}"
    if stats.dropped.get("access"):
        yield f"    {who_may_write(Path(folder) / 'spool')}"
    for name, count in stats.letters.items():
        yield f"  {count:,} dead letters of {name}: dashcam replay {name}"
    if stats.quarantined:
        yield f"  {stats.quarantined:,} damaged files were moved to {folder}/quarantine: dashcam repair looks for more"
    for path, reason in stats.unreadable.items():
        yield f"  {path} cannot be read: {reason}"


def _route_lines(name: str, route: "RouteAccount") -> Iterator[str]:
    earlier = f", {route.earlier:,} before it began" if route.earlier else ""
    yield f"  {name}: delivered {route.delivered:,}, waiting {route.waiting:,}, dead-lettered {route.dead:,}{earlier}"
    if route.held or route.expired:
        since_ns = parse_time(route.held_since) if route.held_since else 0
        yield f"    held {route.held:,} ({history(since_ns, time.time_ns())} of history), expired {route.expired:,}"
    if route.damaged:
        yield f"    {route.damaged:,} damaged places skipped: dashcam repair looks for more"
    if route.missing:
        yield f"    {route.missing:,} were lost before they were sent (a power cut)"
    if route.trouble:
        yield f"    in trouble since {route.trouble.since}: {route.trouble.reason}"


def _shipper_lines(stats: "SpoolStats") -> Iterator[str]:
    shipper = stats.shipper
    for path, reason in (shipper.troubles or {}).items():
        yield f"  the shipper reports {path}: {reason}"
    if not shipper.is_at_work and shipper.last_seen is None:
        yield "  no shipper has run here yet: dashcam ship"
    elif not shipper.is_at_work:
        yield f"  no shipper has worked here since {shipper.last_seen}: dashcam ship"


REASONS = {
    "limit": "the spool was full (DASHCAM_SPOOL_LIMIT)",
    "disk": "the disk was full or failed",
    "access": "the user of a service may not write the spool",
    "system": "the process had no file descriptor or no memory left",
    "error": "the event could not be written as a line",
}
