"""Checks of each hop on the way of an event to its backend and back, in order, up to the first that is broken."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from dashcam.errors import DashcamError


class Broken(DashcamError):
    """A hop that does not work: the text says what was seen, `fix` what to do.

    >>> raise Broken("the printer has no paper", "Put some in.")
    Traceback (most recent call last):
    dashcam.destinations.checks.Broken: the printer has no paper
    """

    def __init__(self, seen: str, fix: str = "") -> None:
        super().__init__(seen)
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Note:
    """A remark on a hop that works: `seen` says what is missing, `fix` what to do about it.

    >>> Check("printer sending", "ink", lambda: Note("the ink is nearly used up", "Order some.")).look().fix
    'Order some.'
    """

    seen: str
    fix: str


@dataclass(frozen=True, slots=True)
class Check:
    """One step of a way: `look` gives what was seen, maybe with a fix, or raises `DashcamError`, best `Broken`.

    >>> [finding.seen for finding in examine([Check("printer sending", "paper", lambda: "there is paper")])]
    ['there is paper']
    """

    way: str
    name: str
    look: Callable[[], str | Note]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check, and the seconds it took."""

    way: str
    hop: str
    is_well: bool
    seen: str
    fix: str
    took_s: float


def examine(hops: Iterable[Check]) -> Iterator[Finding]:
    """Yield the finding of each check, up to and with the first that is broken: later ones can say nothing."""
    for hop in hops:
        began_s = time.monotonic()
        try:
            look = hop.look()
            seen, fix = (look.seen, look.fix) if isinstance(look, Note) else (look, "")
            is_well = True
        except DashcamError as fault:
            seen, fix, is_well = str(fault), getattr(fault, "fix", ""), False
        yield Finding(hop.way, hop.name, is_well, seen, fix, time.monotonic() - began_s)
        if not is_well:
            return
