"""Looks for verdicts of other hosts: events in the store of a route that say which requests were kept there."""

import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple

from dashcam import machine
from dashcam.errors import DashcamError
from dashcam.event import NS_PER_S
from dashcam.ship.clips.collector import ClipCollector

OVERLAP_NS = 60 * NS_PER_S  # looked at again: stores take a while, and clocks of hosts differ

_log = logging.getLogger("dashcam.ship")


class Search(NamedTuple):
    """A way to search: `kept` gives the requests that were kept since a time, and why; it is asked at such pauses."""

    kept: Callable[[int], Iterable[tuple[str, str]]]
    pause_s: float = 3.0


def follow_verdicts(search: Search, clips: ClipCollector, hold_s: float, is_over: machine.Event) -> None:
    """Pass verdicts of other hosts to a route's clips until `is_over`; a store that does not answer is asked again."""
    since_ns = machine.time_ns() - int(hold_s * NS_PER_S)
    while not is_over.is_set():
        began_ns = machine.time_ns()
        try:
            for request, reason in search.kept(since_ns):
                clips.add_remote_verdict(request, reason)
            since_ns = began_ns - OVERLAP_NS
        except DashcamError as fault:
            _log.warning("verdicts of other hosts: %s; it tries again", fault)
        is_over.wait(search.pause_s)
