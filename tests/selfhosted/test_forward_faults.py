"""The way through fluentd at its worst: a stand-in that is killed and resets, before an Elasticsearch in trouble."""

import queue
import random
import threading
from contextlib import closing, contextmanager

import orjson
import pytest

from dashcam.errors import Unavailable
from dashcam.event import Line
from dashcam.ship.backends.elasticsearch import connect
from tests.ship.forward import server as servers

from ..engines import engine
from ..engines.streams import set_up, settings_for
from ..hosted.processes import Stage, until
from ..scripted import scripted
from .test_faults import Trouble, count, numbers_of


class Aggregator:
    """What fluentd is to a shipper and to Elasticsearch: a buffer that outlives its kills, and bulk requests out of it.

    A message is acknowledged once it is in the buffer; some are lost before, some acknowledgements after.
    """

    FATES = (["acknowledge"] * 6, ["lose the message"], ["lose the acknowledgement"])

    def __init__(self, settings, seed):
        self._fates = random.Random(seed)
        self._buffer = queue.Queue()
        self._backend = connect(settings)
        self._over = threading.Event()
        self._sender = threading.Thread(target=self._send)
        self._server = None
        self.port = 0

    def __enter__(self):
        self._sender.start()
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
        self._over.set()
        self._sender.join()
        self._backend.close()

    def start(self):
        until(self._is_started, "port to listen at again")  # somebody's connection may have taken it meanwhile

    def _is_started(self):
        try:
            self._server = servers.Server(self._take, port=self.port).__enter__()
        except OSError:
            return False
        self.port = self._server.port
        return True

    def kill(self):
        """Every connection ends; the buffer stays, as on a disk."""
        self._server.stop()

    def _take(self, sock):
        for (tag, body, option), _ in servers.read(sock):
            fate = self._fates.choice([fate for fates in self.FATES for fate in fates])
            if fate != "lose the message":
                self._buffer.put((tag, servers.entries(body, option)))
            if fate != "acknowledge":
                servers.abort(sock)
                return
            servers.say(sock, {"ack": option["chunk"]})

    def _send(self):
        """As fluentd: what is refused for now again, for ever."""
        while not (self._over.is_set() and self._buffer.empty()):
            try:
                tag, entries = self._buffer.get(timeout=0.1)
            except queue.Empty:
                continue
            lines = [Line(record["event"]["id"], tag == "dashcam.span", orjson.dumps(record)) for _, record in entries]
            while lines:
                lines = self._send_once(lines)

    def _send_once(self, lines):
        try:
            rest = self._backend.ship(lines)
        except Unavailable:
            self._over.wait(0.05)
            return lines
        assert not (rest and rest.refused)
        return [lines[place] for place in rest.again] if rest else []


@contextmanager
def kills(aggregator, seed):
    """Kill and start it every now and then while the block runs."""
    over, moments = threading.Event(), random.Random(seed)

    def strike():
        while not over.wait(moments.uniform(0.5, 2)):
            aggregator.kill()
            over.wait(moments.uniform(0, 0.3))
            aggregator.start()

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def ship_all(folder, trouble, namespace, events, interrupt):
    """Record and ship under kills, interrupt when a fifth is delivered; the account at the end."""
    with (
        closing(trouble),
        scripted(trouble.answer) as (url, _),
        Aggregator(settings_for(url, namespace), seed=7) as aggregator,
        Stage(folder, {"FLUENTD_URL": f"forward://127.0.0.1:{aggregator.port}"}) as stage,
    ):
        stage.start_shipper("elk")
        with kills(aggregator, seed=11):
            stage.record(events, 10_000)
            until(lambda: stage.status()["routes"]["elk"]["delivered"] > events // 5, "fifth", 120)
            interrupt()
            assert stage.recorder.wait(timeout=300) == 0
        until(lambda: stage.status()["routes"]["elk"]["waiting"] == 0, "settled account", 300)
        stage.stop_shipper()
        return stage.status()


def test_kills_resets_and_lost_acknowledgements(elasticsearch_url, namespace, tmp_path):
    """Every event is indexed once, and none is in the dead letters."""
    settings = settings_for(elasticsearch_url, namespace)
    set_up(settings)

    account = ship_all(tmp_path, Trouble(elasticsearch_url), namespace, 5000, lambda: None)

    assert count(settings) == 5000
    assert sorted(numbers_of(settings)) == list(range(5000))
    assert account["recorded"] == account["routes"]["elk"]["delivered"]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_an_engine_that_is_killed_behind_it(namespace, tmp_path, pytestconfig):
    """100,000 events, the aggregator killed all the while, Elasticsearch killed once and away for a minute."""
    home = tmp_path / "engine"
    home.mkdir()
    command = engine.elasticsearch_command(pytestconfig.cache.mkdir("engines"), home)
    nodes = [engine.start(command, home)]
    settings = settings_for(nodes[0].url, namespace)
    set_up(settings)
    trouble = Trouble(nodes[0].url)

    def interrupt():
        nodes[0].kill()
        threading.Event().wait(60)
        nodes.append(engine.start(command, home))
        trouble.engine_url = nodes[1].url

    ship_all(tmp_path, trouble, namespace, 100_000, interrupt)

    settings = settings_for(nodes[1].url, namespace)
    assert count(settings) == 100_000
    assert sorted(numbers_of(settings)) == list(range(100_000))
    nodes[1].stop()
