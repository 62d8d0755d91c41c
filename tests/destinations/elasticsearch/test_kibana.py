"""Importing saved objects, against a scripted Kibana."""

from contextlib import closing

import orjson
import pytest

from dashcam.destinations.checks import Broken
from dashcam.destinations.elasticsearch.client import Client
from dashcam.destinations.elasticsearch.kibana import add_log_source, check_log_sources, set_up
from dashcam.destinations.elasticsearch.options import Options
from dashcam.errors import DashcamError, SettingsError, StoreUnreachable
from dashcam.settings import load

from ...scripted import scripted

OBJECTS = b'{"type":"index-pattern","id":"dashcam","attributes":{}}\n'


def import_into(answer):
    with scripted(answer) as (url, asked):
        client = Client(load(Options, {"KIBANA_URL": f"{url}/s/cars"}), "KIBANA_URL")
        try:
            return set_up(client, OBJECTS), asked
        finally:
            client.close()


def test_objects_are_sent_as_a_form():
    """To the space in the address, replacing what is there, with the header that Kibana asks for."""
    step, asked = import_into(lambda _: (200, {"success": True, "successCount": 1}))

    (request,) = asked
    assert request.path == "/s/cars/api/saved_objects/_import"
    assert request.params == {"overwrite": "true"}
    assert request.headers["kbn-xsrf"] == "dashcam"
    assert b'name="file"; filename="dashcam.ndjson"' in request.body
    assert OBJECTS in request.body
    assert step.done == "imported 1"


def test_a_200_without_success_is_a_failure():
    """Kibana takes some objects and says OK; the text names those it did not take."""
    errors = [{"type": "dashboard", "id": "story", "error": {"type": "missing_references"}}]
    answer = {"success": False, "successCount": 3, "errors": errors}

    with pytest.raises(DashcamError, match="dashboard story: missing_references"):
        import_into(lambda _: (200, answer))


def test_many_failures_are_counted():
    """Five are enough to see what is wrong."""
    errors = [{"type": "search", "id": str(number), "error": {"type": "unknown"}} for number in range(9)]

    with pytest.raises(DashcamError, match=r"search 4: unknown and 4 more$"):
        import_into(lambda _: (200, {"success": False, "errors": errors}))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((401, {"error": "Unauthorized"}), "needs credentials"),
        ((403, {"error": "Forbidden"}), "Saved Objects Management"),
        ((503, b"Kibana server is not ready yet"), "503"),
        ((200, b"<html>"), "check KIBANA_URL"),
    ],
)
def test_a_kibana_that_does_not_take_them(answer, text):
    """What was seen, and what to do."""
    with pytest.raises(StoreUnreachable, match=text):
        import_into(lambda _: answer)


def test_without_an_address():
    """The setting that is missing is named."""
    with pytest.raises(SettingsError, match="KIBANA_URL is not set"):
        set_up(Client(load(Options, {}), "KIBANA_URL"))


class Kibana:
    """Its advanced settings; what is asked is kept."""

    def __init__(self, sources=None, status=200):
        self.settings = {} if sources is None else {"observability:logSources": {"userValue": sources}}
        self.status = status

    def __call__(self, asked):
        assert asked.path == "/internal/kibana/settings"
        assert {"kbn-xsrf", "x-elastic-internal-origin"} <= {name.lower() for name in asked.headers}
        if self.status != 200:
            return self.status, {"statusCode": self.status, "error": "as asked for"}
        if asked.method == "POST":
            for name, value in orjson.loads(asked.body)["changes"].items():
                self.settings[name] = {"userValue": value}
        return 200, {"settings": self.settings}


def with_kibana(kibana, use):
    """What is done with a Kibana's settings, by the name of a namespace."""
    with scripted(kibana) as (url, _):
        client = Client(load(Options, {"KIBANA_URL": url}), "KIBANA_URL")
        try:
            return use(client, "cars")
        finally:
            client.close()


@pytest.mark.parametrize("sources", [None, ["logs-*"], ["x", "filebeat-*,logs-dashcam-*"], ["logs-dashcam-cars"]])
def test_log_sources_that_have_our_stream_stay(sources):
    """Kibana's own have it."""
    kibana = Kibana(sources)
    before = dict(kibana.settings)

    assert with_kibana(kibana, add_log_source).done == "have logs-dashcam-cars"
    assert with_kibana(kibana, check_log_sources) == "have logs-dashcam-cars"
    assert kibana.settings == before


@pytest.mark.parametrize("sources", [["logs-nginx-*"], ["remote:logs-*"], ["logs,logs.*"], ["logs-dashcam-cars2"]])
def test_our_stream_is_added_to_log_sources_of_others(sources):
    """The doctor finds that it is missing, and that it is there afterwards."""
    kibana = Kibana(sources)

    with pytest.raises(Broken, match="Kibana shows no log lines of logs-dashcam-cars"):
        with_kibana(kibana, check_log_sources)
    assert "logs-dashcam-cars added" in with_kibana(kibana, add_log_source).done

    assert kibana.settings["observability:logSources"]["userValue"] == [*sources, "logs-dashcam-cars"]
    assert with_kibana(kibana, check_log_sources) == "have logs-dashcam-cars"


def test_a_kibana_without_log_sources_is_left_alone():
    """OpenSearch Dashboards has none, and an older Kibana has them elsewhere."""
    assert with_kibana(Kibana(status=404), add_log_source).done == "need no setting"
    assert with_kibana(Kibana(status=403), check_log_sources) == "Kibana's settings may not be read"


def test_a_kibana_that_cannot_be_asked_is_not_in_the_way():
    """As from a container: KIBANA_URL is the address for a browser. A note says so, and events are found without it."""
    ill = with_kibana(Kibana(status=503), check_log_sources)
    away = Client(load(Options, {"KIBANA_URL": "http://127.0.0.1:1"}), "KIBANA_URL")
    with closing(away):
        note = check_log_sources(away, "cars")

    assert "503" in ill.seen
    assert "http://127.0.0.1:1" in note.seen
    assert "browser" in note.fix
