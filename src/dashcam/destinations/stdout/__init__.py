"""The destination `stdout`: this process's standard output, one JSON object a line (12-factor apps, XI)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashcam.destinations.destination import Destination, late

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dashcam.destinations.checks import Check


@dataclass(frozen=True, slots=True)
class Options:
    """Standard output has none."""


def _checks(_options: Options, _wait_s: float) -> "Iterator[Check]":
    from dashcam.destinations.checks import Check

    seen = "events go to the shipper's standard output; where that goes, ask there"
    yield Check("sending", "configuration", lambda: seen)


DESTINATION = Destination("stdout", Options, late("dashcam.destinations.stdout.backend:connect"), checks=_checks)
