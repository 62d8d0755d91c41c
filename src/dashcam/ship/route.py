"""Brings one route's events to its backend: batches, retries, dead letters, and the account of it."""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path

from dashcam import machine
from dashcam.event import EncodedEvent, format_time
from dashcam.ship.batch import Backend, Batch
from dashcam.ship.clips.collector import ClipCollector
from dashcam.ship.delivery import Backoff, Delivery, Outcome, batches
from dashcam.ship.reading.batch_queue import PendingBatch
from dashcam.ship.reading.cursor import FINAL_CHECK_S, MAX_OPEN, SpoolCursor
from dashcam.ship.reading.statements import Statements
from dashcam.ship.state.checkpoint import Ahead, CheckpointFile, SegmentOffset, Trouble
from dashcam.ship.state.dead_letters import DeadLetters
from dashcam.statement import is_statement

POLL_S = 0.05  # between two looks at a spool that had something new a moment ago
MAX_POLL_S = 0.5  # between two looks at one that has been quiet for long
MAX_SILENCE_S = 20.0  # the loop turns many times a second; a busy machine may need seconds for one turn
SETTLE_S = 12.0  # a shipper that is to stop has 15 s in all
MAX_DISK_PAUSE_S = 5.0  # between two tries where a file of ours is in the way

_log = logging.getLogger("dashcam.ship")


