"""Run a command with a shipper beside it: `dashcam run -- gunicorn 'cars.app:create_app()'`.

A shipper that dies is started again. It runs until the command has ended and everything it recorded is delivered, or
for 15 s after that. Where another shipper works already, that one delivers. Signals go to the command, whose exit
status is that of `dashcam run`.
"""

import argparse
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

from dashcam.destinations.registry import load_settings
from dashcam.ship.signals import handling
from dashcam.ship.state.heartbeat import LOCK, is_locked

DRAIN_S = 15
FIRST_PAUSE_S = 0.5  # before a shipper that died is started again; doubled each time
MAX_PAUSE_S = 30.0
POLL_S = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--json", action="store_true", help="the shipper logs in JSON Lines")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command and its arguments")


def run(arguments: argparse.Namespace) -> int:
    """Run both; 2 when there is no command, 127 when it cannot be started."""
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        print("dashcam run: give a command: dashcam run -- CMD", file=sys.stderr)
        return 2
    folder = load_settings().dir  # a fault in the environment shows before anything is started
    ship = [sys.executable, "-m", "dashcam", "ship", *(["--json"] if arguments.json else [])]
    shipper = _Shipper(ship, folder)
    try:
        status = _run(command)
    finally:
        shipper.stop()
    if shipper.is_elsewhere():
        return status
    try:
        subprocess.run([*ship, "--drain"], timeout=DRAIN_S, check=False)
    except subprocess.TimeoutExpired:
        print("dashcam run: not all events are delivered; they wait in the spool: dashcam ship", file=sys.stderr)
    return status


class _Shipper:
    """A shipper that is started again when it dies, as long as no other one works in the folder."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._command = command
        self._folder = folder
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        if self.is_elsewhere():
            print(f"dashcam run: another shipper works in {folder} and delivers", file=sys.stderr)
        else:
            self._process = self._start()
        self._watching = threading.Thread(target=self._watch, name="dashcam-run")
        self._watching.start()

    def stop(self) -> None:
        """End it."""
        self._stopping.set()
        self._watching.join()
        if self._process:
            self._process.terminate()
            self._process.wait()

    def is_elsewhere(self) -> bool:
        """Return whether a shipper that is not this one works in the folder."""
        is_ours = self._process is not None and self._process.poll() is None
        return not is_ours and is_locked(self._folder / LOCK)

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self._command, start_new_session=True)

    def _watch(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.wait(POLL_S):
            if (self._process and self._process.poll() is None) or self.is_elsewhere():
                continue
            if self._process:
                print(f"dashcam run: the shipper ended ({self._process.returncode}); it is restarted", file=sys.stderr)
            if not self._stopping.wait(pause_s):
                pause_s = min(MAX_PAUSE_S, 2 * pause_s)
                self._process = self._start()


def _run(command: list[str]) -> int:
    try:
        process = subprocess.Popen(command)
    except OSError as fault:
        print(f"dashcam run: {command[0]} cannot be started: {fault.strerror}", file=sys.stderr)
        return 127
    with ExitStack() as stack:
        stack.enter_context(handling((signal.SIGTERM, signal.SIGHUP), process.send_signal))
        stack.enter_context(handling([signal.SIGINT], lambda _: None))  # Ctrl-C reaches the command by itself
        status = process.wait()
    return status if status >= 0 else 128 - status
