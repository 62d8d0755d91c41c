"""Several routes at once, the folder's lock, and what the shipper says."""

import logging
import os
import threading

import pytest

from dashcam.errors import BackendUnavailable, DashcamError
from dashcam.settings import Settings, load
from dashcam.ship.batch import Limits
from dashcam.ship.inspection.stats import collect_stats
from dashcam.ship.own_log import RateLimitFilter
from dashcam.ship.shipper import ship
from dashcam.ship.state.heartbeat import exclusive
from dashcam.spool.reader import segment_files

from ..spool.spools import log_line, write_to
from .played import Accepting, Played


@pytest.fixture
def settings(tmp_path):
    writer = write_to(tmp_path / "spool")
    for number in range(100):
        writer.append(log_line(number))
    writer.close()
    return load(Settings, {"DASHCAM_DIR": str(tmp_path), "LOG_BACKEND": "fast,slow", "DASHCAM_SYNC_INTERVAL": "0.2"})


def test_a_slow_route_holds_up_no_other(tmp_path, settings):
    """A backend that answers only when the other one has everything still gets all of it."""
    left, is_overtaken = [100], threading.Event()

    def count(batch):
        left[0] -= len(batch)
        if not left[0]:
            is_overtaken.set()

    fast = Accepting(count)
    slow = Accepting(
        lambda _: None if is_overtaken.wait(30) else BackendUnavailable("not overtaken"), Limits(50, 100_000)
    )

    ship(settings, {"fast": fast, "slow": slow}.get, is_drain=True)

    assert is_overtaken.is_set()
    assert len(fast.accepted) == len(slow.accepted) == 100
    routes = collect_stats(tmp_path).routes
    assert [routes[name].delivered for name in ("fast", "slow")] == [100, 100]


def test_what_a_kill_left_half_made_goes(tmp_path, settings):
    """A segment that never got its name takes no room for ever."""
    half = tmp_path / "spool" / "here" / "cars" / ".0193a1b2c3d4e5f601020304"
    half.write_bytes(bytes(1000))
    os.utime(half, (1000, 1000))

    ship(settings, lambda _: Accepting(lambda _: None), is_drain=True)

    assert not half.exists()
    assert len(segment_files(tmp_path / "spool")) == 1


def test_a_route_that_breaks_stops_the_others(settings, caplog):
    """Whoever supervises the shipper starts it again; nothing is lost by that."""

    class Broken(Played):
        def close(self):
            raise ZeroDivisionError("no way to close")

    stuck = Played(*[BackendUnavailable("down", 20)] * 1000)

    ending = ship(settings, {"fast": Broken(), "slow": stuck}.get, is_drain=True)

    assert ending.fault == "fast: ZeroDivisionError: no way to close"
    assert "fast: ends" in caplog.text
    assert stuck.is_closed


def test_the_folder_is_taken(tmp_path):
    """Another shipper holds the lock: its turn is waited for, but not for ever."""
    going_on = threading.Event()
    with (
        exclusive(tmp_path, going_on),
        pytest.raises(DashcamError, match="another shipper works in"),
        exclusive(tmp_path, going_on, turn_s=0),
    ):
        pytest.fail("two at once")


def test_a_backend_that_cannot_be_had(settings):
    """Nothing is begun: the former routes keep their positions."""

    def connect(_):
        raise DashcamError("LOGGLY_TOKEN is missing")

    with pytest.raises(DashcamError, match="LOGGLY_TOKEN"):
        ship(settings, connect)

    assert not (settings.dir / "positions").exists()


def test_one_message_is_not_said_again_and_again():
    """Whatever its pause; another one is."""
    quietly = RateLimitFilter()

    said = [
        quietly.filter(logging.LogRecord("dashcam.ship", logging.WARNING, "", 0, message, arguments, None))
        for message, arguments in [
            ("%s: %s, next try in %.1f s", ("loggly", "down", 0.1)),
            ("%s: %s, next try in %.1f s", ("loggly", "down", 0.2)),
            ("%s: %s, next try in %.1f s", ("elk", "down", 0.1)),
            ("%s: goes on", ("loggly",)),
            ("stops", ()),
            ("stops", None),
        ]
    ]

    assert said == [True, False, True, True, True, False]
