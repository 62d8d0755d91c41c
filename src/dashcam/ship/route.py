"""Brings one route's events to its backend: batches, retries, dead letters, and the account of it."""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from dashcam.errors import Refused, Unavailable
from dashcam.event import Line, format_time
from dashcam.ship import positions
from dashcam.ship.batch import Backend, Batch, Undelivered
from dashcam.ship.dead_letters import DeadLetter, DeadLetters
from dashcam.ship.positions import Progress, Trouble
from dashcam.ship.tape import Cut, Tape
from dashcam.spool.reader import segment_ids

POLL_S = 0.05  # between two looks at a spool that had nothing new
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 25.0  # a token or certificate that was set right is in use within 30 s

_log = logging.getLogger("dashcam.ship")


class Outcome(NamedTuple):
    """What became of a batch; `is_whole` is false when the route was stopped before all of it was dealt with."""

    delivered: int
    dead: int
    is_whole: bool = True


class Route:
    """One backend and its way through the spool; `run` works until `stopping` is set."""

    def __init__(
        self, name: str, backend: Backend, folder: Path, progress: Progress, stopping: threading.Event
    ) -> None:
        self.name = name
        self.progress = progress
        self._backend = backend
        self._folder = folder
        self._stopping = stopping
        self._dead_letters = DeadLetters(folder / "dead-letters", name)
        self._trouble: Trouble | None = None
        self._saving = threading.Lock()

    def run(self, *, is_drain: bool = False) -> None:
        """Ship what comes; with `is_drain`, what there is, and return."""
        tape = Tape(self._folder / "spool", self.progress.marks)
        under_way: deque[tuple[Cut, Future[Outcome]]] = deque()
        limits = self._backend.limits
        with ThreadPoolExecutor(limits.in_flight, f"ship-{self.name}") as pool:
            while not self._stopping.is_set():
                if len(under_way) < limits.in_flight and (cut := tape.cut(limits)):
                    under_way.append((cut, pool.submit(self._deliver, cut.lines)))
                elif under_way:
                    self._settle(under_way)
                elif is_drain:
                    break
                else:
                    self._stopping.wait(POLL_S)
            while under_way:
                self._settle(under_way)
        tape.close()
        self._backend.close()
        self._save(is_synced=True)

    def _settle(self, under_way: "deque[tuple[Cut, Future[Outcome]]]") -> None:
        """Wait for the oldest batch and take it into the account; a later one alone cannot move the position."""
        cut, future = under_way[0]
        outcome = future.result()
        if not outcome.is_whole:
            under_way.clear()
            return
        under_way.popleft()
        if cut.damaged:
            _log.warning("%s: %d damaged places in the spool skipped", self.name, cut.damaged)
        self.progress = self.progress.advanced(cut.marks, outcome.delivered, outcome.dead, cut.damaged)
        if any(mark.is_done for mark in cut.marks.values()):
            self.progress = self.progress.within(segment_ids(self._folder / "spool"))
        self._save()

    def _deliver(self, batch: Batch) -> Outcome:
        """Send a batch until every event of it is delivered or dead-lettered, or the route is stopped."""
        delivered = dead = 0
        waiting = deque([list(batch)] if batch else [])
        pause = _Pause()
        while waiting and not self._stopping.is_set():
            part = waiting.popleft()
            try:
                rest = self._attempt(part)
            except Unavailable as trouble:
                waiting.appendleft(part)
                self._wait(pause.next(trouble.retry_after_s), str(trouble))
                continue
            except Refused:
                middle = len(part) // 2
                waiting.extendleft([part[middle:], part[:middle]])
                continue
            delivered += len(part) - len(rest.refused) - len(rest.again)
            dead += len(rest.refused)
            if rest.again:
                waiting.appendleft([part[place] for place in rest.again])
                self._wait(pause.next(None), f"{len(rest.again)} of {len(part)} events not taken yet")
            else:
                pause = _Pause()
                self._recovered()
        return Outcome(delivered, dead, is_whole=not waiting)

    def _attempt(self, part: Batch) -> Undelivered:
        """Send once; an event that is refused by itself is in the dead letters when this returns."""
        try:
            rest = self._backend.ship(part) or Undelivered()
            self._bury([(part[place], reason) for place, reason in rest.refused.items()])
        except Unavailable:
            raise
        except Refused as refusal:
            if len(part) > 1:
                raise
            self._bury([(part[0], str(refusal))])
            return Undelivered(refused={0: str(refusal)})
        except Exception as fault:
            # Whatever a backend trips over, the events are still in the spool, and the next try may be luckier.
            _log.exception("%s: unexpected", self.name)
            raise Unavailable(f"{type(fault).__name__}: {fault}") from fault
        return rest

    def _bury(self, refused: list[tuple[Line, str]]) -> None:
        if refused:
            now = format_time(time.time_ns())
            try:
                self._dead_letters.add(DeadLetter(now, reason, line) for line, reason in refused)
            except OSError as fault:
                raise Unavailable(f"{self._dead_letters.path} cannot be written: {fault}") from fault
            _log.warning("%s: %d events to %s: %s", self.name, len(refused), self._dead_letters.path, refused[0][1])

    def _wait(self, pause_s: float, reason: str) -> None:
        _log.warning("%s: %s; nothing is lost, next try in %.1f s", self.name, reason, pause_s)
        if self._trouble is None or self._trouble.reason != reason:
            since = self._trouble.since if self._trouble else format_time(time.time_ns())
            self._trouble = Trouble(since, reason)
            self._save()
        self._stopping.wait(pause_s)

    def _save(self, *, is_synced: bool = False) -> None:
        with self._saving:
            account = replace(self.progress, trouble=self._trouble)
            positions.save(self._folder / "positions", self.name, account, is_synced=is_synced)

    def _recovered(self) -> None:
        if self._trouble:
            _log.info("%s: goes on; the trouble began at %s", self.name, self._trouble.since)
            self._trouble = None


class _Pause:
    """Ever longer pauses with jitter, so that many shippers do not come back at once."""

    def __init__(self, randomly: Callable[[float, float], float] = random.uniform) -> None:
        self._longest_s = FIRST_PAUSE_S
        self._randomly = randomly

    def next(self, retry_after_s: float | None) -> float:
        """Seconds to wait: what the destination asked for, or between half and all of a bound that doubles."""
        bound_s, self._longest_s = self._longest_s, min(LONGEST_PAUSE_S, self._longest_s * 2)
        return min(LONGEST_PAUSE_S, retry_after_s) if retry_after_s else self._randomly(bound_s / 2, bound_s)
