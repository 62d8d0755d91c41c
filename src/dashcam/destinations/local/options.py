"""The options of the local store."""

from dataclasses import dataclass
from pathlib import Path

from dashcam.settings import folder, read_size, retention, setting


def _read_limit(value: str) -> int:
    # Half of the least is SQLite's write-ahead log, at its longest.
    if (size := read_size(value)) < 32_000_000:
        raise ValueError("a size of at least 32MB")
    return size


@dataclass(frozen=True, slots=True)
class Options:
    """The folder of the file, and its limits."""

    dir: Path = folder()
    limit_bytes: int = setting(
        "DASHCAM_LOCAL_LIMIT", "2GB", _read_limit, "Maximum size of the local store; the oldest events are removed."
    )
    retention_days: int = retention()
