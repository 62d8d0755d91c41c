"""The shipper's own log, on standard error; never through the recorder."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from dashcam import machine

QUIET_S = 20.0  # between two equal messages


class RateLimitFilter(logging.Filter):
    """Lets one message through at most once in 20 s, however often it comes."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}  # the one that was let through longest ago comes first

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log it now."""
        now = machine.monotonic()
        text = record.msg % tuple(0.0 if isinstance(arg, float) else arg for arg in record.args or ())
        while self._last and now - self._last[first := next(iter(self._last))] >= QUIET_S:
            del self._last[first]
        is_due = text not in self._last
        if is_due:
            self._last[text] = now
        return is_due


@contextmanager
def logged_to_stderr(level: int = logging.INFO, formatter: logging.Formatter | None = None) -> Iterator[None]:
    """Send the shipper's log to standard error while the command runs."""
    log = logging.getLogger("dashcam.ship")
    level_before, propagates_before = log.level, log.propagate
    handler = logging.StreamHandler()
    handler.setFormatter(formatter or logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    handler.addFilter(RateLimitFilter())
    log.addHandler(handler)
    log.setLevel(level)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level_before)
        log.propagate = propagates_before
