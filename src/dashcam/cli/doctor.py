"""Look at each hop of the way to the backends of LOG_BACKEND and back, and name the first that is broken, with the fix.

Last a canary event is sent and found again. Exit status 1 when something is broken.
"""

import argparse
from typing import TYPE_CHECKING

from dashcam.cli import NOT_FOUND, OK
from dashcam.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dashcam.destinations.checks import Finding, Hop

WAIT_S = {"loggly": 120.0}  # until the canary is found
USUAL_WAIT_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--wait", type=float, metavar="S", help="until the canary is found (loggly 120, others 30)")
    parser.add_argument("--json", action="store_true", help="print JSON Lines, a finding each")


def run(arguments: argparse.Namespace) -> int:
    """Print what is found, as it is found."""
    from dashcam.destinations.checks import examine

    settings = Settings.load()
    is_well = True
    for route in settings.routes:
        for finding in examine(_hops(route, settings, arguments.wait or WAIT_S.get(route, USUAL_WAIT_S))):
            _tell(route, finding, is_json=arguments.json)
            is_well = is_well and finding.is_well
    return OK if is_well else NOT_FOUND


def _hops(route: str, settings: Settings, wait_s: float) -> "Iterator[Hop]":
    from dashcam.cli import spool_check as here
    from dashcam.destinations.elasticsearch import checks as elk
    from dashcam.destinations.loggly import checks as loggly

    yield from here.spool_hops(settings)
    match route:
        case "stdout":
            yield from here.stdout_hops()
        case "loggly":
            yield from loggly.hops(settings, wait_s)
        case "elk":
            yield from elk.elk_hops(settings, wait_s)
        case "elasticsearch":
            yield from elk.elasticsearch_hops(settings, wait_s)
        case _:
            yield from here.any_hops(route, settings, wait_s)


def _tell(route: str, finding: "Finding", *, is_json: bool) -> None:
    if is_json:
        from dataclasses import asdict

        import orjson

        print(orjson.dumps({"route": route} | asdict(finding)).decode(), flush=True)
        return
    mark = "ok    " if finding.is_well else "BROKEN"
    took = f"{finding.took_s * 1000:,.0f} ms"
    print(f"{mark} {route} {finding.way} {finding.hop}: {finding.seen} ({took})", flush=True)
    if finding.fix:
        print(f"       {finding.fix}", flush=True)
