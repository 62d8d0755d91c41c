"""Kibana's own user, against a scripted Elasticsearch: the real one of the tests has no users."""

import json

import pytest

from dashcam.destinations.elasticsearch.client import Client
from dashcam.destinations.elasticsearch.options import Options
from dashcam.destinations.elasticsearch.users import set_up
from dashcam.errors import DashcamError, StoreUnreachable
from dashcam.settings import Secret, load

from ...scripted import scripted


def give(answer):
    with scripted(answer) as (url, asked):
        client = Client(load(Options, {"ELASTICSEARCH_URL": url}))
        try:
            return set_up(client, Secret("swordfish")), asked
        finally:
            client.close()


def test_the_password_is_set():
    """By the one call there is for it."""
    step, (request,) = give(lambda _: (200, {}))

    assert (request.method, request.path) == ("POST", "/_security/user/kibana_system/_password")
    assert json.loads(request.body) == {"password": "swordfish"}
    assert step.done == "has its password"


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (403, {"error": {"type": "security_exception", "reason": "no"}}, StoreUnreachable, "manage_security"),
        (400, {"error": "no handler found for uri"}, DashcamError, "no user kibana_system"),
    ],
)
def test_what_is_in_the_way_is_told(status, body, kind, text):
    """Without the password."""
    with pytest.raises(kind, match=text) as raised:
        give(lambda _: (status, body))

    assert "swordfish" not in str(raised.value)
