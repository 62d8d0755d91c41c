"""Another backend under load: the services go on, only the shipper is started again."""

import time
from contextlib import ExitStack, closing, suppress
from itertools import cycle, islice

import pytest

from dashcam.destinations.registry import open_store
from dashcam.errors import StoreEmpty
from dashcam.find.query import STATEMENT, Not, Query
from dashcam.testing.fake_loggly import StandIn

from ..destinations.fluentd.server import Orderly, Server
from ..processes import until
from .processes import Stage, numbers_in

ROUTES = ("loggly", "elk", "local")


def in_local(stage):
    with closing(open_store("local", stage.environment)) as store, suppress(StoreEmpty):
        return [event.labels["number"] for event in store.find(Query(Not(STATEMENT)))]
    return []


@pytest.mark.parametrize(
    "switches", [4, pytest.param(40, marks=[pytest.mark.long, pytest.mark.timeout(300)], id="a minute")]
)
def test_every_event_is_in_exactly_one_backend(tmp_path, switches):
    """Switches among three backends while a service records; each of them got some of the events."""
    with ExitStack() as stack:
        loggly = stack.enter_context(StandIn())
        fluentd = stack.enter_context(Server(Orderly()))
        environment = loggly.environment() | {"FLUENTD_URL": f"forward://127.0.0.1:{fluentd.port}"}
        stage = stack.enter_context(Stage(tmp_path / "state", environment))
        arrived = {
            "loggly": lambda: numbers_in(loggly.lines()),
            "elk": lambda: [
                record["labels"]["number"] for _, _, record in fluentd.handle.records if "labels" in record
            ],
            "local": lambda: in_local(stage),
        }
        stage.record(10**6, 2000)
        for route in islice(cycle(ROUTES), switches + 1):
            before = len(arrived[route]())
            stage.start_shipper(route)
            until(lambda r=route, b=before: len(arrived[r]()) > b, f"event in {route}")
            stage.stop_shipper()
        stage.recorder.kill()
        stage.recorder.wait()
        stage.drain("loggly")

        numbers = [number for numbers in arrived.values() for number in numbers()]
        assert sorted(numbers) == list(range(stage.status()["recorded"]))


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

        arrived = len(numbers_in(loggly.lines()))
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
