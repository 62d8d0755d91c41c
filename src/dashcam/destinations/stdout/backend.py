"""Standard output, one JSON object a line, for platforms that collect output (12-factor apps, XI)."""

import os
import sys

from dashcam.destinations.stdout import Options
from dashcam.errors import BackendUnavailable
from dashcam.ship.batch import Batch, Limits


def connect(_options: Options) -> "Stdout":
    """The backend of this process's standard output."""
    return Stdout(sys.stdout.fileno())


class Stdout:
    """A file descriptor that lines are written to whole; it is not closed.

    A batch that broke off in the middle of a line is ended with a newline before it is written again, so that a
    reader sees a damaged line and then each event whole.
    """

    limits = Limits(events=1000, bytes=1_000_000)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_torn = False

    def ship(self, batch: Batch) -> None:
        """Write the lines. Raises `BackendUnavailable` when the reader is gone, or a disk behind it is full."""
        rest = memoryview(b"".join([b"\n" * self._is_torn, *(line.data + b"\n" for line in batch)]))
        try:
            while rest:
                written = os.write(self._descriptor, rest)
                self._is_torn = rest[written - 1] != ord("\n")
                rest = rest[written:]
        except OSError as fault:
            raise BackendUnavailable(f"standard output accepts no more lines: {fault.strerror}") from fault

    def close(self) -> None:
        """Nothing is held."""
