"""The stack one runs oneself, at its worst: killed anywhere, resetting, refusing, away for a while. Nothing is lost."""

import random
import threading
from contextlib import ExitStack, closing, contextmanager
from itertools import cycle, islice

import pytest
import requests

from dashcam.destinations.elasticsearch.client import logs_stream
from dashcam.destinations.elasticsearch.store import open_store
from dashcam.find.query import STATEMENT, Not, Query

from ..engines import engine
from ..engines.streams import set_up, settings_for
from ..hosted.processes import Stage
from ..processes import until
from ..scripted import scripted
from .relay import RelayProcess
from .trouble import Trouble

RESETS = 0.2  # of the messages to the relay
PER_S = 10_000
ROUTES = ["elasticsearch", "elk"]


class Shipping(Stage):
    """A machine that records and ships by a route, and whatever on this way can be killed."""

    def __init__(self, folder, environment, route, relay):
        super().__init__(folder, environment)
        self.route, self.relay = route, relay

    def start_shipper(self):
        super().start_shipper(self.route)

    def kill_shipper(self):
        super().kill_shipper()
        self.start_shipper()

    def kill_relay(self):
        self.relay.kill()
        self.relay.start()

    def kill_at_random(self, times, longest_s):
        """Kill the shipper and the relay in turn, at random moments."""
        victims = cycle([self.kill_shipper, self.kill_relay] if self.relay else [self.kill_shipper])
        for kill in islice(victims, times):
            threading.Event().wait(random.uniform(0, longest_s))
            kill()

    def settled_account(self):
        """What became of the events, once none of them waits."""
        until(lambda: self._account()["waiting"] == 0, "settled account", 300)
        self.stop_shipper()
        account = self._account()
        return {name: account[name] for name in ("delivered", "waiting", "dead")}

    def _account(self):
        return self.status()["routes"][self.route]


@contextmanager
def shipping(folder, route, trouble, namespace):
    """Ship into a troubled engine; for `elk` by a relay that resets connections."""
    with closing(trouble), scripted(trouble.answer) as (url, _), ExitStack() as stack:
        environment, relay = {"ELASTICSEARCH_URL": url, "DASHCAM_NAMESPACE": namespace}, None
        if route == "elk":
            relay = stack.enter_context(RelayProcess(folder / "relay", url, namespace, RESETS))
            environment |= relay.environment
        yield stack.enter_context(Shipping(folder / "state", environment, route, relay))


def numbers_of(settings):
    store = open_store(settings)
    numbers = [event.labels["number"] for event in store.find(Query(Not(STATEMENT)))]
    store.close()
    return sorted(numbers)


def count(settings):
    """How many documents there are, second copies included, without statements of segments."""
    stream = f"{settings.url}/{logs_stream(settings.namespace)}"
    optional = {"ignore_unavailable": "true"}
    requests.post(f"{stream}/_refresh", params=optional, timeout=30)
    events = {"query": {"bool": {"must_not": {"term": {"event.action": STATEMENT.value}}}}}
    return requests.get(f"{stream}/_count", params=optional, json=events, timeout=30).json().get("count", 0)


@pytest.mark.timeout(400)  # most take 10 s; an account that settles late is waited for
@pytest.mark.parametrize(
    ("engine_url", "route"),
    [
        ("opensearch", "elasticsearch"),
        ("elasticsearch", "elk"),
        pytest.param("elasticsearch", "elasticsearch", marks=pytest.mark.long),
        pytest.param("opensearch", "elk", marks=pytest.mark.long),
    ],
    indirect=["engine_url"],
)
def test_refusals_kills_and_lost_answers(engine_url, namespace, tmp_path, route):
    """Every event is indexed once, and none is in the dead letters."""
    settings = settings_for(engine_url, namespace)
    set_up(settings)

    with shipping(tmp_path, route, Trouble(engine_url), namespace) as stage:
        stage.start_shipper()
        stage.record(1500, PER_S // 4)
        stage.kill_at_random(3, longest_s=0.5)
        assert stage.recorder.wait(timeout=60) == 0
        assert stage.settled_account() == {"delivered": 1500, "waiting": 0, "dead": 0}
        until(lambda: count(settings) >= 1500, "arrival of all")

    assert count(settings) == 1500
    assert numbers_of(settings) == list(range(1500))


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("route", ROUTES)
def test_a_hundred_thousand_events(namespace, tmp_path, pytestconfig, route):
    """All that, and the engine killed and away for a minute."""
    home = tmp_path / "engine"
    home.mkdir()
    command = engine.elasticsearch_command(pytestconfig.cache.mkdir("engines"), home)
    node = engine.start(command, home)
    set_up(settings_for(node.url, namespace))
    trouble = Trouble(node.url)

    with shipping(tmp_path, route, trouble, namespace) as stage:
        stage.start_shipper()
        stage.record(100_000, PER_S)
        until(lambda: count(settings_for(node.url, namespace)) > 20_000, "fifth", 120)
        node.kill()
        stage.kill_at_random(20, longest_s=6)
        node = engine.start(command, home)
        trouble.engine_url = node.url
        stage.kill_at_random(20, longest_s=2)
        assert stage.recorder.wait(timeout=120) == 0
        assert stage.settled_account() == {"delivered": 100_000, "waiting": 0, "dead": 0}
        settings = settings_for(node.url, namespace)
        until(lambda: count(settings) >= 100_000, "arrival of all", 300)

    assert count(settings) == 100_000
    assert numbers_of(settings) == list(range(100_000))
    node.stop()
