"""Set up a self-hosted stack: `dashcam setup elk` brings Elasticsearch or OpenSearch, and Kibana, to where events fit.

It needs the rights of logging/elk/roles/installer.json, says each thing it did, and may be run again at any time.
With KIBANA_URL it imports searches and dashboards there; `dashcam setup kibana-pack` prints them for an import by hand.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dashcam.cli import OK
from dashcam.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dashcam.destinations.elasticsearch.setup import Step


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("stack", choices=["elk", "kibana-pack"], help="what is set up, or printed")
    parser.add_argument("--keys", type=Path, metavar="FILE", help="make a writer's and a reader's key, into this file")
    parser.add_argument("--json", action="store_true", help="one JSON object a step")


def run(arguments: argparse.Namespace) -> int:
    """Set up, step by step."""
    import orjson

    if arguments.stack == "kibana-pack":
        return _print_pack()
    for step in _steps(Settings.load(), arguments):
        if arguments.json:
            print(orjson.dumps(step).decode(), flush=True)
        else:
            print(f"{step.what}: {step.done}", flush=True)
    return OK


def _print_pack() -> int:
    from dashcam.destinations.elasticsearch.saved_objects import kibana_pack

    print(kibana_pack().decode(), end="")
    return OK


def _steps(settings: Settings, arguments: argparse.Namespace) -> "Iterator[Step]":
    from dashcam.destinations.elasticsearch import keys, kibana, streams, users
    from dashcam.destinations.elasticsearch.client import Connection
    from dashcam.destinations.elasticsearch.saved_objects import kibana_pack

    connection = Connection(settings)
    yield from streams.set_up(connection, settings.namespace, settings.retention_days)
    if settings.kibana_system_password:
        yield users.set_up(connection, settings.kibana_system_password)
    if arguments.keys:
        yield keys.set_up(connection, arguments.keys)
    if settings.kibana_url:
        yield kibana.set_up(Connection(settings, "KIBANA_URL"), kibana_pack())
    connection.close()