class Route:
    """One backend and its way through the spool; `run` works until `stopping` is set.

    After it, `is_hung` says that a thread still waits for an answer. `max_open` segments are kept open. A route that
    `is_audited` sends a statement of each segment, too.
    """

    def __init__(  # noqa: PLR0913 — its parts
        self,
        name: str,
        backend: Backend,
        folder: Path,
        file: CheckpointFile,
        stopping: machine.Event,
        *,
        clips: ClipCollector | None = None,
    ) -> None:
        self.name = name
        self.file = file
        self.is_hung = False
        self.max_open = MAX_OPEN
        self.is_audited = False
        self.obstacles: dict[Path, str] = {}
        self._turned_at_s = machine.monotonic()
        self._backend = backend
        self._folder = folder
        self._stopping = stopping
        self._clips = clips
        self._delivery = Delivery(name, backend, DeadLetters(folder / "dead-letters", name), stopping, self._report)
        self._dealt_with = file.checkpoint.ahead
        self._under_way: deque[PendingBatch] = deque()
        self._settling = machine.Lock()
        self._fault: BaseException | None = None
        self._is_disk_in_trouble = False

    def run(self, *, is_drain: bool = False) -> None:
        """Ship until stopped; with `is_drain`, until nothing is left."""
        limits = self._backend.limits
        pool = machine.ThreadPoolExecutor(limits.in_flight, f"ship-{self.name}")
        cursor = SpoolCursor(
            self._folder / "spool",
            self.file.checkpoint.marks,
            max_open=self.max_open,
            final_check_s=0.0 if is_drain else FINAL_CHECK_S,
            clips=self._clips,
            statements=Statements(self.file) if self.is_audited else None,
        )
        with closing(self._backend), closing(cursor), closing(self._clips) if self._clips else nullcontext():
            try:
                self._work(cursor, pool, is_drain=is_drain)
                # Answers under way are waited for, but not a backend that hangs: those batches are sent again.
                deliveries = [batch.delivery for batch in list(self._under_way)]
                self.is_hung = bool(machine.wait(deliveries, SETTLE_S).not_done)
                if self.is_hung:
                    _log.warning("%s: no answer within %.0f s; nothing is lost, it is sent again", self.name, SETTLE_S)
                self._try_to_save()
            except BaseException:
                self._stopping.set()  # ends deliveries under way; a backend that hangs is not waited for
                pool.shutdown(wait=False)
                raise
            pool.shutdown(wait=not self.is_hung)

    def is_turning(self) -> bool:
        """Return whether the loop came around a moment ago: it hangs otherwise, or has not begun."""
        return machine.monotonic() - self._turned_at_s < MAX_SILENCE_S

    def _work(self, cursor: SpoolCursor, pool: machine.ThreadPoolExecutor, *, is_drain: bool) -> None:
        limits = self._backend.limits
        disk, quiet_s = Backoff(MAX_DISK_PAUSE_S), 0.0
        while not self._stopping.is_set():
            self._turned_at_s = machine.monotonic()
            if self._fault:
                raise self._fault
            try:
                self.file.save()
                is_asked = len(self._under_way) < limits.in_flight
                batch = cursor.next_batch(limits) if is_asked else None
            except OSError as fault:
                # Send nothing more until the answers so far can be saved.
                pause_s = disk.next_s()
                reason = f"{fault.filename or self._folder}: {fault.strerror or fault}"
                _log.warning("%s: %s; nothing is lost, next try in %.1f s", self.name, reason, pause_s)
                self._is_disk_in_trouble = True
                self._report(reason)
                self._stopping.wait(pause_s)
                continue
            if self._is_disk_in_trouble:
                self._is_disk_in_trouble, disk = False, Backoff(MAX_DISK_PAUSE_S)
                self._report(None)
            self._note_obstacles(cursor.obstacles)
            if self._clips:
                self._announce(self._clips, pool)
            if batch:
                quiet_s = 0.0
                self._send(batch, pool)
            elif futures := [batch.delivery for batch in list(self._under_way) if not batch.delivery.done()]:
                machine.wait(futures, POLL_S, "FIRST_COMPLETED")
            elif not is_asked or (self._clips and self._clips.is_busy):
                continue  # the answer came just now, or clips are looked for
            elif is_drain:
                break
            else:
                quiet_s += POLL_S
                self._stopping.wait(min(max(POLL_S, quiet_s / 10), MAX_POLL_S))

    def _send(self, batch: PendingBatch, pool: machine.ThreadPoolExecutor) -> None:
        """Have a batch delivered, except for events that were delivered or dead-lettered before a restart."""
        waiting: Batch = batch.events
        if any(run.segment in self._dealt_with for run in batch.runs):
            pairs = zip(batch.events, batch.keys(), strict=True)
            waiting = [event for event, (key, number) in pairs if number not in self._dealt_with.get(key, ())]
        batch.left = len(waiting)
        with self._settling:
            self._under_way.append(batch)
            if not waiting:
                self._pass_finished(0, 0, {})
                return
        if batch.statements:
            # The link between statements is on the disk before they are sent, as far as the disk allows it.
            try:
                self.file.save()
                self.file.sync()
            except OSError as fault:
                _log.warning("%s: %s; after a power cut, dashcam audit may miss a statement", self.name, fault)
        batch.delivery = pool.submit(self._delivery.deliver, waiting, partial(self._settle, batch))
        batch.delivery.add_done_callback(self._keep_fault)

    def _announce(self, clips: ClipCollector, pool: machine.ThreadPoolExecutor) -> None:
        """Deliver the events that announce kept requests. They were not recorded, so the account leaves them out."""
        announced = {event.id: (clip_id, event) for clip_id, event in clips.announcements()}

        def settle(events: Sequence[EncodedEvent], *_: int) -> None:
            for event in events:
                clips.mark_announced(announced[event.id][0])

        for batch in batches([event for _, event in announced.values()], self._backend.limits):
            pool.submit(self._delivery.deliver, batch, settle).add_done_callback(self._keep_fault)

    def _keep_fault(self, future: Future[Outcome]) -> None:
        self._fault = self._fault or future.exception()

    def _settle(self, batch: PendingBatch, events: Sequence[EncodedEvent], delivered: int, dead: int) -> None:
        """Count events that are delivered or dead-lettered; save that before returning, if the disk allows it."""
        if batch.statements:
            is_whole = len(events) == len(batch.events)
            delivered -= batch.statements if is_whole else sum(is_statement(event.id) for event in events)
        own = batch.kept
        with self._settling:
            batch.left -= len(events)
            is_first = batch.left == 0 and self._under_way[0] is batch
            ahead, kept = batch.numbers_of(events) if own or not is_first else {}, dict[str, list[int]]()
            if own:
                kept = {key: [number for number in ahead[key] if (key, number) in own] for key in ahead}
                ahead = {key: [number for number in ahead[key] if (key, number) not in own] for key in ahead}
            if is_first:
                self._pass_finished(delivered, dead, kept)
                return
            self.file.change(delivered=delivered, dead=dead, ahead=ahead, kept=kept)
            self._try_to_save()

    def _pass_finished(self, delivered: int, dead: int, kept: Ahead) -> None:
        """Move the offsets behind the oldest batches, as far as these are dealt with."""
        marks: dict[str, SegmentOffset] = {}
        damaged = 0
        while self._under_way and self._under_way[0].left == 0:
            batch = self._under_way.popleft()
            marks |= batch.marks
            damaged += batch.damaged
        if damaged:
            _log.warning(
                "%s: %d damaged places in the spool skipped; dashcam repair looks for more", self.name, damaged
            )
        self.file.change(marks, delivered=delivered, dead=dead, damaged=damaged, kept=kept)
        self._try_to_save()

    def _note_obstacles(self, obstacles: Mapping[Path, str]) -> None:
        self.obstacles = dict(obstacles)
        for path, reason in obstacles.items():
            _log.warning("%s: %s cannot be read: %s", self.name, path, reason)

    def _report(self, reason: str | None) -> None:
        trouble = self.file.trouble
        if reason is None:
            if trouble and not self._is_disk_in_trouble:
                _log.info("%s: ships again; the trouble began at %s", self.name, trouble.since)
                self.file.set_trouble(None)
                self._try_to_save()
        elif trouble is None or trouble.reason != reason:
            self.file.set_trouble(Trouble(trouble.since if trouble else format_time(machine.time_ns()), reason))
            self._try_to_save()

    def _try_to_save(self) -> None:
        """Save; unsaved changes stay in memory, and the next batch tries again."""
        try:
            self.file.save()
        except OSError as fault:
            _log.warning("%s: %s", self.name, fault)
