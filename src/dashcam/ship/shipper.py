"""The shipper: every route on a thread of its own, and the housekeeping of the spool."""

import fcntl
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from dashcam.errors import DashcamError
from dashcam.settings import Settings
from dashcam.ship import checkpoint, health
from dashcam.ship.batch import Backend
from dashcam.ship.route import Route
from dashcam.ship.stats import count_before, prune
from dashcam.spool.reader import SegmentReader, orphaned_files, segment_files

TURN_S = 20.0  # to wait for the shipper before this one: it has 15 s to settle what is under way
QUIET_S = 20.0  # between two equal messages

_log = logging.getLogger("dashcam.ship")


def ship(settings: Settings, connect: Callable[[str], Backend], *, is_drain: bool = False) -> bool:
    """Ship what is recorded until SIGTERM or SIGINT; with `is_drain`, what there is, and return.

    Gives whether all threads have ended; one that waits for an answer would keep the process from its end.
    Raises `DashcamError` when another shipper works in the same folder, or a backend's settings cannot be used.
    """
    stopping = threading.Event()
    with ExitStack() as stack:
        stack.enter_context(_exclusive(settings.dir))
        backends = {name: connect(name) for name in settings.routes}
        counting = partial(count_before, settings.dir)
        accounts = checkpoint.hand_over(settings.dir / "positions", settings.routes, counting)
        routes = [Route(name, backends[name], settings.dir, accounts[name], stopping) for name in settings.routes]
        stack.enter_context(set_by_signals(stopping))
        _log.info("ships to %s from %s", ", ".join(settings.routes), settings.dir)
        threads = [threading.Thread(target=_run, args=(route, is_drain, stopping), name=route.name) for route in routes]
        for thread in threads:
            thread.start()
        while at_work := [thread for thread in threads if thread.is_alive()]:
            _housekeeping(settings, routes)
            _sign(settings, routes)
            # Not a wait for the event: a signal that came within it would set the event under the event's own lock.
            at_work[0].join(settings.sync_interval_s)
        _log.info("stops")
        return not any(route.is_hung for route in routes)


def _run(route: Route, is_drain: bool, stopping: threading.Event) -> None:  # noqa: FBT001
    try:
        route.run(is_drain=is_drain)
    except Exception:  # noqa: BLE001 — the other routes are told to stop too
        # Nothing is lost by ending: whoever supervises the shipper starts it again, and it goes on where it was.
        _log.exception("%s: ends", route.name)
        stopping.set()


def _sign(settings: Settings, routes: list[Route]) -> None:
    if all(time.monotonic() - route.turned_at_s < health.MAX_SILENCE_S for route in routes):
        try:
            health.sign(settings.dir)
        except OSError as fault:
            _log.warning("the health check will fail: %s", fault)


def _housekeeping(settings: Settings, routes: list[Route]) -> None:
    """Bring live segments to the disk, remove what was never finished, and make room where every route is done."""
    done = [{name for name, mark in route.progress.marks.items() if mark.is_done} for route in routes]
    for path in segment_files(settings.dir / "spool"):
        try:
            with SegmentReader(path) as reader:
                reader.sync()
        except (OSError, ValueError) as fault:
            _log.debug("%s: %s", path, fault)
    for path in orphaned_files(settings.dir / "spool", time.time()):
        try:
            path.unlink()
        except OSError as fault:
            _log.debug("%s: %s", path, fault)
    prune(settings.dir, set.intersection(*done), settings.spool_limit_bytes // 2)


@contextmanager
def _exclusive(folder: Path, turn_s: float = TURN_S) -> Iterator[None]:
    """Hold the folder's lock: two shippers would send everything twice."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "shipper.lock").open("a") as lock:
        deadline = time.monotonic() + turn_s
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DashcamError(f"another shipper works in {folder}; stop it, or set DASHCAM_DIR") from None
                time.sleep(0.1)
        yield


@contextmanager
def set_by_signals(stopping: threading.Event) -> Iterator[None]:
    """Turn SIGTERM and SIGINT into the event."""
    former = {number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


class RateLimitFilter(logging.Filter):
    """Lets one message through at most once in 20 s, however often it comes."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to say it now."""
        now = time.monotonic()
        text = record.msg % tuple(0.0 if isinstance(arg, float) else arg for arg in record.args or ())
        is_due = now - self._last.get(text, -QUIET_S) >= QUIET_S
        if is_due:
            self._last = {said: at for said, at in self._last.items() if now - at < QUIET_S} | {text: now}
        return is_due


def log_to_stderr(level: int = logging.INFO, formatter: logging.Formatter | None = None) -> None:
    """Say what the shipper does, one line each, on standard error; never through the recorder."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter or logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    handler.addFilter(RateLimitFilter())
    _log.addHandler(handler)
    _log.setLevel(level)
    _log.propagate = False
