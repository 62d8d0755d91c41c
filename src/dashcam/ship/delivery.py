"""Gets a batch across: sent until every event of it is delivered or dead-lettered, or until it is told to stop."""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from dashcam.errors import BackendUnavailable, BatchRejected
from dashcam.event import EncodedEvent, format_time
from dashcam.ship.batch import Backend, Batch, Limits, PartialResult
from dashcam.ship.dead_letters import DeadLetter, DeadLetters

FIRST_PAUSE_S = 0.1
MAX_PAUSE_S = 25.0  # a token or certificate that was set right is in use within 30 s

_log = logging.getLogger("dashcam.ship")


class Outcome(NamedTuple):
    """What became of a batch; `rest` are the events that are neither, because it was told to stop."""

    delivered: int
    dead: int
    rest: Sequence[EncodedEvent] = ()


class Delivery:
    """The way of batches to one backend; `deliver` may run in several threads at once.

    `report` is called with what is in the way, before each pause, and with `None` after each success.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        dead_letters: DeadLetters,
        stopping: threading.Event,
        report: Callable[[str | None], None],
    ) -> None:
        self._name = name
        self._backend = backend
        self._dead_letters = dead_letters
        self._stopping = stopping
        self._report = report

    def deliver(self, batch: Batch) -> Outcome:
        """Send a batch until every event of it is delivered or dead-lettered, or it is told to stop."""
        delivered = dead = 0
        waiting = deque([list(batch)] if batch else [])
        pause = _Backoff()
        while waiting and not self._stopping.is_set():
            part = waiting.popleft()
            try:
                rest = self._attempt(part)
            except BackendUnavailable as trouble:
                waiting.appendleft(part)
                self._wait(pause.next(trouble.retry_after_s), str(trouble))
                continue
            except BatchRejected:
                middle = len(part) // 2
                waiting.extendleft([part[middle:], part[:middle]])
                continue
            delivered += len(part) - len(rest.rejected) - len(rest.retry)
            dead += len(rest.rejected)
            if rest.retry:
                waiting.appendleft([part[place] for place in rest.retry])
                self._wait(pause.next(None), f"{len(rest.retry)} of {len(part)} events not taken yet")
            else:
                pause = _Backoff()
                self._report(None)
        return Outcome(delivered, dead, [line for part in waiting for line in part])

    def _attempt(self, part: Batch) -> PartialResult:
        """Send once; an event that is refused by itself is in the dead letters when this returns."""
        try:
            rest = self._backend.ship(part) or PartialResult()
            self._dead_letter([(part[place], reason) for place, reason in rest.rejected.items()])
        except BackendUnavailable:
            raise
        except BatchRejected as refusal:
            if len(part) > 1:
                raise
            self._dead_letter([(part[0], str(refusal))])
            return PartialResult(rejected={0: str(refusal)})
        except Exception as fault:
            # Whatever a backend trips over, the events are still in the spool, and the next try may be luckier.
            _log.exception("%s: unexpected", self._name)
            raise BackendUnavailable(f"{type(fault).__name__}: {fault}") from fault
        return rest

    def _dead_letter(self, refused: list[tuple[EncodedEvent, str]]) -> None:
        if refused:
            now = format_time(time.time_ns())
            try:
                self._dead_letters.add(DeadLetter(now, reason, line) for line, reason in refused)
            except OSError as fault:
                raise BackendUnavailable(f"{self._dead_letters.path} cannot be written: {fault}") from fault
            _log.warning("%s: %d events to %s: %s", self._name, len(refused), self._dead_letters.path, refused[0][1])

    def _wait(self, pause_s: float, reason: str) -> None:
        _log.warning("%s: %s; nothing is lost, next try in %.1f s", self._name, reason, pause_s)
        self._report(reason)
        self._stopping.wait(pause_s)


def batches(lines: Iterable[EncodedEvent], limits: Limits) -> Iterator[list[EncodedEvent]]:
    """Lines in batches that keep to the limits; one that is too long for them is a batch of its own."""
    batch: list[EncodedEvent] = []
    room = limits.bytes
    for line in lines:
        room -= len(line.data) + 1
        if batch and (room < 0 or len(batch) == limits.events):
            yield batch
            batch, room = [], limits.bytes - len(line.data) - 1
        batch.append(line)
    if batch:
        yield batch


class _Backoff:
    """Ever longer pauses with jitter, so that many shippers do not come back at once."""

    def __init__(self, randomly: Callable[[float, float], float] = random.uniform) -> None:
        self._longest_s = FIRST_PAUSE_S
        self._randomly = randomly

    def next(self, retry_after_s: float | None) -> float:
        """Seconds to wait: what the destination asked for, or between half and all of a bound that doubles."""
        bound_s, self._longest_s = self._longest_s, min(MAX_PAUSE_S, self._longest_s * 2)
        return min(MAX_PAUSE_S, retry_after_s) if retry_after_s else self._randomly(bound_s / 2, bound_s)
