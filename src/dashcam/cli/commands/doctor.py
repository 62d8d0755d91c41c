"""Check each hop to the backends of LOG_BACKEND and back, and name the first that is broken, with the fix.

The last check sends a canary event and finds it again. Exit status 1 when a hop is broken. Notes name what the services
on this machine do not record: requests, calls without their IDs, client libraries without their packages.
"""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

import orjson

from dashcam.cli import NOT_FOUND, OK
from dashcam.cli.quantities import seconds
from dashcam.cli.service_check import service_checks
from dashcam.cli.spool_check import clip_checks, spool_checks
from dashcam.destinations import registry
from dashcam.destinations.canary import canary_checks
from dashcam.destinations.checks import examine
from dashcam.destinations.registry import load_settings
from dashcam.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dashcam.destinations.checks import Check, Finding


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--wait", type=seconds, metavar="S", help="until the canary is found (loggly 120, others 30)")
    parser.add_argument("--json", action="store_true", help="print JSON Lines, a finding each")


def run(arguments: argparse.Namespace) -> int:
    """Print what is found, as it is found."""
    settings = load_settings()
    is_well = True
    for route, finding in findings(settings, arguments.wait):
        is_well = is_well and finding.is_well
        if arguments.json:
            print(orjson.dumps({"route": route} | asdict(finding)).decode(), flush=True)
            continue
        mark = ("note  " if finding.fix else "ok    ") if finding.is_well else "BROKEN"
        took = f"{finding.took_s * 1000:,.0f} ms"
        print(f"{mark} {route} {finding.way} {finding.hop}: {finding.seen} ({took})", flush=True)
        if finding.fix:
            print(f"       {finding.fix}", flush=True)
    return OK if is_well else NOT_FOUND


def findings(settings: Settings, wait_s: float | None) -> "Iterator[tuple[str, Finding]]":
    """Yield each route with what is found on the way to it, as it is found."""
    for route in settings.routes:
        for finding in examine(_checks(route, settings, wait_s)):
            yield route, finding


def _checks(route: str, settings: Settings, wait_s: float | None) -> "Iterator[Check]":
    if route == settings.routes[0]:  # once is enough
        yield from service_checks(settings)
    yield from spool_checks(settings)
    destination, options = registry.get(route), registry.options(route)
    yield from clip_checks(settings, route, is_searched=destination.store is not None)
    wait_s = wait_s or destination.found_within_s
    if destination.checks:
        yield from destination.checks(options, wait_s)
    else:
        yield from canary_checks(destination, options, wait_s)
