"""Elasticsearch at its worst, by the direct route: refusals, halves, lost answers, and stopped for a while."""

import threading
from contextlib import closing
from itertools import cycle

import orjson
import pytest
import requests

from dashcam.elastic import logs_stream
from dashcam.find.query import Query
from dashcam.find.stores.elasticsearch import open_store

from ..engines import engine
from ..engines.streams import documents, set_up, settings_for
from ..hosted.processes import Stage, until
from ..scripted import scripted


class Trouble:
    """Passes requests on to an engine; bulk requests meet in turn what a cluster under load does to them."""

    FATES = ("429", "503", "lost answer", "half", "passed on", "passed on")

    def __init__(self, engine_url):
        self.engine_url = engine_url
        self._fates = cycle(self.FATES)
        self._session = requests.Session()

    def close(self):
        self._session.close()

    def answer(self, asked):
        match next(self._fates) if asked.path == "/_bulk" else "passed on":
            case "429" | "503" as status:
                return self._refuse(int(status))
            case "lost answer":
                self._pass_on(asked)
                return self._refuse(502)
            case "half":
                return self._take_half(asked)
        return self._pass_on(asked)

    @staticmethod
    def _refuse(status):
        return status, {"error": {"type": "unlucky", "reason": "try again"}, "status": status}

    def _take_half(self, asked):
        """Every second event is taken, the others are refused for now."""
        lines = asked.body.split(b"\n")[:-1]
        pairs = [b"%b\n%b\n" % pair for pair in zip(lines[::2], lines[1::2], strict=True)]
        status, body = self._pass_on(asked._replace(body=b"".join(pairs[::2])))
        taken = iter(orjson.loads(body)["items"]) if status == 200 else iter(())
        busy = {"create": {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "busy"}}}
        return status, {"items": [busy if place % 2 else next(taken, busy) for place in range(len(pairs))]}

    def _pass_on(self, asked):
        url, headers = self.engine_url + asked.path, {"Content-Type": asked.headers.get("Content-Type", "")}
        try:
            answer = self._session.request(
                asked.method, url, params=asked.params, data=asked.body, headers=headers, timeout=60
            )
        except requests.ConnectionError:
            return self._refuse(502)
        return answer.status_code, answer.content


def ship_all(folder, trouble, namespace, events, interrupt):
    """Record and ship, interrupt when a fifth has arrived; the account at the end."""
    with closing(trouble), scripted(trouble.answer) as (url, _):
        given = {"ELASTICSEARCH_URL": url, "DASHCAM_NAMESPACE": namespace}
        with Stage(folder, given) as stage:
            stage.start_shipper("elasticsearch")
            stage.record(events, 10_000)
            until(lambda: stage.status()["routes"]["elasticsearch"]["delivered"] > events // 5, "fifth", 120)
            interrupt()
            assert stage.recorder.wait(timeout=120) == 0
            until(lambda: stage.status()["routes"]["elasticsearch"]["waiting"] == 0, "settled account", 300)
            stage.stop_shipper()
            return stage.status()


def numbers_of(settings):
    store = open_store(settings)
    numbers = [event.labels["number"] for event in store.find(Query())]
    store.close()
    return numbers


def count(settings):
    documents(settings)
    url = f"{settings.elasticsearch_url}/{logs_stream(settings.namespace)}/_count"
    return requests.get(url, timeout=30).json()["count"]


def test_refusals_and_lost_answers(engine_url, namespace, tmp_path):
    """Every event is indexed once, and none is in the dead letters."""
    settings = settings_for(engine_url, namespace)
    set_up(settings)
    trouble = Trouble(engine_url)

    account = ship_all(tmp_path, trouble, namespace, 5000, lambda: None)

    assert sorted(numbers_of(settings)) == list(range(5000))
    assert count(settings) == 5000
    assert account["recorded"] == account["routes"]["elasticsearch"]["delivered"]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_an_engine_that_is_killed(namespace, tmp_path, pytestconfig):
    """Killed amid 100,000 events, away for a minute, and troubled before and after."""
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
    assert sorted(numbers_of(settings)) == list(range(100_000))
    assert count(settings) == 100_000
    nodes[1].stop()
