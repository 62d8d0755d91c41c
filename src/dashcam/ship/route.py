"""Brings one route's events to its backend: batches, retries, dead letters, and the account of it."""

import logging
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from dashcam.event import format_time
from dashcam.ship import checkpoint
from dashcam.ship.batch import Backend
from dashcam.ship.checkpoint import Checkpoint, Trouble
from dashcam.ship.cursor import PendingBatch, SpoolCursor
from dashcam.ship.dead_letters import DeadLetters
from dashcam.ship.delivery import Delivery, Outcome
from dashcam.spool.reader import segment_ids

POLL_S = 0.05  # between two looks at a spool that had nothing new
SETTLE_S = 12.0  # a shipper that is to stop has 15 s in all

UnderWay = deque[tuple[PendingBatch, Future[Outcome]]]

_log = logging.getLogger("dashcam.ship")


class Route:
    """One backend and its way through the spool; `run` works until `stopping` is set.

    `is_hung` tells after it that a thread still waits for an answer; `turned_at_s`, on the monotonic clock, when its
    loop came around last.
    """

    def __init__(
        self, name: str, backend: Backend, folder: Path, progress: Checkpoint, stopping: threading.Event
    ) -> None:
        self.name = name
        self.progress = progress
        self._backend = backend
        self._folder = folder
        self._stopping = stopping
        self._delivery = Delivery(name, backend, DeadLetters(folder / "dead-letters", name), stopping, self._report)
        self.is_hung = False
        self.turned_at_s = time.monotonic()
        self._trouble: Trouble | None = None
        self._saving = threading.Lock()

    def run(self, *, is_drain: bool = False) -> None:
        """Ship what comes; with `is_drain`, what there is, and return."""
        cursor = SpoolCursor(self._folder / "spool", self.progress.marks)
        limits = self._backend.limits
        pool = ThreadPoolExecutor(limits.in_flight, f"ship-{self.name}")
        under_way: UnderWay = deque()
        while not self._stopping.is_set():
            self.turned_at_s = time.monotonic()
            if len(under_way) < limits.in_flight and (batch := cursor.next_batch(limits)):
                under_way.append((batch, pool.submit(self._deliver, batch)))
            elif under_way:
                self._settle(under_way, POLL_S)
            elif is_drain:
                break
            else:
                self._stopping.wait(POLL_S)
        self._stop(under_way)
        pool.shutdown(wait=not self.is_hung)
        cursor.close()
        self._backend.close()
        self._save(is_synced=True)

    def _stop(self, under_way: UnderWay) -> None:
        """Wait for the answers under way, but not for a backend that hangs: those batches are sent again."""
        wait([future for _, future in under_way], SETTLE_S)
        while under_way and under_way[0][1].done():
            self._settle(under_way)
        self.is_hung = bool(under_way)
        if self.is_hung:
            _log.warning("%s: no answer within %.0f s; nothing is lost, it is sent again", self.name, SETTLE_S)
            self._break_off(under_way)

    def _deliver(self, batch: PendingBatch) -> Outcome:
        ahead = self.progress.ahead
        return self._delivery.deliver([line for line in batch.lines if line.id not in ahead] if ahead else batch.lines)

    def _settle(self, under_way: UnderWay, timeout_s: float | None = None) -> None:
        """Take the oldest batch into the account, once it is dealt with."""
        if not wait([under_way[0][1]], timeout_s).done:
            return
        if under_way[0][1].result().rest:
            self._break_off(under_way)
            return
        batch, future = under_way.popleft()
        outcome = future.result()
        if batch.damaged:
            _log.warning("%s: %d damaged places in the spool skipped", self.name, batch.damaged)
        self.progress = self.progress.advanced(batch.marks, outcome.delivered, outcome.dead, batch.damaged)
        if self.progress.ahead:
            self.progress = replace(self.progress, ahead=self.progress.ahead - {line.id for line in batch.lines})
        if any(mark.is_done for mark in batch.marks.values()):
            self.progress = self.progress.within(segment_ids(self._folder / "spool"))
        self._save()

    def _break_off(self, under_way: UnderWay) -> None:
        """Remember what is done of batches that cannot move the position: who goes on from there leaves it out."""
        ahead = set(self.progress.ahead)
        for batch, future in under_way:
            if future.done():
                outcome = future.result()
                ahead |= {line.id for line in batch.lines} - {line.id for line in outcome.rest}
                self.progress = self.progress.advanced({}, outcome.delivered, outcome.dead, 0)
        self.progress = replace(self.progress, ahead=frozenset(ahead))
        under_way.clear()

    def _report(self, reason: str | None) -> None:
        if reason is None:
            if self._trouble:
                _log.info("%s: goes on; the trouble began at %s", self.name, self._trouble.since)
                self._trouble = None
        elif self._trouble is None or self._trouble.reason != reason:
            since = self._trouble.since if self._trouble else format_time(time.time_ns())
            self._trouble = Trouble(since, reason)
            self._save()

    def _save(self, *, is_synced: bool = False) -> None:
        with self._saving:
            account = replace(self.progress, trouble=self._trouble)
            checkpoint.save(self._folder / "positions", self.name, account, is_synced=is_synced)
