"""A machine in one thread: writers, a shipper, hostile backends, kills, power cuts and faults, drawn from a seed."""

import json
import random
import threading

import orjson

from dashcam.errors import BackendUnavailable, BatchRejected
from dashcam.ship.batch import Limits, PartialResult
from dashcam.ship.checkpoint import CheckpointFile, hand_over
from dashcam.ship.dead_letters import DeadLetters, names_in
from dashcam.ship.housekeeping import Housekeeping
from dashcam.ship.route import Route
from dashcam.ship.stats import collect_stats, count_before
from dashcam.spool.segment import encode_header, new_segment_id, service_folder

from ..spool.spools import SHARED, SMALL, close_writers, log_line, start_line, write_to
from .faults import CALLS, ERRORS, Crash, Disk

STEPS = 12
SOON_S = 0.0005
BAD = 13  # every so many events are rejected for ever


class Hostile:
    """A destination that accepts, refuses, loses its answer, or is the last thing a shipper sees."""

    limits = Limits(events=20, bytes=100_000)

    def __init__(self, store, dice, is_hostile):
        self._store, self._dice, self._is_hostile = store, dice, is_hostile

    def ship(self, batch):
        """Answer by chance."""
        mood = (
            self._dice.choice(["well"] * 6 + ["down", "lost", "some", "kill", "killed"]) if self._is_hostile else "well"
        )
        if mood == "down":
            raise BackendUnavailable("down", SOON_S)
        if mood == "kill":
            raise Crash
        if any(number(event) % BAD == 0 for event in batch if number(event) is not None):
            raise BatchRejected("odd")
        part = batch[: len(batch) // 2] if mood == "some" else batch
        for event in part:
            self._store.setdefault(event.id, event.data)
        if mood == "lost":
            raise BackendUnavailable("the answer was lost", SOON_S)
        if mood == "killed":
            raise Crash
        return PartialResult(retry=range(len(part), len(batch))) if len(part) < len(batch) else None

    def close(self):
        """Nothing is open."""


def number(event):
    """The number of a line's event; `None` for one that the shipper made."""
    text = orjson.loads(event.data)["message"]
    return int(text) if text.isdecimal() else None


class World:
    """One run; `oracle` holds what came out against what went in."""

    def __init__(self, folder, seed):
        self.dice = random.Random(seed)
        self.disk = Disk(folder)
        self.store = {}
        self.trace = []
        self._folder = folder
        self._route = "one"
        self._written = 0
        self._durable = 0  # lines below this number outlive a power cut
        self._volatile = set()  # those that one may have taken
        self._writer = None

    def run(self):
        """Take the steps of the seed, then let all be well, and hold it against the oracle."""
        steps = [self._write] * 3 + [self._die, self._ship, self._ship, self._keep, self._switch, self._cut]
        for _ in range(STEPS):
            step = self.dice.choice(steps)
            self.trace.append(step.__name__)
            step()
        close_writers()
        self._attempt(None, is_hostile=False)
        self._attempt(None, is_hostile=False)
        self.check()

    def run_with(self, plan):
        """Record, have a shipper meet one fault, and then let all be well."""
        for _ in range(3):
            self._write()
        self._close()
        self._die()
        self._attempt(plan, is_hostile=False, limit_bytes=0)
        self._attempt(None, is_hostile=False)
        self.check()

    def _write(self):
        if self._writer is None:
            self._writer = write_to(self._folder / "spool", segment_bytes=SMALL)
        for _ in range(self.dice.randrange(1, 120)):
            self._writer.append(log_line(self._next()))
        if self.dice.random() < 0.3:
            self._close()

    def _close(self):
        if self._writer:
            self._writer.close()
            self._writer = None

    def _next(self):
        self._written += 1
        return self._written

    def _die(self):
        """A process that was killed: a segment without a seal or a lock, with an open request, perhaps half a line."""
        now_ns = 1_795_484_100_000_000_000 + self._written
        segment = new_segment_id(now_ns)
        folder = service_folder(self._folder / "spool", "here", "cars")
        folder.mkdir(parents=True, exist_ok=True)
        lines = [log_line(self._next()) for _ in range(self.dice.randrange(0, 40))]
        lines.insert(self.dice.randrange(len(lines) + 1), start_line(self._written, f"s{segment}"))
        data = encode_header(segment, 1, SHARED, now_ns) + b"".join(lines)
        data += log_line(0)[: self.dice.randrange(0, 30)]
        (folder / f"{segment}.segment").write_bytes(data.ljust(SMALL, b"\0"))

    def _ship(self):
        plan = self.dice.choice([None, self._plan(None), self._plan(self.dice.choice(ERRORS))])
        self._attempt(plan, is_hostile=True)

    def _plan(self, error):
        return self.dice.choice(CALLS), self.dice.randrange(1, 12), error, self.dice.random() < 0.5

    def _switch(self):
        self._route = "two" if self._route == "one" else "one"
        self._ship()

    def _keep(self):
        plan = self.dice.choice([None, self._plan(None), self._plan(self.dice.choice(ERRORS))])
        written = self._written
        if self._attempt(plan, is_hostile=True, limit_bytes=self.dice.choice([0, 10 * SMALL])):
            self._durable = written

    def _cut(self):
        """The machine loses its power, whatever was at work."""
        self._attempt(self._plan(None), is_hostile=True)
        self._volatile |= set(range(self._durable + 1, self._written + 1))
        writer, self._writer = self._writer, None
        self.disk.cut_power(self.dice)
        if writer:
            writer.close()  # of files that have no name any more
        self._durable = self._written

    def _attempt(self, plan, *, is_hostile, limit_bytes=None):
        """Run a shipper until it has nothing to do, or until its end; return whether a round of care was finished."""
        positions, files = self._folder / "positions", []
        try:
            with self.disk.watched(plan):
                counting = lambda marks: count_before(self._folder, marks)  # noqa: E731
                begun = hand_over(positions, [self._route], counting)[self._route]
                file = CheckpointFile(positions, self._route, begun)
                files.append(file)
                file.rewrite()
                stopping = threading.Event()
                backend = Hostile(self.store, self.dice, is_hostile)
                Route(self._route, backend, self._folder, file, stopping).run(is_drain=True)
                if limit_bytes is None:
                    return False
                keeper = Housekeeping(self._folder, limit_bytes, files, disk_bytes=lambda _: (1 << 40, 1 << 40))
                keeper.round()
                return not keeper.troubles
        except (Crash, OSError):
            return False
        finally:
            for file in files:
                file.close()

    def check(self):
        """Hold what came out against what went in."""
        stats = collect_stats(self._folder)
        share = stats.routes[self._route]
        told = f"{share} of {stats.recorded}"
        assert share.waiting == 0, told
        assert stats.recorded == share.earlier + share.delivered + share.dead + share.missing, told
        letters = {}
        for name in names_in(self._folder / "dead-letters"):
            for letter in DeadLetters(self._folder / "dead-letters", name).read():
                letters[letter.event.id] = letter.event.data
        seen = {}
        for id_, data in [*self.store.items(), *letters.items()]:
            text = json.loads(data)["message"]
            if text.isdecimal():
                assert seen.setdefault(int(text), id_) == id_, f"{text} has the IDs {seen[int(text)]} and {id_}"
        lost = set(range(1, self._written + 1)) - seen.keys() - self._volatile
        assert not lost, f"lost: {sorted(lost)[:10]}"
        assert not seen.keys() - set(range(1, self._written + 1)), "invented"
