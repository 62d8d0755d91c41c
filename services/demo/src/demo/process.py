"""One process of the demo."""

import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from demo.errors import DemoError

START_S = 60.0  # a slow machine's first start, with every module still to be compiled
POLL_S = 0.02  # between two looks at what a process has printed
LAST_LINES = 20


class Process:
    """A Python module that runs as long as this process at most; what it prints goes to a file."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        command = [sys.executable, "-m", "demo.supervise", sys.executable, "-m", *arguments]
        with self._log.open("wb") as output:
            # In a session of its own, so that Ctrl-C ends it in our order. The folder is no checkout: gunicorn
            # imports from where it was started.
            self._supervisor = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )

    def __repr__(self) -> str:
        return f"<Process {self.name} {self._supervisor.pid}>"

    def wait_for(self, pattern: str) -> str:
        """Return the first group of a pattern as soon as it was printed; raises `DemoError` if it never is."""
        end = time.monotonic() + START_S
        while not (found := re.search(pattern, self._log.read_text(), re.MULTILINE)):
            if self._supervisor.poll() is not None or time.monotonic() > end:
                raise DemoError(f"{self.name} did not start. It said last:\n{self._last_lines()}")
            time.sleep(POLL_S)
        return found[1]

    def wait(self) -> None:
        """Wait for its end; raises `DemoError` if that was not a good one."""
        if self._supervisor.wait():
            raise DemoError(f"{self.name} failed. It said last:\n{self._last_lines()}")

    def stop(self) -> None:
        """End it, if it still runs."""
        if self._supervisor.stdin:
            self._supervisor.stdin.close()
        self._supervisor.wait()

    def _last_lines(self) -> str:
        return "\n".join(self._log.read_text().splitlines()[-LAST_LINES:])
