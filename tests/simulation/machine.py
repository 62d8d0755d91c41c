"""The simulated machine: its threads take turns in one, and its clock moves only while all of them wait."""

import math
import random
import signal
from concurrent.futures import Future
from contextlib import contextmanager
from typing import NamedTuple

import greenlet

import dashcam.machine

START_NS = 1_795_484_100_000_000_000  # 2026-11-24T01:35:00Z
NS_PER_S = 1_000_000_000
CALL_NS = 20_000  # a system call takes so long
MAX_TURNS, MAX_NS = 5_000_000, 10**15  # of a run: more means that somebody goes round in circles


class Crash(BaseException):
    """The process was killed: nothing that it would still do has an effect."""


class Process:
    """Some threads that are killed together, and what they do on a signal."""

    def __init__(self, name, pid):
        self.name, self.pid = name, pid
        self.is_dead = False  # `Machine.end` sets it
        self.threads = []
        self.handlers = {}
        self.writers = []
        self.backends = []
        self.is_outside = False  # it is no process of the machine, but the world around it

    def is_gone(self):
        """Whether all threads have ended."""
        return all(thread.is_over for thread in self.threads)


class Task:
    """A thread of a process: a greenlet, and what it waits for."""

    def __init__(self, work, process, hub):
        self.process = process
        self.is_over = False
        self.is_ready = bool
        self.until_ns = 0
        self.error = None
        self.turn = greenlet.greenlet(self._run, hub)
        self._work = work

    def _run(self):
        try:
            if not self.process.is_dead:
                self._work()
        except Crash as crash:
            self.error = None if self.process.is_dead else crash
        except BaseException as error:  # noqa: BLE001 - the machine raises it, in the one real thread
            self.error = error
        finally:
            self.is_over = True


class Machine:
    """A clock, threads that take turns, and all chance there is; `dice` decides who is next.

    A timer is late by up to `slack_s`, as on a machine that is busy or was suspended: hours pass in few turns.
    """

    def __init__(self, dice, slack_s=0.0):
        self.dice = dice
        self.slack_s = slack_s
        self.now_ns = 0
        self.wall_ns = START_NS  # what the clock on the wall says when `now_ns` is 0; it may be set to something else
        self.turns = 0
        self.boot = 0
        self.current = None
        self.connect = None  # the way to a server, if there are any
        self._tasks = []
        self._has_dead = False
        self._pids = 1000
        self._hub = greenlet.getcurrent()

    # What the world asks of it.

    def start(self, name, *works):
        """Start a process with a thread for each function; they begin when it is their turn."""
        self._pids += 1
        process = Process(name, self._pids)
        for work in works:
            self.spawn(work, process)
        return process

    def spawn(self, work, process):
        """Start another thread of a process."""
        task = Task(work, process, self._hub)
        self._has_dead |= process.is_dead
        process.threads.append(task)
        self._tasks.append(task)
        return task

    def end(self, process):
        """Let a process do nothing any more; the one at work goes on until it asks the machine for something."""
        process.is_dead = self._has_dead = True

    def kill(self, process):
        """Let a process do nothing any more. Raises `Crash` if it is the one at work."""
        self.end(process)
        if self.current and self.current.process is process:
            raise Crash

    def run(self, is_over):
        """Let the threads take turns until `is_over()`."""
        while True:
            if self._has_dead:
                self._reap()
            if is_over():
                return
            self.turns += 1
            assert max(self.turns / MAX_TURNS, self.now_ns / MAX_NS) < 1, "the threads go round in circles"
            now_ns = self.now_ns
            tasks = [task for task in self._tasks if task.until_ns <= now_ns or task.is_ready()]
            if tasks:
                self._give_turn(tasks[self.dice.randrange(len(tasks))] if len(tasks) > 1 else tasks[0])
            else:
                self._let_time_pass()

    def _let_time_pass(self):
        self.now_ns = max(self.now_ns, min(task.until_ns for task in self._tasks))
        if self.slack_s:
            self.now_ns += int(self.dice.random() * self.slack_s * NS_PER_S)

    def _reap(self):
        """End the threads of processes that were killed: their blocks are left, without an effect."""
        for task in [task for task in self._tasks if task.process.is_dead]:
            self.current = task
            if task.turn:
                task.turn.throw(Crash)
            task.is_over = True
            self.current = None
        self._tasks = [task for task in self._tasks if not task.is_over]
        self._has_dead = False

    def _give_turn(self, task):
        self.current = task
        task.turn.switch()
        self.current = None
        if task.is_over:
            self._tasks.remove(task)
        if task.error:
            raise task.error

    # What the threads ask of it.

    def check(self):
        """Raise `Crash` in a process that was killed."""
        if self.current and self.current.process.is_dead:
            raise Crash

    def block(self, is_ready, timeout_s=None):
        """Wait until something is ready, for so long at most; return whether it is."""
        self.check()
        task = self.current
        if task is None:  # the world itself, before and after the run
            return is_ready()
        task.is_ready = is_ready
        task.until_ns = 1 << 80 if timeout_s is None else self.now_ns + math.ceil(timeout_s * NS_PER_S)
        self._hub.switch()
        task.is_ready = bool
        self.check()
        return is_ready()

    def sleep(self, seconds):
        """Wait for so long."""
        self.block(bool, max(0.0, seconds))

    def pass_turn(self):
        """Let others go first."""
        self.block(bool, 0)

    def monotonic(self):
        """Seconds since the start."""
        self.check()
        return self.now_ns / NS_PER_S

    def time_ns(self):
        """Nanoseconds since the epoch, as the clock on the wall has it."""
        return self.wall_ns + self.now_ns

    def signal(self, number, handler):
        """Set the handler of a signal in this process; return the former one."""
        process = self.current.process
        former = process.handlers.get(number, signal.SIG_DFL)
        process.handlers[number] = handler
        return former

    def terminate(self, process):
        """Send SIGTERM."""
        handler = process.handlers.get(signal.SIGTERM)
        if callable(handler):
            handler(signal.SIGTERM, None)
        elif not process.is_gone():
            self.kill(process)

    @contextmanager
    def installed(self):
        """Stand at the seam for a while."""
        ours = {
            "monotonic": self.monotonic,
            "time_ns": self.time_ns,
            "sleep": self.sleep,
            "uniform": self.dice.uniform,
            "token_hex": lambda count: self.dice.randbytes(count).hex(),
            "signal": self.signal,
            "wait": self._wait,
            "Event": lambda: Event(self),
            "Lock": lambda: Lock(self),
            "RLock": lambda: Lock(self),
            "Thread": lambda target, args=(), name="": Thread(self, target, args),
            "create_connection": self.connect,
            "ThreadPoolExecutor": lambda count, name: Pool(self, count),
        }
        assert ours.keys() == set(dashcam.machine.__all__)
        theirs = {name: getattr(dashcam.machine, name) for name in ours}
        for name, it in ours.items():
            setattr(dashcam.machine, name, it)
        try:
            yield
        finally:
            for name, it in theirs.items():
                setattr(dashcam.machine, name, it)

    def _wait(self, futures, timeout=None, return_when="ALL_COMPLETED"):
        enough = any if return_when == "FIRST_COMPLETED" else all
        self.block(lambda: enough(future.done() for future in futures), timeout)
        done = {future for future in futures if future.done()}
        return Waited(done, set(futures) - done)


