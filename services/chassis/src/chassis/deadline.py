"""The time that the work at hand may still take; everything that waits asks here."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

_end: ContextVar[float] = ContextVar("deadline", default=math.inf)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Allow what runs inside that many seconds, or less where less is left; also a decorator."""
    token = _end.set(min(_end.get(), monotonic() + seconds))
    try:
        yield
    finally:
        _end.reset(token)


def remaining_s() -> float:
    """The seconds left, 0.0 when there are none, infinite outside of any `within`."""
    return max(0.0, _end.get() - monotonic())
