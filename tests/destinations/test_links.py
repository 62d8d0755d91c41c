"""Where else a story is shown, by route and settings."""

import pytest

from dashcam.destinations.registry import links
from dashcam.event import Event
from dashcam.show.story import build_story

from ..show import events

STORY = build_story(events.created())
ENVIRONMENT = {"KIBANA_URL": "http://elastic:secret@127.0.0.1:5601", "LOGGLY_SUBDOMAIN": "acme"}


@pytest.mark.parametrize("route", ["elk", "elasticsearch"])
def test_kibana_shows_what_elasticsearch_holds(route):
    """On the dashboard and in Discover; who logs in there is nobody's business."""
    addresses = links(route, STORY, ENVIRONMENT)

    assert list(addresses) == ["kibana_dashboard", "kibana_discover"]
    assert all(link.startswith("http://127.0.0.1:5601/app/") for link in addresses.values())


def test_loggly_shows_its_own():
    """In its search page."""
    addresses = links("loggly", STORY, ENVIRONMENT)

    assert list(addresses) == ["loggly"]
    assert addresses["loggly"].startswith("https://acme.loggly.com/search#")


@pytest.mark.parametrize("route", ["local", "elk", "elasticsearch", "loggly"])
def test_no_setting_no_link(route):
    """And a route that has no pages of its own has none anyway."""
    assert links(route, STORY, ENVIRONMENT if route == "local" else {}) == {}


@pytest.mark.parametrize("route", ["elk", "loggly"])
def test_events_outside_of_any_request_have_no_link(route):
    """There is no id to ask for."""
    lonely = Event({"@timestamp": "2026-11-24T01:00:00Z", "message": "started", "event": {"id": "seg-1"}})

    assert links(route, build_story([lonely]), ENVIRONMENT) == {}
