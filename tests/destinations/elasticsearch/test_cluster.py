"""A real cluster of three nodes behind one address: each node is killed in turn while events arrive."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count, islice

import pytest
import requests

from ...balancer import balanced
from ...engines import engine
from ...engines.plugin import NO_JARS
from ...engines.streams import documents, new_namespace, set_up, settings_for
from ...ports import free_port
from ...processes import running_dashcam, until
from ...spool.spools import log_line, write_to

NAMES = ("first", "second", "third")
EVENTS_A_STEP = 1_000
LIMIT_S = 400  # three nodes at once on a machine that may be busy
CONFIGURATION = """
node.name: {name}
discovery.type: multi-node
discovery.seed_hosts: {seeds}
cluster.initial_master_nodes: {masters}
transport.port: {port}
"""


class Cluster:
    """Three nodes that know each other."""

    def __init__(self, cache, folder):
        ports = {name: free_port() for name in NAMES}
        seeds = [f"127.0.0.1:{port}" for port in ports.values()]
        self._commands, self.nodes = {}, {}
        for name, port in ports.items():
            home = folder / name
            home.mkdir()
            self._commands[home] = engine.elasticsearch_with_users_command(cache, home)
            (home / "config").mkdir()
            text = CONFIGURATION.format(name=name, seeds=seeds, masters=list(NAMES), port=port)
            (home / "config" / "elasticsearch.yml").write_text(text)

    def start(self, home):
        """Start a node, for the first time or again."""
        self.nodes[home] = engine.start(self._commands[home], home, LIMIT_S)

    def start_all(self):
        """Start all nodes: each waits for another one before it answers."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(self.start, self._commands))

    def ports(self):
        """Where nodes listen for HTTP, or did before they were killed."""
        return [int(node.url.rpartition(":")[2]) for node in self.nodes.values()]

    def end(self):
        for node in self.nodes.values():
            node.kill()


@pytest.fixture
def cluster(pytestconfig, tmp_path):
    """A cluster that answers."""
    try:
        made = Cluster(pytestconfig.cache.mkdir("engines"), tmp_path)
    except requests.ConnectionError:
        pytest.skip(NO_JARS)
    try:
        made.start_all()
        yield made
    finally:
        made.end()


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_killed_node_loses_nothing(cluster, tmp_path):
    """Neither the master nor another one: each event is there once, on two nodes."""
    namespace = new_namespace()
    with balanced(cluster.ports) as address:
        url = f"http://elastic:{engine.PASSWORD}@{address}"
        settings = settings_for(url, namespace)
        wait_until_green(url)
        set_up(settings)
        writer = write_to(tmp_path / "spool")
        environment = {"LOG_BACKEND": "elasticsearch", "ELASTICSEARCH_URL": url, "DASHCAM_NAMESPACE": namespace}
        numbers = count()

        def write_and_find():
            for number in islice(numbers, EVENTS_A_STEP):
                writer.append(log_line(number))
            written = number + 1
            until(lambda: len(found(settings)) == written, "events", LIMIT_S)

        with running_dashcam("ship", folder=tmp_path, **environment):
            for home, node in list(cluster.nodes.items()):
                write_and_find()
                wait_until_green(url)
                node.kill()
                write_and_find()
                cluster.start(home)
        writer.close()
        numbers_found = found(settings)
    assert sorted(numbers_found) == list(range(6 * EVENTS_A_STEP))


def wait_until_green(url):
    """Wait until all three nodes are there, and each index is on two of them."""
    health = f"{url}/_cluster/health?wait_for_status=green&wait_for_nodes=3&timeout={LIMIT_S}s"
    answer = requests.get(health, timeout=LIMIT_S + 10)
    assert answer.json()["status"] == "green", answer.text


def found(settings):
    """The numbers of all lines, beside which are notes of the shipper; none while a node that was asked is killed."""
    with suppress(requests.RequestException):
        messages = [each["_source"]["message"] for each in documents(settings)]
        return [int(message) for message in messages if message.isdigit()]
    return []
