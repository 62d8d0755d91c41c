"""One run: services, a shipper, an operator and all that can happen to them, drawn from a seed."""

import io
import logging
import os
import tempfile
from collections import Counter
from contextlib import ExitStack, closing, contextmanager, redirect_stderr, suppress
from pathlib import Path

import dashcam.machine
from dashcam.destinations.local.backend import DAY_NS, Bounds, Local
from dashcam.errors import DashcamError
from dashcam.settings import Settings
from dashcam.ship.delivery import Delivery, batches
from dashcam.ship.inspection.stats import collect_stats
from dashcam.ship.shipper import ship
from dashcam.ship.state.dead_letters import DeadLetters
from dashcam.spool.file import SegmentOptions
from dashcam.spool.segment import boot_id, service_folder
from dashcam.spool.writer import Writer

from ..spool.spools import SHARED, SMALL, log_line, span_line, start_line
from .backends import MOODS, WELL, Destination, Hostile, Wired
from .disk import BROKEN, ERRORS, FULL, READ_ONLY, Disk, Plan
from .machine import NS_PER_S, Machine, dice_of
from .network import SERVERS, Network, client_of
from .oracle import Oracle
from .points import POINTS
from .store import StoreDisk

SERVICES = ("cars", "parts")
ROUTES = (
    *(("one",), ("two",), ("local",), ("one", "local"), ("one", "two")),
    *(("elasticsearch",), ("loggly",), ("forward",), ("elasticsearch", "loggly"), ("one", "forward")),
)
SHARED_MEMORY = Path("/dev/shm")
LIVENESS_S = 90.0  # after the last fault all is delivered within so long
STOP_S = 16.0  # a shipper that is to stop ends within so long
MINUTES = {0.0: 1.5, 0.05: 1.5, 1.0: 5, 8.0: 20, 60.0: 120}  # of a run, by how late timers may be in it
LOCAL = Bounds(1 << 30, 30 * DAY_NS, 10_000)


