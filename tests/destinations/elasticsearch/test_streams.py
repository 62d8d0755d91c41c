"""Setting up templates, life cycle and streams: in both real engines, and what they lack in a scripted one."""

import orjson
import pytest
import requests

from dashcam.destinations.elasticsearch.backend import connect
from dashcam.destinations.elasticsearch.client import Client, logs_stream
from dashcam.destinations.elasticsearch.options import Options
from dashcam.destinations.elasticsearch.streams import set_up
from dashcam.errors import StoreUnreachable
from dashcam.settings import load
from dashcam.testing.backend_contract import line

from ...engines.streams import documents, settings_for
from ...scripted import scripted


def steps(settings):
    client = Client(settings)
    done = {step.what: step.done for step in set_up(client, settings.namespace, settings.retention_days)}
    client.close()
    return done


@pytest.fixture
def settings(engine_url, namespace):
    return settings_for(engine_url, namespace)


def get(settings, path):
    answer = requests.get(f"{settings.url}{path}", timeout=30)
    answer.raise_for_status()
    return answer.json()


def ship(settings, *lines):
    backend = connect(settings)
    assert backend.ship(lines) is None
    backend.close()


def test_setting_up_again_changes_nothing(settings):
    """It may run at every start of a stack."""
    steps(settings)
    ship(settings, line(1))
    stream = f"/{logs_stream(settings.namespace)}"
    before = get(settings, stream)

    steps(settings)

    assert get(settings, stream) == before
    assert len(documents(settings)) == 1


def test_another_template_does_not_get_between(settings):
    """Elasticsearch's own covers every `logs-*-*`, and its pipelines would change what is stored."""
    other = {
        "index_patterns": ["logs-*-*", "traces-apm*"],
        "priority": 200,
        "data_stream": {},
        "template": {"settings": {"index.final_pipeline": "theirs"}, "mappings": {"dynamic": True}},
    }
    template = f"{settings.url}/_index_template/theirs"
    requests.put(template, json=other, timeout=30).raise_for_status()
    steps(settings)

    path = f"/_index_template/_simulate_index/{logs_stream('another')}"
    simulated = requests.post(f"{settings.url}{path}", timeout=30).json()["template"]

    requests.delete(template, timeout=30).raise_for_status()
    assert simulated["settings"]["index"]["final_pipeline"] == "_none"
    assert simulated["settings"]["index"]["default_pipeline"] == "_none"
    assert simulated["mappings"]["dynamic"] == "false"


@pytest.mark.parametrize("labelled", [10, pytest.param(100, marks=pytest.mark.long)])
def test_labels_without_end_are_one_field(settings, labelled):
    """1,000 names in each event, each another; the limit of an index is 1,000 fields."""
    steps(settings)
    ship(settings, line(0))
    before = get(settings, f"/{logs_stream(settings.namespace)}/_mapping")

    ship(settings, *map(_with_labels, range(1, labelled + 1)))

    assert len(documents(settings)) == labelled + 1
    assert get(settings, f"/{logs_stream(settings.namespace)}/_mapping") == before


def _with_labels(number):
    sent = line(number)
    labels = {f"label_{number}_{place}": place for place in range(1000)}
    return sent._replace(data=orjson.dumps(orjson.loads(sent.data) | {"labels": labels}))


def test_a_stream_with_older_fields_goes_on_in_a_new_index(settings):
    """The old index keeps what it has; both are found."""
    steps(settings)
    ship(settings, line(1))
    stream = f"{settings.url}/{logs_stream(settings.namespace)}"
    requests.put(f"{stream}/_mapping", json={"_meta": {"dashcam": {"version": 0}}}, timeout=30).raise_for_status()

    done = steps(settings)
    ship(settings, line(2))

    assert done[f"stream {logs_stream(settings.namespace)}"] == "continues in a new index with the current fields"
    assert len({document["_index"] for document in documents(settings)}) == 2
    assert "new index" not in str(steps(settings))


class Cluster:
    """What a cluster of some version answers, and what was put there; `existing` maps paths to what is found there."""

    def __init__(self, version, existing=None, **banner):
        self.banner = {"version": {"number": version, **banner}}
        self.existing = existing or {}
        self.put = {}

    def answer(self, asked):
        if asked.path == "/":
            return 200, self.banner
        if asked.method == "GET":
            return (200, self.existing[asked.path]) if asked.path in self.existing else (404, {"error": "not found"})
        if asked.path in self.existing and asked.path.startswith("/_data_stream/"):
            return 400, {"error": self.existing[asked.path]}
        self.put[asked.path] = asked.params, asked.json if asked.body else None
        return 200, {"acknowledged": True}


EXISTS = {"type": "resource_already_exists_exception", "reason": "data_stream [logs-dashcam-default] already exists"}


