"""What of Kibana the commands show: the pack, and where a story is to be seen."""

from urllib.parse import unquote

import pytest

from dashcam.cli import OK, main
from dashcam.destinations.elasticsearch.saved_objects import kibana_pack
from dashcam.settings import Settings
from dashcam.show.links import links_of
from dashcam.show.story import build_story
from tests.show import events

STORY = build_story(events.created())


def test_the_pack_is_printed(capsysbinary):
    """Byte for byte, to be imported by hand."""
    assert main(["setup", "kibana-pack"]) == OK

    assert capsysbinary.readouterr().out == kibana_pack()


@pytest.mark.parametrize("route", ["elk", "elasticsearch"])
def test_a_story_in_elasticsearch_is_linked_to_kibana(route):
    """Two addresses, the dashboard first."""
    links = links_of(STORY, route, Settings.load({"KIBANA_URL": "https://kibana.example"}))

    assert list(links) == ["kibana_dashboard", "kibana_discover"]
    assert all(events.TRACE_ID in unquote(link) for link in links.values())


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LOG_BACKEND": "elk"},
        {"LOG_BACKEND": "local", "KIBANA_URL": "https://kibana.example"},
        {"LOG_BACKEND": "loggly"},
    ],
)
def test_nothing_is_linked_where_nothing_shows_it(environment):
    """Another store, or no address of one."""
    settings = Settings.load(environment)

    assert links_of(STORY, settings.routes[0], settings) == {}


def test_a_story_in_loggly_is_linked_to_loggly():
    """By the account's name."""
    links = links_of(STORY, "loggly", Settings.load({"LOGGLY_SUBDOMAIN": "acme"}))

    assert links["loggly"].startswith("https://acme.loggly.com/search#")
