"""Prepare a self-hosted stack: `dashcam setup elk` sets up Elasticsearch or OpenSearch, and Kibana.

It needs the rights of logging/elk/roles/installer.json, prints each step, and may be run again at any time. Keys that
expire soon are replaced, with --rotate all of them; the former ones stay valid until the next replacement. With
KIBANA_URL it imports searches and dashboards there; `dashcam setup kibana-pack` prints them for an import by hand.
"""

import argparse
from pathlib import Path

import orjson

from dashcam.cli import OK
from dashcam.cli.quantities import count
from dashcam.destinations import registry
from dashcam.destinations.destination import KeyFile
from dashcam.destinations.elasticsearch.saved_objects import kibana_pack
from dashcam.errors import SettingsError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("stack", choices=["elk", "elasticsearch", "kibana-pack"], help="what is set up, or printed")
    parser.add_argument("--keys", type=Path, metavar="FILE", help="make a writer's and a reader's key, into this file")
    parser.add_argument("--life", type=count, default=365, metavar="DAYS", help="how long new keys are valid (365)")
    parser.add_argument("--rotate", action="store_true", help="replace the keys in FILE even if they are valid")
    parser.add_argument("--json", action="store_true", help="one JSON object a step")


def run(arguments: argparse.Namespace) -> int:
    """Set up, step by step."""
    if arguments.stack == "kibana-pack":
        print(kibana_pack().decode(), end="")
        return OK
    destination = registry.get(arguments.stack)
    if destination.setup is None:
        raise SettingsError(f"{arguments.stack} has nothing to set up.")
    if arguments.life < 1:
        raise SettingsError("--life: expected a number of days, at least 1.")
    if arguments.rotate and not arguments.keys:
        raise SettingsError("--rotate needs --keys FILE: the keys in it are replaced.")
    keys = arguments.keys and KeyFile(arguments.keys, arguments.life, arguments.rotate)
    for step in destination.setup(registry.options(arguments.stack), keys):
        if arguments.json:
            print(orjson.dumps(step).decode(), flush=True)
        else:
            print(f"{step.what}: {step.done}", flush=True)
    return OK
