"""The health of a shipper by the sign of life that it leaves, for a container or a supervisor."""

from dataclasses import dataclass
from pathlib import Path

from dashcam import machine
from dashcam.event import NS_PER_S
from dashcam.ship.state import checkpoint
from dashcam.ship.state.heartbeat import LOCK

MAX_SILENCE_S = 20.0  # the loops turn twenty times a second; a machine that is busy may need seconds for one turn


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the shipper is at work, and the state of each route in one line."""

    is_well: bool
    lines: tuple[str, ...]


def check(folder: Path, max_silence_s: float = MAX_SILENCE_S) -> Health:
    """Return the health of the shipper that works in a folder.

    It is well while it ships, and while it waits for a backend that is down: it delivers as soon as that is back, and
    to start it again would not help. It is not well when it is not there, or hangs.
    """
    try:
        silence_s = (machine.time_ns() - (folder / LOCK).stat().st_mtime_ns) / NS_PER_S
    except FileNotFoundError:
        return Health(is_well=False, lines=("no shipper has been at work here",))
    if silence_s > max_silence_s:
        return Health(is_well=False, lines=(f"the shipper has not reported for {silence_s:.0f} s",))
    lines = [
        f"{name}: waits since {route.trouble.since}: {route.trouble.reason}"
        if route.trouble
        else f"{name}: ships, {route.delivered:,} delivered"
        for name, route in checkpoint.load(folder / "positions").items()
    ]
    return Health(is_well=True, lines=tuple(lines))
