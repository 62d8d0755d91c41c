"""Repair the spool, its state and the local store after damage, for example of a disk or by a power cut.

It moves what cannot be read to DASHCAM_DIR/quarantine, saves what can be read into new files, and prints what it did
and what could not be saved. It runs only while no shipper works there, may be repeated, and leaves alone what is in
order. Exit status 1 when something could not be saved.
"""

import argparse

from dashcam.cli import NOT_FOUND, OK
from dashcam.destinations import registry
from dashcam.destinations.registry import load_settings
from dashcam.ship.inspection.spool_repair import Repair, repair, send_again


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments: none."""


def run(_: argparse.Namespace) -> int:
    """Print each thing that was repaired; exit status 1 when something could not be saved."""
    settings = load_settings()
    found = []
    for one in repair(settings.dir):
        _print(one)
        found.append(one)
    for route in settings.routes:
        mend = registry.get(route).repair
        for one in mend(registry.options(route)) if mend else ():
            send_again(settings.dir, route)
            _print(one)
            found.append(one)
    if not found:
        print(f"{settings.dir} is in order")
    return NOT_FOUND if any(one.lost for one in found) else OK


def _print(one: Repair) -> None:
    print(f"{one.path}: {one.done}")
    if one.lost:
        print(f"  not saved: {one.lost}")
