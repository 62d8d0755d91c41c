"""Bring what the services recorded to the backends that LOG_BACKEND names.

Runs until SIGTERM or Ctrl-C, then settles what is under way; started again, it goes on where it was. Nothing is lost
while a backend is down: events wait in the spool.
"""

import argparse
import gc
import logging
import os

from dashcam.cli import NOT_FOUND, OK
from dashcam.destinations.registry import connect, load_settings
from dashcam.ship.own_log import log_to_stderr
from dashcam.ship.shipper import ship


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--drain", action="store_true", help="send what waits now, then stop")
    parser.add_argument("--json", action="store_true", help="say what it does in JSON Lines, on standard error too")
    parser.add_argument("--verbose", action="store_true", help="tell the steps too")


def run(arguments: argparse.Namespace) -> int:
    """Ship until told to stop."""
    settings = load_settings()
    gc.set_threshold(100_000)  # lines hold no cycles: looking for some among them took a third of the time
    log_to_stderr(logging.DEBUG if arguments.verbose else logging.INFO, _formatter() if arguments.json else None)
    ending = ship(settings, connect, is_drain=arguments.drain)
    status = NOT_FOUND if ending.fault else OK
    if ending.is_hung:
        os._exit(status)  # a thread that waits for a backend's answer would be waited for
    return status


def _formatter() -> logging.Formatter:
    # Late: only this needs the recorder's imports.
    from dashcam import EcsFormatter

    return EcsFormatter(service="dashcam-ship")
