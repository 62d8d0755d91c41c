"""What was recorded, and what became of it: recorded = delivered + waiting + dead-lettered, for each backend.

Exit status 1 when something is in a backend's way, an event was dropped, or one went to the dead letters. With
--health it is 1 only when the shipper is not at work: one that waits for a backend that is down is well, and says so.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from dashcam.cli import NOT_FOUND, OK
from dashcam.destinations.registry import load_settings
from dashcam.settings import Settings

if TYPE_CHECKING:
    from dashcam.ship.stats import SpoolStats


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--health", action="store_true", help="ask for a sign of life of the shipper, and no more")


def run(arguments: argparse.Namespace) -> int:
    """Print the account."""
    from dashcam.ship.stats import collect_stats

    settings = load_settings()
    if arguments.health:
        return _check_health(settings)
    folder = settings.dir
    account = collect_stats(folder)
    if arguments.json:
        import orjson

        print(orjson.dumps(asdict(account)).decode())
    else:
        print("\n".join(_told(account, str(folder))))
    troubles = [route for route in account.routes.values() if route.trouble or route.dead]
    return NOT_FOUND if troubles or any(account.dropped.values()) else OK


def _check_health(settings: Settings) -> int:
    from dashcam.ship import health

    found = health.check(settings.dir, max(health.MAX_SILENCE_S, 2 * settings.sync_interval_s))
    print("\n".join(found.lines))
    return OK if found.is_well else NOT_FOUND


def _told(account: "SpoolStats", folder: str) -> Iterator[str]:
    services = ", ".join(f"{name} {count:,}" for name, count in account.services.items()) or "nothing yet"
    yield f"{folder}: {account.bytes / 1e6:.1f} MB of spool ({services})"
    yield f"recorded {account.recorded:,}"
    for name, route in account.routes.items():
        yield f"  {name}: delivered {route.delivered:,}, waiting {route.waiting:,}, dead-lettered {route.dead:,}"
        if route.damaged:
            yield f"    {route.damaged:,} damaged places skipped"
        if route.trouble:
            yield f"    in trouble since {route.trouble.since}: {route.trouble.reason}"
    if not account.routes:
        yield "  no shipper has run here yet: dashcam ship"
    for reason, count in account.dropped.items():
        if count:
            yield f"  dropped {count:,}: {REASONS[reason]}"


REASONS = {
    "limit": "the spool was full (DASHCAM_SPOOL_LIMIT)",
    "disk": "the disk was full or failed",
    "access": "the spool could not be written: check who owns DASHCAM_DIR, and its mode",
    "system": "the process had no file descriptor or no memory left",
    "error": "the event could not be written as a line",
}
