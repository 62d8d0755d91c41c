"""The address of a story in Loggly's search page, and the searches that are to be copied there."""

import re
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from dashcam.destinations.loggly.links import search_link, story_link
from dashcam.event import Event
from dashcam.show.accessors import text
from dashcam.show.overview import collect
from dashcam.show.story import build_story
from dashcam.testing.fake_loggly import Behaviour
from dashcam.testing.fake_loggly.archive import Archive, Body
from dashcam.testing.fake_loggly.query import read_query
from dashcam.testing.sample import lines

from ...kibana import traffic
from ...show import events

SEARCHES = dict(
    re.findall(
        r"### (.+)\n\n.+\n\n```\n(.+)\n```",
        (Path(__file__).parents[3] / "dashboards" / "loggly" / "README.md").read_text(),
    )
)


RARE = (
    b'{"processor":{"event":"transaction"},"event":{"duration":2000000000}}',
    b'{"event":{"action":"events-dropped"}}',
    b'{"event":{"action":"request-kept"}}',
    b'{"http":{"request":{"id":"0193a1b2-example"}}}',
)


def parameters(link):
    return {name: values[0] for name, values in parse_qs(link.partition("#")[2]).items()}


def test_a_story_is_found_by_its_trace():
    """From a little before it began, up to now."""
    story = build_story(events.created())

    link = story_link(story, "acme")

    assert link.startswith("https://acme.loggly.com/search#terms=json.trace.id%3A%22")
    assert parameters(link)["terms"] == f'json.trace.id:"{story.trace_ids[0]}"'
    assert parameters(link)["until"] == "now"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", parameters(link)["from"])


def test_a_story_without_a_trace_is_found_by_its_request():
    """A quote in it stays within the value."""
    event = Event({"@timestamp": "2026-11-24T01:00:00Z", "http": {"request": {"id": 'a"b'}}, "event": {"id": "seg-1"}})

    assert parameters(story_link(build_story([event]), "acme"))["terms"] == r'json.http.request.id:"a\"b"'


@pytest.mark.parametrize("name", SEARCHES)
def test_each_search_to_copy_has_its_link(name):
    """The link asks for the very text."""
    page = (Path(__file__).parents[3] / "dashboards" / "loggly" / "README.md").read_text()

    assert f"({search_link('NAME', SEARCHES[name], '-24h')})" in page


@pytest.mark.parametrize("name", SEARCHES)
def test_each_search_to_copy_finds_events(name):
    """In the forms that clients were seen to use, over events of every kind."""
    archive = Archive(Behaviour())
    archive.accept(Body(0, ("dashcam",), "text/plain", "", (*(line.data for line in lines()), *RARE)))

    assert archive.search(read_query(SEARCHES[name], Behaviour()), 0, 2**62)


@pytest.mark.parametrize("kept", [lines(), traffic.lines()], ids=["sample", "half an hour"])
def test_the_dashboards_numbers_are_those_of_the_overview(kept):
    """Requests and failures of each service and route, aborted requests among them."""
    archive = Archive(Behaviour())
    archive.accept(Body(0, ("dashcam",), "text/plain", "", tuple(line.data for line in kept)))
    rows = collect(Event.from_json(line.data) for line in kept)

    found = [
        Counter(_route(hit.line) for hit in archive.search(read_query(SEARCHES[name], Behaviour()), 0, 2**62))
        for name in ("Requests", "Failed requests")
    ]

    assert {key: (count, found[1][key]) for key, count in found[0].items()} == {
        (row.service, row.title): (row.requests, row.failures) for row in rows.values()
    }


def _route(line):
    event = Event.from_json(line)
    method = text(event, "http.request.method")
    without = f"{method} (no known route)" if method else text(event, "transaction.name")
    return text(event, "service.name"), text(event, "http.route") or without


def test_widgets_and_alerts_name_searches_that_are_there():
    """Each row of the two tables."""
    page = (Path(__file__).parents[3] / "dashboards" / "loggly" / "README.md").read_text()
    named = re.findall(r"^\| [^|]+ \| ([A-Z][^|]+) \|", page, re.MULTILINE)

    assert len(named) == 14
    assert {each.partition(", and")[0] for each in named} <= set(SEARCHES)
