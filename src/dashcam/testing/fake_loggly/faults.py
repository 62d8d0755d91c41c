"""Trouble on demand: the answers a stand-in gives instead of doing its work."""

import random
import threading
from collections import deque
from collections.abc import Mapping

FAULTS = (
    *("400", "401", "403", "404", "413", "429", "500", "503", "504"),
    "ok",  # none, in a plan
    "other",  # 200 with an unknown body
    "reset",  # the connection ends before the request is carried out
    "lost-answer",  # and after it
    "hang",  # no answer
)
STATUSES = frozenset(fault for fault in FAULTS if fault.isdecimal())


class Faults:
    """The faults of one kind of request: those planned come first, one a request, then those by chance."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: deque[str] = deque()
        self._chances: Mapping[str, float] = {}
        self._random = random.Random(0)  # noqa: S311  # for tests, not for secrets
        self.retry_after: str | None = None

    def plan(self, *faults: str, retry_after: str | None = None) -> None:
        """Answer the next requests with these faults; a status comes with `retry_after`."""
        _check(faults)
        with self._lock:
            self._planned.extend(faults)
            self.retry_after = retry_after

    def chance(self, chances: Mapping[str, float], seed: int = 0) -> None:
        """From now on answer with each fault at its probability, the same order of faults for the same seed."""
        _check(chances)
        with self._lock:
            self._chances = dict(chances)
            self._random.seed(seed)

    def take(self) -> str | None:
        """The fault of the next request, or `None`."""
        with self._lock:
            if self._planned:
                return None if (fault := self._planned.popleft()) == "ok" else fault
            luck = self._random.random()
            for fault, probability in self._chances.items():
                luck -= probability
                if luck < 0:
                    return fault
            return None


def _check(faults: Mapping[str, float] | tuple[str, ...]) -> None:
    if unknown := [fault for fault in faults if fault not in FAULTS]:
        raise ValueError(f"{unknown[0]!r} is not a fault. Known: {', '.join(FAULTS)}.")
