"""A fake Loggly, for tests and for trying hosted mode without an account.

It follows Loggly's documentation, and what Loggly's clients send and receive: see docs/loggly.md.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from dashcam.testing.fake_loggly.archive import Archive
from dashcam.testing.fake_loggly.behaviour import Behaviour
from dashcam.testing.fake_loggly.faults import FAULTS, Faults
from dashcam.testing.fake_loggly.server import Server
from dashcam.testing.fake_loggly.service import Service

__all__ = ["FAULTS", "Behaviour", "Faults", "StandIn"]


class StandIn:
    """A fake Loggly: use it as a context manager, or call `start` and `stop`, as often as you like.

    It keeps accepted events after a stop and, with a `journal`, after the end of the process.
    """

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        journal: Path | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self.sending = Faults()
        self.searching = Faults()
        self.archive = Archive(self.behaviour, journal, clock)
        self._service = Service(self.archive, self.behaviour, {"send": self.sending, "search": self.searching})
        self._host = host
        self._port = port
        self._server: Server | None = None
        self._thread = threading.Thread()

    @property
    def url(self) -> str:
        """Its address; the port stays the same after a stop and a start."""
        host = "127.0.0.1" if self._host == "0.0.0.0" else self._host
        return f"http://{host}:{self._port}"

    def environment(self) -> dict[str, str]:
        """Return the environment variables for sending to it and searching in it."""
        return {
            "LOG_BACKEND": "loggly",
            "LOGGLY_URL": self.url,
            "LOGGLY_TOKEN": self.behaviour.token,
            "LOGGLY_API_URL": self.url,
            "LOGGLY_API_TOKEN": self.behaviour.api_token,
        }

    def start(self) -> Self:
        """Listen on 127.0.0.1."""
        self._server = Server(self._host, self._port, self._service)
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="loggly stand-in")
        self._thread.start()
        return self

    def stop(self) -> None:
        """Cut every connection and refuse new ones; whoever hangs is let go."""
        if self._server is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = None

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self.archive.close()

    def lines(self) -> list[bytes]:
        """Every line accepted, in order of arrival, doubles and all."""
        return self.archive.lines()

    def answers(self) -> dict[str, int]:
        """The number of requests by status or fault."""
        return dict(self._service.answers)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()
