"""Addresses in Kibana: what they ask for once they are read as Kibana reads them."""

from urllib.parse import unquote, urlsplit

import orjson
import pytest

from dashcam.destinations.elasticsearch.links import COLUMNS, EVENTS_VIEW, STORY_DASHBOARD, rison, story_links
from dashcam.destinations.elasticsearch.saved_objects import kibana_pack
from dashcam.show.story import build_story

from ...show import events

URL = "http://127.0.0.1:5601/s/garage"


def test_both_ask_for_the_trace_at_its_time():
    """Five seconds around the story, one condition, in the notation of Kibana's addresses."""
    links = story_links(build_story(events.created()), URL)

    assert unquote(links["kibana_dashboard"]) == (
        f"{URL}/app/dashboards#/view/dashcam-request-story"
        "?_g=(filters:!(),refreshInterval:(pause:!t,value:0),"
        "time:(from:'2026-11-24T01:35:41.123000Z',to:'2026-11-24T01:35:51.165300Z'))"
        f"&_a=(query:(language:kuery,query:'trace.id:(\"{events.TRACE_ID}\")'))"
    )
    assert unquote(links["kibana_discover"]).endswith(
        "&_a=(columns:!(service.name,log.level,message,span.name,event.duration),"
        "dataSource:(dataViewId:dashcam-events,type:dataView),index:dashcam-events,"
        f"query:(language:kuery,query:'trace.id:(\"{events.TRACE_ID}\")'),sort:!(!('@timestamp',asc)))"
    )


def test_two_traces_are_both_asked_for():
    """A request ID that two requests had."""
    links = story_links(build_story(events.two_traces()), URL)

    assert f'trace.id:("{events.TRACE_ID}" or "{"b" * 32}")' in unquote(links["kibana_discover"])


def test_a_story_without_traces_goes_by_its_request():
    """Lines of a process without tracing."""
    links = story_links(build_story(events.traceless()), URL)

    assert f'http.request.id:("{events.REQUEST_ID}")' in unquote(links["kibana_dashboard"])


def test_what_they_point_to_is_in_the_pack():
    """The data view, the dashboard, and columns the data view knows by the templates."""
    ids = {orjson.loads(line)["id"] for line in kibana_pack().splitlines()}

    assert {EVENTS_VIEW, STORY_DASHBOARD} <= ids
    assert "message" in COLUMNS


def test_an_address_survives_being_pasted():
    """No blank, no quote, nothing a shell or a chat program would end it at; and not too long."""
    for link in story_links(build_story(events.created()), URL).values():
        assert not set(link) & set(' "<>\\^`{|}')
        assert len(link) < 2000
        assert urlsplit(link).path.startswith("/s/garage/app/")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [True, False, None, 5]}, "(a:!(!t,!f,!n,5))"),
        ("it's !important", "'it!'s !!important'"),
        ("", "''"),
        ("-1", "'-1'"),
        ("12", "'12'"),
        ({"@timestamp": "plain.text_1"}, "('@timestamp':plain.text_1)"),
    ],
)
def test_rison(value, text):
    """The notation's own rules; text that could be a number is quoted."""
    assert rison(value) == text


def test_rison_has_no_floats():
    """None of our addresses holds one."""
    with pytest.raises(TypeError, match="float has no form in Rison"):
        rison(1.5)
