"""A real Elasticsearch with half an hour of traffic, for the pictures and searches."""

import pytest
import requests

from dashcam.destinations.elasticsearch.backend import connect
from dashcam.destinations.elasticsearch.client import dead_letters_stream
from tests.engines.streams import new_namespace, set_up, settings_for

from . import traffic


@pytest.fixture(scope="package")
def stack(elasticsearch_url):
    """The settings of a namespace that holds the half hour."""
    return fill(elasticsearch_url, new_namespace())


def fill(url, namespace):
    """Put the half hour into a namespace of an engine; gives its settings."""
    settings = settings_for(url, namespace)
    set_up(settings)
    backend, lines = connect(settings), traffic.lines()
    for start in range(0, len(lines), 500):
        assert backend.ship(lines[start : start + 500]) is None
    backend.close()
    for id_, note in traffic.dead_letters():
        address = f"{url}/{dead_letters_stream(namespace)}/_create/{id_}"
        requests.post(address, note, headers={"Content-Type": "application/json"}, timeout=30).raise_for_status()
    requests.post(f"{url}/*{namespace}*/_refresh", timeout=30).raise_for_status()
    return settings
