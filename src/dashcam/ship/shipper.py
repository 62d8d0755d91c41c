"""The shipper: every route on a thread of its own, and the housekeeping of the spool."""

import logging
import resource
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

from dashcam import machine
from dashcam.errors import DashcamError
from dashcam.settings import Settings
from dashcam.ship.batch import Backend
from dashcam.ship.clips.collector import ClipCollector
from dashcam.ship.clips.other_hosts import Search, follow_verdicts
from dashcam.ship.delivery import Backoff
from dashcam.ship.inspection.stats import count_before
from dashcam.ship.route import MAX_DISK_PAUSE_S, Route
from dashcam.ship.signals import pause, set_by_signals
from dashcam.ship.state import removal_account
from dashcam.ship.state.checkpoint import START, CheckpointFile, hand_over, load
from dashcam.ship.state.heartbeat import Pulse, exclusive
from dashcam.ship.upkeep.housekeeping import Housekeeping
from dashcam.spool.held import LEVELS

MIN_OPEN = 8  # segments of a route
MAX_DESCRIPTORS = 4096  # more would not make it faster
SPARE_DESCRIPTORS = 96  # for the state, a store, connections
JOIN_S = 1.0  # between two looks whether a signal came that another thread took; the end of a route ends the wait

_Begun = tuple[Pulse, Mapping[str, CheckpointFile], Mapping[str, ClipCollector]]

_log = logging.getLogger("dashcam.ship")


class Ending(NamedTuple):
    """The way a shipper ended: `is_hung` when a thread still waits for an answer, and the fault that ended it."""

    is_hung: bool = False
    fault: str = ""


def ship(
    settings: Settings,
    connect: Callable[[str], Backend],
    *,
    is_drain: bool = False,
    search: Callable[[str], Search | None] = lambda _: None,
    audited: Collection[str] = (),
) -> Ending:
    """Ship recorded events until SIGTERM or SIGINT; with `is_drain`, until nothing is left.

    `search` returns a way to search the store of a route, where verdicts of other hosts are found. Routes that are
    `audited` get a statement of each segment, too.

    Raises `DashcamError` when another shipper works in the same folder, or a backend's settings cannot be used; with
    `is_drain` also `OSError` when the state cannot be written, which is otherwise tried again.
    """
    stopping = machine.Event()
    with ExitStack() as stack:
        stack.enter_context(set_by_signals(stopping))
        backends = {name: connect(name) for name in settings.routes}
        start = partial(_start, settings, stack, stopping)
        begun = start() if is_drain else _retried(start, settings.dir, stopping)
        if begun is None:
            return Ending()
        pulse, files, clips = begun
        routes = [
            Route(name, backends[name], settings.dir, file, stopping, clips=clips.get(name))
            for name, file in files.items()
        ]
        for route in routes:
            route.max_open = _max_open(len(routes))[0]
            route.is_audited = route.name in audited
        _log.info("ships to %s from %s", ", ".join(settings.routes), settings.dir)
        work = _Work(settings, routes, pulse, stopping)
        work.searches = [(way, clips[name]) for name in clips if (way := search(name)) and not is_drain]
        return work.run(is_drain=is_drain)


def _start(settings: Settings, stack: ExitStack, stopping: machine.Event) -> _Begun:
    """Take the folder, and bring every checkpoint to where this shipper begins. Raises `OSError`."""
    positions = settings.dir / "positions"
    with ExitStack() as attempt:
        pulse = attempt.enter_context(exclusive(settings.dir, stopping))
        # On a full disk, remove delivered segments first: without room no checkpoint can be written.
        known = [CheckpointFile(positions, name, each) for name, each in load(positions).items()]
        _housekeeping(settings, known).make_room()
        try:
            removal_account.begin(settings.dir)
        except OSError:
            if not known:  # a shipper with checkpoints ships on a full disk, too, and makes the file later
                raise
        checkpoints = hand_over(positions, settings.routes, partial(count_before, settings.dir))
        files = {name: CheckpointFile(positions, name, each) for name, each in checkpoints.items()}
        for file in files.values():
            attempt.callback(file.close)
            file.begin()
        clips = _clips(settings, files)
        stack.enter_context(attempt.pop_all())
    return pulse, files, clips


