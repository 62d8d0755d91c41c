"""Keys and roles as a real Elasticsearch with users takes them: what each may do, and what it may not."""

import json
import re
from pathlib import Path

import pytest
import requests

from dashcam.destinations.destination import KeyFile
from dashcam.destinations.elasticsearch import streams
from dashcam.destinations.elasticsearch.client import Client
from dashcam.destinations.elasticsearch.keys import set_up
from dashcam.destinations.elasticsearch.options import Options
from dashcam.settings import load

ROLES = Path(__file__).parents[3] / "logging" / "elk" / "roles"
EVENT = {"@timestamp": "2026-11-25T00:00:00Z", "message": "x", "event": {"id": "0123456789"}}
REFUSED = {"add": 403, "read": 403, "elsewhere": 403, "delete": 403, "template": 403, "key": 403}


class Administrator:
    """Who makes streams, keys and users."""

    def __init__(self, url, namespace):
        self.url, self.namespace = url, namespace
        self.client = Client(load(Options, {"ELASTICSEARCH_URL": url, "DASHCAM_NAMESPACE": namespace}))
        list(streams.set_up(self.client, namespace, 14))
        self.stream = f"logs-dashcam-{namespace}"
        self.ask("POST", f"/{self.stream}/_create/first", EVENT).raise_for_status()

    def ask(self, method, path, body=None, **options):
        return requests.request(method, f"{self.url}{path}", json=body, timeout=60, **options)

    def keys(self, path, **how):
        """What is in the file after a set-up."""
        step = set_up(self.client, KeyFile(path, **how))
        found = dict(re.findall(r"^ELASTICSEARCH_(WRITER|READER)_KEY=(\S+)$", path.read_text(), re.MULTILINE))
        return step.done, found

    def ask_with(self, key, method, path, body=None):
        """The status of an answer to whoever has that key."""
        headers = {"Authorization": f"ApiKey {key}", "Content-Type": "application/json"}
        bare = re.sub("//.*@", "//", self.url)
        return requests.request(
            method, f"{bare}{path}", data=body and json.dumps(body), headers=headers, timeout=60
        ).status_code


@pytest.fixture
def administrator(elasticsearch_with_users_url, namespace):
    """The engine's own, with our streams set up."""
    made = Administrator(elasticsearch_with_users_url, namespace)
    yield made
    made.client.close()


def statuses(administrator, key):
    """What each request of somebody with that key is answered."""
    stream, ask = administrator.stream, administrator.ask_with
    return {
        "add": ask(key, "POST", f"/{stream}/_create/{key[:20]}", EVENT),
        "read": ask(key, "GET", f"/{stream}/_search"),
        "elsewhere": ask(key, "POST", "/other/_create/1", EVENT),
        "delete": ask(key, "DELETE", f"/{stream}/_doc/first"),
        "template": ask(key, "DELETE", "/_index_template/dashcam-logs"),
        "key": ask(key, "POST", "/_security/api_key", {"name": "mine"}),
    }


def test_the_writer_adds_and_does_nothing_else(administrator, tmp_path):
    """A fluentd that somebody took over cannot read what it sent, or take it away."""
    _, keys = administrator.keys(tmp_path / "keys.env")

    assert statuses(administrator, keys["WRITER"]) == {**REFUSED, "add": 201}


def test_the_reader_reads_and_does_nothing_else(administrator, tmp_path):
    """Whoever follows stories leaves them as they are."""
    _, keys = administrator.keys(tmp_path / "keys.env")

    assert statuses(administrator, keys["READER"]) == {**REFUSED, "read": 200}


def test_keys_that_elasticsearch_lost_are_made_anew(administrator, tmp_path):
    """It is asked; keys that hold stay."""
    path = tmp_path / "keys.env"
    _, before = administrator.keys(path)
    told, kept = administrator.keys(path)
    assert (told[:4], kept) == ("kept", before)

    administrator.ask("DELETE", "/_security/api_key", {"owner": True}).raise_for_status()
    told, after = administrator.keys(path)

    assert told.startswith("made")
    assert [
        administrator.ask_with(keys["READER"], "GET", f"/{administrator.stream}/_search") for keys in (before, after)
    ] == [401, 200]


def test_a_rotation_ends_the_keys_before_the_last(administrator, tmp_path):
    """Those of the last one go on until the next."""
    path = tmp_path / "keys.env"
    given = [administrator.keys(path)[1]]
    given += [administrator.keys(path, is_rotation=True)[1] for _ in range(2)]

    answers = [administrator.ask_with(keys["READER"], "GET", f"/{administrator.stream}/_search") for keys in given]

    assert answers == [401, 200, 200]


@pytest.mark.parametrize("name", ["installer", "writer", "reader"])
def test_roles_are_taken(administrator, name):
    """As they are in logging/elk/roles."""
    role = json.loads((ROLES / f"{name}.json").read_text())

    assert administrator.ask("PUT", f"/_security/role/{name}", role).status_code == 200
