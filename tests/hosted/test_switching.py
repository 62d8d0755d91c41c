"""Another backend under load: the services go on, only the shipper is started again."""

import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from itertools import cycle, islice

import pytest

from dashcam.destinations.registry import open_store
from dashcam.find.query import Query
from dashcam.testing.fake_loggly import StandIn

from ..destinations.fluentd.server import Orderly, Server
from .processes import Stage, numbers_in, until

ROUTES = ("loggly", "elk", "local")
SWITCHES = 10


def in_local(stage):
    with closing(open_store("local", stage.environment)) as store:
        return [event.labels["number"] for event in store.find(Query())]


@pytest.mark.parametrize(
    "load_s", [8, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(300)], id="a minute")]
)
def test_every_event_is_in_exactly_one_backend(tmp_path, load_s):
    """Ten switches among three backends while a service records; each of them got some of the events."""
    per_s = 2000
    with ExitStack() as stack:
        loggly = stack.enter_context(StandIn())
        fluentd = stack.enter_context(Server(Orderly()))
        environment = loggly.environment() | {"FLUENTD_URL": f"forward://127.0.0.1:{fluentd.port}"}
        stage = stack.enter_context(Stage(tmp_path / "state", environment))
        stage.record(per_s * load_s, per_s)
        for route in islice(cycle(ROUTES), SWITCHES + 1):
            stage.start_shipper(route)
            threading.Event().wait(load_s / (SWITCHES + 1))
            stage.stop_shipper()
        assert stage.recorder.wait(timeout=120) == 0
        stage.drain("loggly")

        arrived = {
            "loggly": Counter(numbers_in(loggly.lines())),
            "elk": Counter(record["labels"]["number"] for _, _, record in fluentd.handle.records),
            "local": Counter(in_local(stage)),
        }
    assert all(arrived.values())
    assert sum(arrived.values(), Counter()) == Counter(range(per_s * load_s))


def test_a_dead_backend_hands_over_what_it_never_took(tmp_path):
    """Nothing of it was acknowledged: all of it goes to the next."""
    with StandIn() as loggly, Stage(tmp_path / "state", loggly.environment()) as stage:
        loggly.stop()
        stage.record(1000, 5000)
        stage.start_shipper("loggly")
        until(lambda: stage.status()["routes"].get("loggly", {}).get("trouble"), "trouble")
        stage.stop_shipper()
        stage.recorder.wait()

        stage.drain("stdout")

        assert sorted(stage.printed()) == list(range(1000))
        assert stage.status()["routes"]["stdout"]["waiting"] == 0


def test_what_was_acknowledged_out_of_order_is_not_sent_again(tmp_path):
    """Of the bodies that are under way one waits for its turn when the shipper is stopped."""
    with StandIn() as loggly, Stage(tmp_path / "state", loggly.environment()) as stage:
        stage.record(15_000, 10**6)
        stage.recorder.wait()
        loggly.sending.plan("503", retry_after="100")
        stage.start_shipper("loggly")
        until(lambda: len(loggly.lines()) >= 10_000, "all but one body")
        stage.stop_shipper()
        stopped = stage.status()["routes"]["loggly"]

        stage.drain("stdout")

        arrived = len(loggly.lines())
        assert (stopped["delivered"], stopped["waiting"]) == (arrived, 15_000 - arrived)
        assert stage.printed()
        assert sorted(numbers_in(loggly.lines()) + stage.printed()) == list(range(15_000))
        drained = stage.status()["routes"]["stdout"]
        assert (drained["earlier"], drained["delivered"], drained["waiting"]) == (arrived, 15_000 - arrived, 0)


def test_a_backend_that_hangs_does_not_hold_the_shipper(tmp_path):
    """It stops within 15 s, and what got no answer goes to the next backend."""
    with StandIn() as loggly, Stage(tmp_path / "state", loggly.environment()) as stage:
        stage.record(7000, 10**6)
        stage.recorder.wait()
        loggly.sending.plan("hang")
        stage.start_shipper("loggly")
        until(loggly.lines, "the other body")

        began_s = time.monotonic()
        stage.stop_shipper()
        assert time.monotonic() - began_s < 15

        stage.drain("stdout")
        assert sorted(numbers_in(loggly.lines()) + stage.printed()) == list(range(7000))
