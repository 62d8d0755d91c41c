"""Several backends at once, each with its own position."""

from contextlib import ExitStack

import pytest

from dashcam.testing.fake_loggly import StandIn

from ..destinations.fluentd.server import Orderly, Server
from ..processes import until
from .processes import Stage, numbers_in


@pytest.fixture
def stage(tmp_path):
    with ExitStack() as stack:
        loggly = stack.enter_context(StandIn())
        fluentd = stack.enter_context(Server(Orderly()))
        environment = loggly.environment() | {"FLUENTD_URL": f"forward://127.0.0.1:{fluentd.port}"}
        stage = stack.enter_context(Stage(tmp_path / "state", environment))
        stage.loggly, stage.fluentd = loggly, fluentd
        yield stage


def in_fluentd(stage):
    return sorted(record["labels"]["number"] for _, _, record in stage.fluentd.handle.records if "labels" in record)


def in_loggly(stage):
    return sorted(numbers_in(stage.loggly.lines()))


def test_each_backend_gets_every_event(stage):
    """Once."""
    stage.record(3000, 3000)
    stage.recorder.wait()
    stage.drain("loggly,elk")

    assert in_loggly(stage) == in_fluentd(stage) == list(range(3000))


def test_a_dead_backend_holds_back_itself_alone(stage):
    """The other gets everything meanwhile; the account names the dead one; it gets everything when it is back."""
    stage.loggly.stop()
    stage.start_shipper("loggly,elk")
    stage.record(3000, 3000)
    until(lambda: in_fluentd(stage) == list(range(3000)), "arrival in fluentd")

    routes = stage.status()["routes"]
    assert (routes["elk"]["waiting"], routes["elk"]["trouble"]) == (0, None)
    assert (routes["loggly"]["waiting"], routes["loggly"]["delivered"]) == (3000, 0)
    assert "refused" in routes["loggly"]["trouble"]["reason"]

    stage.loggly.start()
    until(lambda: in_loggly(stage) == list(range(3000)), "arrival in Loggly")
    until(lambda: stage.status()["routes"]["loggly"]["waiting"] == 0, "settled account")
    stage.stop_shipper()
    assert in_fluentd(stage) == list(range(3000))


def test_a_wrong_token_stops_one_backend_until_it_is_right(stage):
    """Nothing is lost, and it goes on by itself within 30 s of the fix."""
    stage.loggly.sending.chance({"403": 1})
    stage.start_shipper("loggly,elk")
    stage.record(500, 5000)
    until(lambda: len(in_fluentd(stage)) == 500, "arrival in fluentd")
    until(lambda: "LOGGLY_TOKEN" in stage.log(), "word of the token")

    stage.loggly.sending.chance({})
    until(lambda: len(in_loggly(stage)) == 500, "arrival in Loggly", deadline_s=30)
    stage.stop_shipper()

    assert stage.loggly.behaviour.token not in stage.log()
