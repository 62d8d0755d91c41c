"""Where else a story is shown, by route and settings."""

import pytest

from dashcam.event import Event
from dashcam.settings import Settings
from dashcam.show.links import links_of
from dashcam.show.story import build_story

from ..show import events

STORY = build_story(events.created())
SETTINGS = Settings.load({"KIBANA_URL": "http://elastic:secret@127.0.0.1:5601", "LOGGLY_SUBDOMAIN": "acme"})


@pytest.mark.parametrize("route", ["elk", "elasticsearch"])
def test_kibana_shows_what_elasticsearch_holds(route):
    """On the dashboard and in Discover; who logs in there is nobody's business."""
    links = links_of(STORY, route, SETTINGS)

    assert list(links) == ["kibana_dashboard", "kibana_discover"]
    assert all(link.startswith("http://127.0.0.1:5601/app/") for link in links.values())


def test_loggly_shows_its_own():
    """In its search page."""
    links = links_of(STORY, "loggly", SETTINGS)

    assert list(links) == ["loggly"]
    assert links["loggly"].startswith("https://acme.loggly.com/search#")


@pytest.mark.parametrize("route", ["local", "elk", "elasticsearch", "loggly"])
def test_no_setting_no_link(route):
    """And a route that has no pages of its own has none anyway."""
    assert links_of(STORY, route, SETTINGS if route == "local" else Settings.load({})) == {}


@pytest.mark.parametrize("route", ["elk", "loggly"])
def test_events_outside_of_any_request_have_no_link(route):
    """There is no id to ask for."""
    lonely = Event({"@timestamp": "2026-11-24T01:00:00Z", "message": "started", "event": {"id": "seg-1"}})

    assert links_of(build_story([lonely]), route, SETTINGS) == {}
