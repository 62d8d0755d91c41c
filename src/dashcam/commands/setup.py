"""Set up a self-hosted stack: `dashcam setup elk` brings Elasticsearch or OpenSearch, and Kibana, to where events fit.

It needs the rights of logging/elk/roles/installer.json, says each thing it did, and may be run again at any time.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dashcam.cli import OK
from dashcam.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dashcam.setup import Step


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("stack", choices=["elk"], help="what is set up")
    parser.add_argument("--keys", type=Path, metavar="FILE", help="make a writer's and a reader's key, into this file")
    parser.add_argument("--dashboards", type=Path, metavar="FILE", help="import these objects into KIBANA_URL")
    parser.add_argument("--json", action="store_true", help="one JSON object a step")


def run(arguments: argparse.Namespace) -> int:
    """Set up, step by step."""
    import orjson

    for step in _steps(Settings.load(), arguments):
        if arguments.json:
            print(orjson.dumps(step).decode(), flush=True)
        else:
            print(f"{step.what}: {step.done}", flush=True)
    return OK


def _steps(settings: Settings, arguments: argparse.Namespace) -> "Iterator[Step]":
    from dashcam.elastic import Connection
    from dashcam.setup import keys, kibana, streams

    connection = Connection(settings)
    yield from streams.set_up(connection, settings.namespace, settings.retention_days)
    if arguments.keys:
        yield keys.set_up(connection, arguments.keys)
    if arguments.dashboards:
        yield kibana.set_up(Connection(settings, "KIBANA_URL"), arguments.dashboards)
    connection.close()
