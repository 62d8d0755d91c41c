"""Gets a batch across: sent until every event of it is delivered or dead-lettered, or until the shipper stops."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import orjson

from dashcam import machine
from dashcam.errors import BackendUnavailable, BatchRejected
from dashcam.event import EncodedEvent, format_time
from dashcam.ship.batch import Backend, Batch, Limits, PartialResult
from dashcam.ship.state.dead_letters import DeadLetter, DeadLetters
from dashcam.statement import is_statement

FIRST_PAUSE_S = 0.1
MAX_PAUSE_S = 25.0  # a token or certificate that was set right is in use within 30 s
RECOVERY_CHECK_S = 1.0  # the batches under way pass in their order: none waits for long when another got across

Settled = Callable[[Sequence[EncodedEvent], int, int], None]

_log = logging.getLogger("dashcam.ship")


class Outcome(NamedTuple):
    """The events of a batch that were delivered and dead-lettered; `rest` are neither, because of a stop."""

    delivered: int
    dead: int
    rest: Sequence[EncodedEvent] = ()


class Delivery:
    """The way of batches to one backend; `deliver` may run in several threads at once.

    `report` is called with the reason before each pause, and with `None` after each success.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        dead_letters: DeadLetters,
        stopping: machine.Event,
        report: Callable[[str | None], None],
    ) -> None:
        self._name = name
        self._backend = backend
        self._dead_letters = dead_letters
        self._stopping = stopping
        self._report = report
        self._successes = 0

    def deliver(self, batch: Batch, settled: Settled = lambda *_: None) -> Outcome:
        """Send a batch until every event of it is delivered or dead-lettered, or the shipper stops.

        `settled` is called as soon as events are dealt with: with them, and how many were delivered and dead-lettered.
        """
        delivered = dead = 0
        waiting = deque([batch] if batch else [])
        backoff = Backoff()
        while waiting and not self._stopping.is_set():
            part = waiting.popleft()
            try:
                rest = self._attempt(part)
            except BackendUnavailable as trouble:
                waiting.appendleft(part)
                pause_s = backoff.next_s(trouble.retry_after_s)
                self._wait(pause_s, str(trouble), is_asked_for=bool(trouble.retry_after_s))
                continue
            except BatchRejected:
                middle = len(part) // 2
                waiting.extendleft([part[middle:], part[:middle]])
                continue
            again = set(rest.retry)
            counts = len(part) - len(rest.rejected) - len(again), len(rest.rejected)
            self._successes += 1
            settled([event for index, event in enumerate(part) if index not in again] if again else part, *counts)
            delivered, dead = delivered + counts[0], dead + counts[1]
            if again:
                waiting.appendleft([part[index] for index in rest.retry])
                pause_s = backoff.next_s(None)
                self._wait(pause_s, f"{len(again)} of {len(part)} events not accepted yet", is_asked_for=True)
            else:
                backoff = Backoff()
                self._report(None)
        return Outcome(delivered, dead, [event for part in waiting for event in part])

    def _attempt(self, part: Batch) -> PartialResult:
        """Send once; an event that is rejected by itself is in the dead letters when this returns."""
        try:
            return self._with_letters(part, self._backend.ship(part) or PartialResult())
        except BackendUnavailable:
            raise
        except BatchRejected as rejection:
            if len(part) > 1:
                raise
            return PartialResult(rejected=self._dead_letter(part, {0: str(rejection)}))
        except Exception as fault:
            # The events are still in the spool, and the next try may succeed, unless damage in the spool made one of
            # them unreadable.
            _log.exception("%s: unexpected", self._name)
            if not all(map(_is_object, part)):
                damaged = {
                    index: "damaged: not a JSON object" for index, event in enumerate(part) if not _is_object(event)
                }
                self._dead_letter(part, damaged)
                return PartialResult([index for index in range(len(part)) if index not in damaged], damaged)
            raise BackendUnavailable(f"{type(fault).__name__}: {fault}") from fault

    def _with_letters(self, part: Batch, answer: PartialResult) -> PartialResult:
        """Return an answer whose rejected events are dead letters; where these cannot be kept, the events come again.

        The others of the batch are delivered, and do not.
        """
        try:
            return PartialResult(answer.retry, self._dead_letter(part, answer.rejected))
        except BackendUnavailable as trouble:
            if len(answer.rejected) + len(answer.retry) == len(part):
                raise
            _log.warning("%s: %s", self._name, trouble)
            return PartialResult(sorted({*answer.retry, *answer.rejected}))

    def _dead_letter(self, part: Batch, rejected: Mapping[int, str]) -> Mapping[int, str]:
        """Keep rejected events as letters, and return them. Statements are only logged: the account leaves them out."""
        for index in [index for index in rejected if is_statement(part[index].id)]:
            _log.error(
                "%s: %s: dashcam audit will miss this statement: %s", self._name, part[index].id, rejected[index]
            )
        letters = {index: reason for index, reason in rejected.items() if not is_statement(part[index].id)}
        if letters:
            now = format_time(machine.time_ns())
            try:
                self._dead_letters.add(DeadLetter(now, reason, part[index]) for index, reason in letters.items())
            except OSError as fault:
                raise BackendUnavailable(f"{self._dead_letters.path} cannot be written: {fault}") from fault
            count, path = len(letters), self._dead_letters.path
            _log.warning("%s: %d events to %s: %s", self._name, count, path, next(iter(letters.values())))
        return letters

    def _wait(self, pause_s: float, reason: str, *, is_asked_for: bool) -> None:
        """Wait before the next try; a pause that the destination did not ask for ends soon after any success."""
        _log.warning("%s: %s; nothing is lost, next try in %.1f s", self._name, reason, pause_s)
        self._report(reason)
        until_s, successes = machine.monotonic() + pause_s, self._successes
        while (left_s := until_s - machine.monotonic()) > 0 and (is_asked_for or self._successes == successes):
            if self._stopping.wait(left_s if is_asked_for else min(left_s, RECOVERY_CHECK_S)):
                return


def batches(events: Iterable[EncodedEvent], limits: Limits) -> Iterator[list[EncodedEvent]]:
    """Yield events in batches that keep to the limits; one that is too long for them is a batch of its own."""
    batch: list[EncodedEvent] = []
    room = limits.bytes
    for event in events:
        room -= len(event.data) + 1
        if batch and (room < 0 or len(batch) == limits.events):
            yield batch
            batch, room = [], limits.bytes - len(event.data) - 1
        batch.append(event)
    if batch:
        yield batch


def _is_object(event: EncodedEvent) -> bool:
    try:
        return isinstance(orjson.loads(event.data), dict)
    except ValueError:
        return False


class Backoff:
    """Ever longer pauses with jitter, so that many shippers do not come back at once."""

    def __init__(self, max_s: float = MAX_PAUSE_S, randomly: Callable[[float, float], float] | None = None) -> None:
        self._max_s = max_s
        self._bound_s = FIRST_PAUSE_S
        self._randomly = randomly or machine.uniform

    def next_s(self, retry_after_s: float | None = None) -> float:
        """Return seconds to wait: the destination's own number, or between half and all of a bound that doubles."""
        bound_s, self._bound_s = self._bound_s, min(self._max_s, self._bound_s * 2)
        return min(self._max_s, retry_after_s) if retry_after_s else self._randomly(bound_s / 2, bound_s)