class Waited(NamedTuple):
    """The futures that are done, and the others."""

    done: set
    not_done: set


class Event:
    """`threading.Event`."""

    def __init__(self, machine):
        self._machine = machine
        self._is_set = False

    def is_set(self):
        self._machine.check()
        return self._is_set

    def set(self):
        self._is_set = True

    def wait(self, timeout=None):
        return self._machine.block(lambda: self._is_set, timeout)


class Lock:
    """`threading.Lock` and `threading.RLock`; one that would wait for itself for ever fails instead.

    Time runs out for no thread that waits: here a thread is late by hours, and no disk keeps one for ever.
    """

    def __init__(self, machine):
        self._machine = machine
        self._owner = None
        self._depth = 0

    def __enter__(self):
        self.acquire()

    def __exit__(self, *_):
        self.release()

    def acquire(self, timeout=None):
        machine = self._machine
        if self._owner is not machine.current and self._owner is not None:
            if timeout == 0:
                return False
            machine.block(lambda: self._owner is None)
        self._owner = machine.current
        self._depth += 1
        return True

    def release(self):
        self._depth -= 1
        if self._depth == 0:
            self._owner = None


class Thread:
    """`threading.Thread`."""

    def __init__(self, machine, target, args):
        self._machine, self._target, self._args = machine, target, args

    def start(self):
        machine = self._machine
        self._task = machine.spawn(lambda: self._target(*self._args), machine.current.process)

    def is_alive(self):
        self._machine.check()
        return not self._task.is_over

    def join(self, timeout=None):
        self._machine.block(lambda: self._task.is_over, timeout)


class Pool:
    """`concurrent.futures.ThreadPoolExecutor`, with a thread for each thing to do: there are never too many."""

    def __init__(self, machine, count):
        self._machine, self._count = machine, count
        self._futures = []

    def submit(self, function, *arguments):
        future = Future()

        def work():
            try:
                result = function(*arguments)
            except Exception as error:  # noqa: BLE001 - as the real one does
                future.set_exception(error)
            else:
                future.set_result(result)

        self._futures = [each for each in self._futures if not each.done()] + [future]
        # One whose events are dealt with may still be at its last steps; the real one would have the next wait for it.
        assert len(self._futures) <= 2 * self._count
        self._machine.spawn(work, self._machine.current.process)
        return future

    def shutdown(self, *, wait=True):
        if wait:
            self._machine.block(lambda: all(future.done() for future in self._futures))


def dice_of(seed):
    """Return the chance of a run."""
    return random.Random(seed)
