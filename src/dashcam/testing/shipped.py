"""The events that a shipper would send of a recording, by its own rules: for tests of what a failing request brings."""

import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from dashcam.event import Event
from dashcam.settings import Settings, load
from dashcam.ship.batch import Batch, Limits
from dashcam.ship.clips.collector import ClipCollector
from dashcam.ship.route import Route
from dashcam.ship.state.checkpoint import Checkpoint, CheckpointFile

_ROUTE = "memory"


class _Memory:
    """A backend that keeps what it is sent."""

    limits = Limits(events=1000, bytes=1 << 20)

    def __init__(self) -> None:
        self.events: list[Event] = []

    def ship(self, batch: Batch) -> None:
        """Keep a batch."""
        self.events += [Event.from_json(event.data) for event in batch]

    def close(self) -> None:
        """Nothing to give back."""


def ship_copy(spool: Path, environment: Mapping[str, str]) -> list[Event]:
    """Return what a shipper with these settings would send of a spool, oldest first; the spool stays as it is."""
    backend = _Memory()
    with TemporaryDirectory() as folder:
        if spool.exists():
            shutil.copytree(spool, Path(folder) / "spool")
        settings = load(Settings, {**environment, "DASHCAM_DIR": folder, "LOG_BACKEND": _ROUTE})
        file = CheckpointFile(settings.dir / "positions", _ROUTE, Checkpoint())
        file.rewrite()
        clips = ClipCollector(settings, file)
        clips.open()
        try:
            Route(_ROUTE, backend, settings.dir, file, threading.Event(), clips=clips).run(is_drain=True)
        finally:
            file.close()
    return sorted(backend.events, key=lambda event: (event.time_ns, event.id))
