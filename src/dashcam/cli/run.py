"""Run a command with a shipper beside it: `dashcam run -- gunicorn 'cars.app:create_app()'`.

The shipper goes on until the command has ended and everything it recorded is delivered, or for 15 s after that. The
command gets the signals; its exit status is that of `dashcam run`.
"""

import argparse
import signal
import subprocess
import sys

from dashcam.destinations.registry import load_settings

DRAIN_S = 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--json", action="store_true", help="the shipper says what it does in JSON Lines")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command and its arguments")


def run(arguments: argparse.Namespace) -> int:
    """Run both; 2 when there is no command, 127 when it cannot be started."""
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        print("dashcam run: what to run is missing: dashcam run -- CMD", file=sys.stderr)
        return 2
    load_settings()  # a fault in the environment shows before anything is started
    ship = [sys.executable, "-m", "dashcam", "ship", *(["--json"] if arguments.json else [])]
    shipper = subprocess.Popen(ship, start_new_session=True)
    try:
        status = _run(command)
    finally:
        shipper.terminate()
        shipper.wait()
    try:
        subprocess.run([*ship, "--drain"], timeout=DRAIN_S, check=False)
    except subprocess.TimeoutExpired:
        print("dashcam run: not all events are delivered; they wait in the spool: dashcam ship", file=sys.stderr)
    return status


def _run(command: list[str]) -> int:
    try:
        process = subprocess.Popen(command)
    except OSError as fault:
        print(f"dashcam run: {command[0]} cannot be started: {fault.strerror}", file=sys.stderr)
        return 127
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: process.send_signal(received))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the command by itself
    status = process.wait()
    return status if status >= 0 else 128 - status