def _clips(settings: Settings, files: Mapping[str, CheckpointFile]) -> Mapping[str, ClipCollector]:
    """Return the clips of each route, if some lines are held; otherwise lines that were held before stay held."""
    if LEVELS.index(settings.ship_level.lower() or LEVELS[0]):
        clips = {name: ClipCollector(settings, file) for name, file in files.items()}
        for each in clips.values():
            each.open()
        return clips
    for file in files.values():
        known = file.checkpoint
        for segment in known.levels:
            file.set_level(segment, known.marks.get(segment, START).offset, LEVELS[0])
    return {}


def _max_open(routes: int) -> tuple[int, int]:
    """Return how many segments each route may keep open, and the housekeeping.

    The routes have half of the descriptors of the process; the housekeeping has the rest, except for a reserve.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    half = min(soft, MAX_DESCRIPTORS) // 2
    return max(MIN_OPEN, half // routes), max(MIN_OPEN, half - SPARE_DESCRIPTORS)


def _retried(step: Callable[[], _Begun], folder: Path, stopping: machine.Event) -> _Begun | None:
    """Repeat a step until the disk allows it; return `None` if the shipper has to stop."""
    backoff = Backoff(MAX_DISK_PAUSE_S)
    while not stopping.is_set():
        try:
            return step()
        except OSError as fault:
            pause_s = backoff.next_s()
            _log.warning("%s: %s; next try in %.1f s", fault.filename or folder, fault.strerror or fault, pause_s)
            pause(stopping, pause_s)
    return None


def _housekeeping(settings: Settings, files: list[CheckpointFile]) -> Housekeeping:
    return Housekeeping(
        settings.dir, settings.spool_limit_bytes // 2, files, hold_s=settings.hold_s, max_open=_max_open(1)[1]
    )


class _Work:
    """The routes at work, each on a thread of its own, and one more for the housekeeping."""

    def __init__(self, settings: Settings, routes: list[Route], pulse: Pulse, stopping: machine.Event) -> None:
        self._interval_s = settings.sync_interval_s
        self._routes = routes
        self._pulse = pulse
        self._stopping = stopping
        self._housekeeping = _housekeeping(settings, [route.file for route in routes])
        self.searches: list[tuple[Search, ClipCollector]] = []
        self._hold_s = settings.hold_s
        self._is_over = machine.Event()
        self._faults: list[str] = []

    def run(self, *, is_drain: bool) -> Ending:
        targets = [(route.name, partial(route.run, is_drain=is_drain)) for route in self._routes]
        threads = [machine.Thread(target=self._guarded, args=target, name=target[0]) for target in targets]
        housekeeper = machine.Thread(target=self._guarded, args=("housekeeping", self._keep_house), name="housekeeping")
        # A store that gives no answer is not waited for.
        searches = [
            machine.Thread(target=follow_verdicts, args=(*each, self._hold_s, self._is_over), daemon=True)
            for each in self.searches
        ]
        for thread in [housekeeper, *threads, *searches]:
            thread.start()
        for thread in threads:
            # Not a wait without end: the handler of a signal that another thread took runs between two of them.
            while thread.is_alive():
                thread.join(JOIN_S)
        self._is_over.set()
        housekeeper.join()
        _log.info("stops")
        return Ending(any(route.is_hung for route in self._routes), "; ".join(self._faults))

    def _guarded(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as fault:  # noqa: BLE001 — the others have to stop too
            # Nothing is lost: a supervisor starts the shipper again, and it continues from its checkpoints.
            if isinstance(fault, DashcamError):
                _log.error("%s: %s", name, fault)
            else:
                _log.exception("%s: ends", name)
            self._faults.append(f"{name}: {type(fault).__name__}: {fault}")
            self._stopping.set()

    def _keep_house(self) -> None:
        """Do a round each interval, and one in the end: everything is on the disk then."""
        is_last = False
        with closing(self._housekeeping):
            while not is_last:
                began_s = machine.monotonic()
                is_last = self._is_over.is_set()
                self._housekeeping.round()
                troubles = self._housekeeping.troubles | {
                    str(path): reason for route in self._routes for path, reason in route.obstacles.items()
                }
                try:
                    self._pulse.beat(troubles, is_alive=all(route.is_turning() for route in self._routes))
                except OSError as fault:
                    _log.warning("the health check will fail: %s: %s", fault.filename, fault.strerror)
                self._is_over.wait(max(0.0, began_s + self._interval_s - machine.monotonic()))