class World:
    """The run of a seed; `points` are to be met as soon as they can be."""

    def __init__(self, seed, *, points=None, minutes=None):
        self.seed = seed
        self.dice = dice = dice_of(seed)
        self.points = points if points is not None else dice.sample(POINTS, 2)
        slack_s = dice.choice(list(MINUTES))
        self.machine = Machine(dice, slack_s)
        self.minutes = minutes or MINUTES[slack_s]
        self.destinations = {name: Destination(name) for name in ("one", "two", "local", *SERVERS)}
        self.network = Network(self.machine)
        for name, kind in SERVERS.items():
            self.network.add(kind, self.destinations[name])
        self.machine.connect = self.network.connect
        self.routes = dice.choice(ROUTES)
        self.faults = Counter()
        self.trace = []
        self.shipper = self.replay = self.rival = None
        self.is_clock_set = self.is_over = False
        self.is_powered = True
        self._is_switching = self._is_told_to_stop = False
        self._processes = []
        self._numbers = 0
        self._spool_limit = (12 if points else dice.choice([64, 64, 12])) * SMALL  # a small one has to be emptied
        self.oracle = Oracle(self)

    # The frame of a run.

    def run(self):
        """Let it all happen, then let all be well, and hear the oracle."""
        with self._set_up():
            self._outside = self.machine.start("world")
            self._outside.is_outside = True
            for work in (self._power, self._fate, self._operator, self._shippers):
                self.machine.spawn(work, self._outside)
            for name in SERVICES:
                self.machine.spawn(lambda name=name: self._service(name), self._outside)
            self.machine.run(lambda: self.is_over)
            self._calm_down()
            self.oracle.judge()
        return self

    @contextmanager
    def _set_up(self):
        place = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        root = Path(tempfile.mkdtemp(prefix="simulation-", dir=place))
        self.folder = root / "disk" / "state"
        (root / "disk" / "tmp").mkdir(parents=True)
        self.disk = Disk(self.machine, root / "disk", self.cut, self._note)
        self.disk.preemption = self.dice.choice([0.0, 0.02, 0.2])
        self.disk.is_copying = self.dice.random() < 0.3
        self.disk.watched = {(point.call, point.kind) for point in self.points}
        with ExitStack() as stack:
            stack.callback(root.rmdir)
            stack.callback(self.disk.remove)
            stack.enter_context(_variable("TMPDIR", str(root / "disk" / "tmp")))
            stack.enter_context(redirect_stderr(io.StringIO()))
            stack.enter_context(_silent("dashcam.ship"))
            stack.callback(boot_id.cache_clear)
            boot_id.cache_clear()
            for each in (self.machine, self.disk, StoreDisk(self.disk), self.network):
                stack.enter_context(each.installed())
            stack.callback(self._release_all)
            yield

    def _release_all(self):
        everybody = [self._outside, *self._processes]
        for process in everybody:
            self.machine.end(process)
        self.machine.run(lambda: all(process.is_gone() for process in everybody))
        for process in self._processes:
            self.disk.release(process)

    def _start(self, name, work):
        process = self.machine.start(name, work)
        if not self.is_powered:
            self.machine.end(process)
        self._processes = [each for each in self._processes if not each.is_gone()] + [process]
        return process

    def _await_end(self, process):
        self.machine.block(process.is_gone)
        self._release(process)

    def _release(self, process):
        """Close what a process that is gone had open, as the kernel does before anybody sees that it is gone."""
        if any(writer._unsealed for writer in process.writers):
            self.oracle.seal_has_failed()
        self.disk.release(process)

    def _await_power(self):
        self.machine.block(lambda: self.is_powered)

    def _note(self, call, kind, fault=None):
        """A call is made, or has failed; the points that have waited for this call become plans."""
        if fault is None:
            for point in self.points:
                if (point.call, point.kind) == (call, kind) and not self.disk.plans and point.holds(self):
                    self.points = [each for each in self.points if each is not point]
                    self.disk.plans.append(point.plan())
                    return
            return
        self.faults[fault] += 1
        self.trace.append((self.machine.now_ns, call, kind, fault))
        if fault == "kill":
            self.oracle.killed()
        else:
            self.oracle.excused()

    # The services.

    def _service(self, name):
        """Start a service again and again, whatever happens to its processes."""
        while not self.is_over:
            self._await_power()
            if self.is_over:  # meanwhile: nobody waits for what it would record
                return
            process = self._start(f"service {name}", lambda: self._serve(name))
            self._await_end(process)
            self.machine.sleep(self.dice.expovariate(1 / 5.0))

    def _serve(self, name):
        """Record lines and requests for a while, then end as a process does that ends well."""
        process, dice = self.machine.current.process, self.dice
        opened = {}
        options = SegmentOptions(SMALL, is_mapped=dice.random() < 0.5)
        writer = WitnessedWriter(self, name, self._spool_limit, lambda: list(opened.values()), options)
        process.writers.append(writer)
        for _ in range(dice.randrange(1, 40)):
            for _ in range(dice.choice([1, 3, 30])):
                self._record(writer, opened)
            self.machine.sleep(dice.expovariate(1 / 3.0))
            if self.is_over:
                break
        for span in list(opened):
            self._end_request(writer, opened, span)
        writer.close()

    def _record(self, writer, opened):
        chance = self.dice.random()
        if chance < 0.05:
            self._numbers += 1
            span = f"s{self._numbers:08d}"
            opened[span] = start_line(self._numbers, span)
            writer.append(opened[span])
        elif chance < 0.1 and opened:
            self._end_request(writer, opened, self.dice.choice(sorted(opened)))
        else:
            self._numbers += 1
            number = self._numbers
            with self.oracle.recording(number):
                writer.append(log_line(number, "x" * self.dice.choice([0, 0, 0, 200])))

    def _end_request(self, writer, opened, span):
        self._numbers += 1
        with self.oracle.recording(span):
            writer.append(span_line(self._numbers, span))
        del opened[span]

    # The shipper and the operator.

    def _settings(self):
        return Settings(routes=self.routes, dir=self.folder, spool_limit_bytes=self._spool_limit, sync_interval_s=1.0)

    def _shippers(self):
        """Start a shipper again and again, as a supervisor does."""
        while True:
            self._await_power()
            self._is_told_to_stop = False
            self.shipper = self._start("shipper", lambda: self._ship(self._settings()))
            self._await_end(self.shipper)
            self._is_switching = False
            self.machine.sleep(1.0)

    def _ship(self, settings):
        try:
            ending = ship(settings, self._connect)
        except DashcamError as fault:
            if "another shipper works" in str(fault):
                return
            raise
        assert not ending.fault, f"a route ended: {ending.fault}"
        if ending.is_hung:
            self.oracle.killed()  # an answer may have come just now
            self.machine.kill(self.machine.current.process)  # as the command does: it waits for no thread

    def _connect(self, name):
        local = (
            Local(self.folder / "events.db", LOCAL, busy_s=0, clock=self.machine.time_ns) if name == "local" else None
        )
        if name in SERVERS:
            backend = Wired(self, self.destinations[name], client_of(name, self.machine))
        else:
            backend = Hostile(self, self.destinations[name], local)
        self.machine.current.process.backends.append(backend)
        return backend

    def is_handing_over(self):
        """Whether a shipper with other routes than the one before has begun, and no route of it yet."""
        return self._is_switching and self.shipper is not None and len(self.shipper.threads) == 1

    def is_stopping(self):
        """Whether the shipper was told to stop, and has not yet."""
        return self._is_told_to_stop and not self.shipper.is_gone()

    def _operator(self):
        """Do what operators do: stop, switch, replay, ask for the account."""
        deeds = [self._stop, self._switch, self._replay_letters, self._switch_and_replay, self._rival_starts, self._ask]
        while not self.is_over:
            self.machine.sleep(self.dice.expovariate(1 / 12.0))
            self._await_power()
            if not self.is_over:
                deed = self.dice.choice(deeds)
                self._tell(deed.__name__)
                deed()

    def _stop(self):
        """Stop the shipper, and be content only if it stops in time."""
        stopped = self.shipper
        if not stopped or stopped.is_gone() or stopped.is_dead:
            return
        self._is_told_to_stop = True
        self.machine.terminate(stopped)
        limit_s = STOP_S + 4 * self.machine.slack_s
        assert self.machine.block(stopped.is_gone, limit_s), f"the shipper has not stopped within {limit_s} s"

    def _switch(self):
        """Stop it, and have the next one ship to other destinations."""
        self.routes = self.dice.choice([routes for routes in ROUTES if routes != self.routes])
        self._is_switching = True
        self.oracle.excused()
        self._stop()

    def _replay_letters(self):
        """Send dead letters again, perhaps after their cause was fixed."""
        names = [name for name in self.destinations if name in self.routes] or list(self.routes)
        name = self.dice.choice(names)
        self.destinations[name].is_strict = self.dice.random() < 0.5
        self.oracle.excused()
        self.replay = self._start("replay", lambda: self._replay(name))
        self._await_end(self.replay)
        self.destinations[name].is_strict = True
        self.oracle.excused()

    def _replay(self, name):
        letters = DeadLetters(self.folder / "dead-letters", name)
        # A command that fails by the disk is typed again by somebody.
        with suppress(OSError, DashcamError), closing(self._connect(name)) as backend, letters.replay() as replay:
            delivery = Delivery(name, backend, letters, dashcam.machine.Event(), lambda _: None)
            for batch in batches([letter.event for letter in replay.waiting.values()], backend.limits):
                delivery.deliver(batch, replay.settle)

    def _switch_and_replay(self):
        """Both at once."""
        self.machine.spawn(self._replay_letters, self._outside)
        self._switch()

    def _rival_starts(self):
        """Start another shipper by mistake."""
        self.rival = self._start("shipper by mistake", lambda: self._ship(self._settings()))
        self.machine.sleep(self.dice.uniform(0, 25))
        self.machine.terminate(self.rival)
        self._await_end(self.rival)

    def _ask(self):
        """Ask for the account: an answer, or the disk's fault."""
        self._await_end(self._start("status", self._count))

    def _count(self):
        with suppress(OSError):
            collect_stats(self.folder)

    # What happens to all of them.

    def _power(self):
        """Have the power come back after each cut."""
        while True:
            self.machine.block(lambda: not self.is_powered)
            self.machine.block(lambda: all(process.is_gone() for process in self._processes))
            for process in self._processes:
                self._release(process)
            self.oracle.power_is_lost()
            self.machine.boot += 1
            self.disk.lose_power()
            self.disk.state = None
            self.machine.sleep(self.dice.uniform(1, 30))
            self.is_powered = True

    def cut(self):
        """Cut the power: everything ends, wherever it is."""
        self.is_powered = False
        for process in self._processes:
            self.machine.end(process)

    def _fate(self):
        """Let one thing after another happen until the time is over."""
        ends_at_ns = self.machine.now_ns + int(self.minutes * 60 * NS_PER_S)
        kinds = [self._plan] * 3 + [self._mood] * 3 + [self._cut_somewhere] * 3
        kinds += [self._kill, self._disk_trouble, self._set_clock]
        while self.machine.now_ns < ends_at_ns:
            self.machine.sleep(self.dice.expovariate(1 / 8.0))
            self._await_power()
            kind = self.dice.choice(kinds)
            self._tell(kind.__name__)
            kind()
        self.is_over = True

    def _tell(self, deed):
        self.trace.append((self.machine.now_ns, deed))

    def _plan(self):
        action = self.dice.choice(["kill", "kill", *ERRORS])
        is_after = action == "kill" and self.dice.random() < 0.3  # a call that fails has done nothing
        self.disk.plans.append(Plan(action, self.dice.randrange(1, 200), is_after=is_after))

    def _cut_somewhere(self):
        self.disk.plans.append(Plan("cut", self.dice.choice([1, 10, 100, 300]), is_after=self.dice.random() < 0.3))

    def _kill(self):
        alive = [process for process in self._processes if not process.is_gone() and not process.is_dead]
        if alive:
            self.oracle.killed()
            process = self.dice.choice(alive)
            self.faults[f"kill of the {process.name.partition(' ')[0]}"] += 1
            self.machine.kill(process)

    def _mood(self):
        names = self.routes if self.dice.random() < 0.8 else list(self.destinations)
        destination = self.destinations[self.dice.choice(names)]
        destination.mood = self.dice.choice([WELL, *MOODS])
        self.faults[f"destination {destination.mood}"] += destination.mood != WELL

    def _disk_trouble(self):
        state = self.dice.choice([FULL, READ_ONLY, BROKEN])
        self.disk.state, self.disk.room_pages = state, 0
        self.faults[f"disk {state} for a while"] += 1
        self.machine.sleep(self.dice.uniform(0.1, 20))
        self.disk.state = None

    def _set_clock(self):
        hours = self.dice.choice([-24 * 300, -5, -1, 1, 5, 24 * 20])
        self.machine.wall_ns += hours * 3600 * NS_PER_S
        self.is_clock_set = True
        self.faults["clock set"] += 1
        if abs(hours) > 24:  # somebody sets it right again
            self.machine.sleep(self.dice.uniform(1, 60))
            self.machine.wall_ns -= hours * 3600 * NS_PER_S

    def _calm_down(self):
        """End all faults; everything has to be delivered within a bound."""
        self.disk.plans.clear()
        self.disk.state = None
        self.points = []
        self.machine.slack_s = 0.0
        for destination in self.destinations.values():
            destination.mood = WELL
        self.machine.run(lambda: self.is_powered)
        began_ns = self.machine.now_ns
        verdict = self.machine.spawn(lambda: self._wait_until_delivered(began_ns), self._outside)
        self.machine.run(lambda: verdict.is_over)
        self.trace.append((self.machine.now_ns, "delivered"))

    def _wait_until_delivered(self, began_ns):
        while waiting := self._waiting():
            now_s = (self.machine.now_ns - began_ns) / NS_PER_S
            assert now_s < LIVENESS_S, f"not delivered {now_s:.0f} s after the last fault: {waiting}"
            self.machine.sleep(5.0)
        self._stop()

    def _waiting(self):
        for process in self._processes:
            if process.is_gone():
                self._release(process)
        at_work = [each.name for each in self._processes if not each.is_gone() and each is not self.shipper]
        return at_work or self.oracle.waiting()

    # What the destinations tell.

    def note_sent(self, destination, batch):
        self.oracle.sent(destination, batch)

    def note_answered(self, destination, events):
        self.machine.check()
        self.oracle.answered(destination, events)


class WitnessedWriter(Writer):
    """A writer that tells the oracle of each event that it drops."""

    def __init__(self, world, service, limit_bytes, carry_over, options):
        shared = SHARED | {"service": {"name": service}}
        super().__init__(
            service_folder(world.folder / "spool", "here", service), lambda: shared, limit_bytes, carry_over, options
        )
        self._oracle = world.oracle

    def drop(self, reason):
        self._oracle.dropped()
        super().drop(reason)


@contextmanager
def _variable(name, value):
    former = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if former is None:
            del os.environ[name]
        else:
            os.environ[name] = former


@contextmanager
def _silent(name):
    log = logging.getLogger(name)
    former = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = former
