"""What of Kibana the commands show: the pack, and where a story is to be seen."""

from urllib.parse import unquote

import pytest

from dashcam.cli import OK, main
from dashcam.commands.story import _links
from dashcam.settings import Settings
from dashcam.setup.pack import kibana_pack
from dashcam.show.story import tell
from tests.show import events

STORY = tell(events.created())


def test_the_pack_is_printed(capsysbinary):
    """Byte for byte, to be imported by hand."""
    assert main(["setup", "kibana-pack"]) == OK

    assert capsysbinary.readouterr().out == kibana_pack()


@pytest.mark.parametrize("route", ["elk", "elasticsearch"])
def test_a_story_in_elasticsearch_is_linked_to_kibana(route):
    """Two addresses, the dashboard first."""
    shown = _links(STORY, Settings.load({"LOG_BACKEND": route, "KIBANA_URL": "https://kibana.example"}))

    assert [line.split("://")[0] for line in shown] == ["Kibana dashboard: https", "Kibana discover: https"]
    assert all(events.TRACE_ID in unquote(line) for line in shown)


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
    assert _links(STORY, Settings.load(environment)) == []


def test_a_story_in_loggly_is_linked_to_loggly():
    """By the account's name."""
    (shown,) = _links(STORY, Settings.load({"LOG_BACKEND": "loggly", "LOGGLY_SUBDOMAIN": "acme"}))

    assert shown.startswith("Loggly: https://acme.loggly.com/search#")
