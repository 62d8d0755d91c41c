"""The containers as `make up-elk` starts them, where the images of others are to be had.

What is looked for is looked for in Elasticsearch, also after a test that ships to the local store as well.
"""

import json
import re
import subprocess
import time

import pytest
import urllib3

from ..ports import free_port
from .base_images import make_missing
from .debian import Unavailable
from .elk_images import ELK_IMAGES, ELK_RECIPES
from .stack import Stack, until

pytestmark = [pytest.mark.containers, pytest.mark.long, pytest.mark.timeout(1800)]
# fluentd reads and writes JSON with oj where it finds it, and else by itself.
WITHOUT_OJ = """
USER root
RUN mkdir /without && echo "raise LoadError, 'left out'" > /without/oj.rb
USER 10001:10001
ENV RUBYLIB=/without
"""
PORTS = ("ELASTICSEARCH_PORT", "KIBANA_PORT", "FLUENTD_CONTAINERS_PORT")


@pytest.fixture(scope="module")
def ports():
    """Free ones of this machine."""
    return {name: str(free_port()) for name in PORTS}


@pytest.fixture(scope="module", params=["oj", "no oj"])
def elk(docker, table, tmp_path_factory, ports, request):
    """The stack, and what `make up-elk` said at its end."""
    try:
        make_missing(docker, ELK_IMAGES, ELK_RECIPES)
    except Unavailable as why:
        pytest.skip(str(why))
    settings = {"COMPOSE_FILE": "docker-compose.yml:docker-compose.elk.yml", **ports}
    kibana = f"http://127.0.0.1:{ports['KIBANA_PORT']}"
    stack = Stack(docker, tmp_path_factory.mktemp("elk"), KIBANA_URL=kibana, **settings)
    if request.param == "no oj":
        with (stack.folder / "logging/fluentd/Dockerfile").open("a") as file:
            file.write(WITHOUT_OJ)
    try:
        began = time.monotonic()
        stack.told = stack.make("up-elk")
        table[f"make up-elk, {request.param}"] = f"{time.monotonic() - began:.0f} s"
        yield stack
    finally:
        stack.remove()


def ask_elasticsearch(ports, key, method, path, body=None):
    """The status of an answer, for somebody with an API key."""
    headers = {"Authorization": f"ApiKey {key}", "Content-Type": "application/json"}
    with urllib3.PoolManager(timeout=30, retries=False) as pool:
        address = f"http://127.0.0.1:{ports['ELASTICSEARCH_PORT']}{path}"
        return pool.request(method, address, body=body and json.dumps(body), headers=headers).status


def keys_of(elk):
    """What the set-up left for fluentd and the shipper."""
    text = elk.compose("exec", "-T", "shipper", "cat", "/keys/elasticsearch.env")
    return dict(re.findall(r"^ELASTICSEARCH_(WRITER|READER)_KEY=(\S+)$", text, re.MULTILINE))


def test_fluentd_has_oj_or_not(elk, request):
    """What the tests of this file run with."""
    found = elk.compose("exec", "-T", "fluentd", "ruby", "-e", "begin; require 'oj'; rescue LoadError; p 0; end")

    assert found.strip() == ("0" if request.node.callspec.params["elk"] == "no oj" else "")


def test_it_says_what_to_open(elk, ports):
    """The dashboard, the request to look for, and how to get in; by then all of it is there."""
    request = re.search(r'search for http.request.id:"(\S+)"', elk.told)[1]

    assert f"Kibana: http://127.0.0.1:{ports['KIBANA_PORT']}, user elastic" in elk.told
    assert 'open the dashboard "Dashcam: request story"' in elk.told
    assert "cars, parts" in elk.dashcam("trace", request, backend="elk")
    assert elk.is_healthy()


def test_keys_have_their_rights_and_no_others(elk, ports):
    """fluentd's may add an event and nothing else, the shipper's reading one may read."""
    keys, stream, event = keys_of(elk), "/logs-dashcam-default", {"@timestamp": "2026-11-25T00:00:00Z", "message": "x"}

    def statuses(role):
        asked = [("POST", f"{stream}/_create/{role}", event), ("GET", f"{stream}/_search", None)]
        asked += [("POST", "/other/_create/1", event), ("DELETE", f"{stream}/_doc/{role}", None)]
        asked += [("DELETE", "/_index_template/dashcam-logs", None)]
        return [ask_elasticsearch(ports, keys[role], *each) for each in asked]

    assert statuses("WRITER") == [201, 403, 403, 403, 403]
    assert statuses("READER") == [403, 200, 403, 403, 403]


def test_the_doctor_finds_all_well(elk):
    """From the shipper's container, through fluentd, and back from Elasticsearch."""
    told = elk.dashcam("doctor", "--wait", "120", backend="elk", check=False)  # the machine may be busy

    assert "canary" in told
    assert "BROKEN" not in told
    assert "note   elk finding Kibana" in told  # the address is for a browser


@pytest.mark.parametrize("service", ["fluentd", "elasticsearch", "shipper"])
def test_a_killed_container_loses_nothing(elk, table, request, service):
    """Its first process, from outside, under load."""
    before = len(elk.ordered)
    with elk.load(2):
        until(lambda: len(elk.ordered) >= before + 20, "20 cars")
        for container in elk.containers(service).values():
            subprocess.run(["kill", "-9", str(container["State"]["Pid"])], check=True)
        until(lambda: len(elk.ordered) >= before + 60, "60 cars")

    until(elk.is_healthy, "health", 300)
    wanted = set(elk.ordered)
    for name in ("cars", "parts"):
        until(lambda name=name: wanted <= elk.request_ids(name, "elk"), f"requests of {name}")
    table[request.node.name] = f"{len(wanted) - before} cars ordered, 0 lost"


def test_what_postgresql_says_arrives(elk):
    """From Docker's own log driver, by way of fluentd."""

    def lines():
        return elk.dashcam("search", "service:postgres", "--json", backend="elk", check=False)

    assert until(lines, "lines of PostgreSQL")


def test_starting_again_keeps_the_backend_and_the_keys(elk):
    """`elk` was made of the default; a backend that somebody chose stays."""
    before = keys_of(elk)
    elk.change(LOG_BACKEND="local,elk")

    elk.make("up-elk")

    assert "LOG_BACKEND=local,elk\n" in (elk.folder / ".env").read_text()
    assert keys_of(elk) == before


def test_rotated_keys_are_taken(elk):
    """New ones for both, and events go on."""
    before = keys_of(elk)

    elk.make("rotate-keys")

    after = keys_of(elk)
    assert not set(before.values()) & set(after.values())
    until(lambda: elk.order() == 201, "a car")
    until(lambda: elk.ordered[-1] in elk.request_ids("parts", "elk"), "the request")