def set_up_in(cluster, **environment):
    with scripted(cluster.answer) as (url, _):
        return steps(load(Options, {"ELASTICSEARCH_URL": url, **environment}))


def test_late_elasticsearch_keeps_the_time_itself():
    """The retention is the stream's own; no policy is made."""
    cluster = Cluster("9.5.3")

    set_up_in(cluster, DASHCAM_RETENTION="30d")

    _, template = cluster.put["/_index_template/dashcam-logs"]
    assert template["template"]["lifecycle"] == {"data_retention": "30d"}
    assert template["template"]["data_stream_options"] == {"failure_store": {"enabled": False}}
    assert "/_ilm/policy/dashcam" not in cluster.put


def test_a_stream_that_is_there_gets_the_present_retention():
    """A template says it to new streams only."""
    cluster = Cluster("9.5.3", existing={"/_data_stream/logs-dashcam-default": EXISTS})

    set_up_in(cluster, DASHCAM_RETENTION="3d")

    assert cluster.put["/_data_stream/logs-dashcam-default/_lifecycle"] == ({}, {"data_retention": "3d"})


def test_older_elasticsearch_gets_a_policy():
    """Indices name it, and it deletes what is older than the retention."""
    cluster = Cluster("8.13.4")

    set_up_in(cluster, DASHCAM_RETENTION="30d")

    _, policy = cluster.put["/_ilm/policy/dashcam"]
    _, component = cluster.put["/_component_template/dashcam-settings"]
    assert policy["policy"]["phases"]["delete"]["min_age"] == "30d"
    assert component["template"]["settings"]["index"]["lifecycle"] == {"name": "dashcam"}
    assert "lifecycle" not in cluster.put["/_index_template/dashcam-logs"][1]["template"]


@pytest.mark.parametrize(("version", "has_mode"), [("7.17.28", False), ("8.16.0", False), ("8.17.0", True)])
def test_only_settings_that_a_version_knows(version, has_mode):
    """An unknown one is a 400 for the whole template."""
    cluster = Cluster(version)

    set_up_in(cluster)

    _, component = cluster.put["/_component_template/dashcam-settings"]
    assert ("mode" in component["template"]["settings"]["index"]) == has_mode


def test_opensearch_gets_a_policy_of_its_own():
    """It attaches itself to the streams by their names."""
    cluster = Cluster("3.8.0", distribution="opensearch")

    set_up_in(cluster, DASHCAM_RETENTION="30d")

    params, body = cluster.put["/_plugins/_ism/policies/dashcam"]
    assert params == {}
    assert body["policy"]["states"][0]["transitions"][0]["conditions"] == {"min_rollover_age": "30d"}
    assert body["policy"]["ism_template"][0]["index_patterns"] == ["logs-dashcam-*", "traces-apm.dashcam-*"]


def test_opensearch_replaces_the_policy_it_was_shown():
    """It takes a new one only from who names the state of the old one."""
    path = "/_plugins/_ism/policies/dashcam"
    cluster = Cluster("3.8.0", existing={path: {"_seq_no": 7, "_primary_term": 2}}, distribution="opensearch")

    set_up_in(cluster)

    assert cluster.put[path][0] == {"if_seq_no": "7", "if_primary_term": "2"}


def test_an_engine_without_policies_says_that_nothing_is_deleted(opensearch_url, namespace):
    """Silence would be found out when the disk is full."""
    done = steps(settings_for(opensearch_url, namespace))

    assert "old events stay" in done["policy dashcam"]


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/_ilm", "manage_ilm"),
        ("/_component_template", "manage_index_templates"),
        ("/_index_template", "manage_index_templates"),
        ("/_data_stream", "manage on the streams"),
    ],
)
def test_a_missing_right_is_named(path, right):
    """With what was asked for, and by whom."""
    cluster = Cluster("8.13.4")

    def answer(asked):
        if asked.path.startswith(path):
            return 403, {"error": {"type": "security_exception", "reason": "action is unauthorized"}}
        return cluster.answer(asked)

    with scripted(answer) as (url, _), pytest.raises(StoreUnreachable, match=right):
        steps(load(Options, {"ELASTICSEARCH_URL": url}))


def test_a_version_that_is_too_old_is_left_alone():
    """Nothing is half set up."""
    cluster = Cluster("7.16.3")

    with pytest.raises(StoreUnreachable, match=r"7\.16 .* is too old"):
        set_up_in(cluster)

    assert cluster.put == {}


def test_an_index_in_the_way_is_said():
    """Something shipped before the templates were there."""
    fault = {"type": "illegal_state_exception", "reason": "data stream [x] conflicts with index [x]"}
    cluster = Cluster("9.5.3", existing={"/_data_stream/logs-dashcam-default": fault})

    with pytest.raises(StoreUnreachable, match=r"stream logs-dashcam-default: .* conflicts with index"):
        set_up_in(cluster)
