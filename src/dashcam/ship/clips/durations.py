"""The usual durations of requests by HTTP route, in bounded memory and in the file `clips/ROUTE.durations`."""

from collections import OrderedDict
from collections.abc import Mapping
from math import log2
from pathlib import Path

from dashcam.ship.state.journal import encode_record, read_journal, replace_file

MIN_REQUESTS = 100  # of a route, before some of them count as slow
MAX_REQUESTS = 10_000  # then each counts half, so that a route may become faster or slower
STEPS = 256


class Durations:
    """The durations of a route, in steps of a quarter of a power of two."""

    __slots__ = ("_counts", "_total")

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self._counts = [(counts or {}).get(step, 0) for step in range(STEPS)]
        self._total = sum(self._counts)

    def add(self, duration_ns: int) -> None:
        """Count a request."""
        self._counts[int(4 * log2(max(1, duration_ns)))] += 1
        self._total += 1
        if self._total > MAX_REQUESTS:
            self._counts = [count // 2 for count in self._counts]
            self._total = sum(self._counts)

    def p99_ns(self) -> float:
        """Return the 99th percentile; 0 while there are too few requests."""
        above = self._total // 100
        if self._total < MIN_REQUESTS:
            return 0.0
        step = len(self._counts)
        while above >= 0 and step:
            step -= 1
            above -= self._counts[step]
        return float(2 ** ((step + 1) / 4))

    def counts(self) -> dict[str, int]:
        """Return how many requests are in each step that has some."""
        return {str(step): count for step, count in enumerate(self._counts) if count}


RouteDurations = OrderedDict[str, Durations]
"""The durations by service and route, the most recently used last."""


def save_durations(path: Path, durations: RouteDurations) -> None:
    """Write the durations to a file. Raises `OSError`."""
    replace_file(
        path, b"".join(encode_record({"route": route, **known.counts()}) for route, known in durations.items())
    )


def load_durations(path: Path) -> RouteDurations:
    """Return the durations in a file, without damaged records."""
    durations: RouteDurations = OrderedDict()
    for record in read_journal(path).records:
        counts = {int(step): count for step, count in record.items() if step.isdecimal() and isinstance(count, int)}
        durations[str(record.get("route"))] = Durations(counts)
    return durations
