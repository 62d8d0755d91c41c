"""Set up a self-hosted stack: `dashcam setup elk` brings Elasticsearch or OpenSearch, and Kibana, to where events fit.

It needs the rights of logging/elk/roles/installer.json, says each thing it did, and may be run again at any time.
With KIBANA_URL it imports searches and dashboards there; `dashcam setup kibana-pack` prints them for an import by hand.
"""

import argparse
from pathlib import Path

from dashcam.cli import OK
from dashcam.destinations import registry
from dashcam.errors import SettingsError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("stack", choices=["elk", "elasticsearch", "kibana-pack"], help="what is set up, or printed")
    parser.add_argument("--keys", type=Path, metavar="FILE", help="make a writer's and a reader's key, into this file")
    parser.add_argument("--json", action="store_true", help="one JSON object a step")


def run(arguments: argparse.Namespace) -> int:
    """Set up, step by step."""
    import orjson

    if arguments.stack == "kibana-pack":
        return _print_pack()
    destination = registry.get(arguments.stack)
    if destination.setup is None:
        raise SettingsError(f"{arguments.stack} has nothing to set up.")
    for step in destination.setup(registry.options(arguments.stack), arguments.keys):
        if arguments.json:
            print(orjson.dumps(step).decode(), flush=True)
        else:
            print(f"{step.what}: {step.done}", flush=True)
    return OK


def _print_pack() -> int:
    from dashcam.destinations.elasticsearch.saved_objects import kibana_pack

    print(kibana_pack().decode(), end="")
    return OK
