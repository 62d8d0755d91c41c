"""Importing saved objects, against a scripted Kibana."""

import pytest

from dashcam.destinations.elasticsearch.client import Client
from dashcam.destinations.elasticsearch.kibana import set_up
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
        ((401, {"error": "Unauthorized"}), "wants to know who asks"),
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
