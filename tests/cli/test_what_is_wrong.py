"""The commands that say what is wrong: overview, errors, map, compare, over a store with a good and a failed order."""

import json

import pytest

from dashcam.cli import main
from dashcam.destinations.registry import connect
from dashcam.event import EncodedEvent

from ..show import events
from ..show.test_comparison import moved

PERIOD = ["--since", "2026-11-24T01:30:00Z", "--until", "2026-11-24T02:00:00Z"]


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The local store of a folder; gives what puts events into it."""
    monkeypatch.delenv("LOG_BACKEND", raising=False)
    monkeypatch.setenv("DASHCAM_DIR", str(tmp_path))
    monkeypatch.setenv("DASHCAM_RETENTION", "36500d")

    def put(*found):
        backend = connect("local")
        assert backend.ship([EncodedEvent(event.id, event.is_span, event.to_json()) for event in found]) is None
        backend.close()

    return put


@pytest.fixture
def orders(store):
    store(*moved(events.created(), "good", 0), *moved(events.failed(), "bad", 1))


def rows(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_overview_is_of_a_period(orders, capsys):
    """The worst first, what changed on top; the period before is as long."""
    assert main(["overview", "--json", *PERIOD]) == 0
    assert [(row["service.name"], row["requests"], row["failures"], row["p99"]) for row in rows(capsys)] == [
        ("cars", 2, 1, 42_300_000),
        ("parts", 2, 1, 23_400_000),
    ]
    assert main(["overview", "--since", "2026-11-24T01:36:30Z", "--until", "2026-11-24T01:37:30Z", "service:cars"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "service  route  requests      /s  failed      p50      p95      p99",
        "cars     /cars         1    0.02  100.0%  28.9 ms  28.9 ms  28.9 ms",
    ]


def test_an_age_may_be_greater_than_any_event_has(orders, capsys):
    """The period then begins with 1970, which every store can compare with."""
    assert main(["overview", "--json", "--since", "999999999w"]) == 0
    assert [row["service.name"] for row in rows(capsys)] == ["cars", "parts"]


def test_errors_are_grouped(orders, capsys):
    """With the request ID of an example."""
    assert main(["errors", "--json", *PERIOD]) == 0
    (row,) = rows(capsys)
    assert {name: row[name] for name in ("service.name", "error.type", "count", "http.request.id", "http.route")} == {
        "service.name": "parts",
        "error.type": "psycopg2.errors.CheckViolation",
        "count": 1,
        "http.request.id": "bad",
        "http.route": ["POST /parts"],
    }
    assert main(["errors", *PERIOD]) == 0
    assert "newest story bad" in capsys.readouterr().out
    assert main(["errors", "service:cars", *PERIOD]) == 1
    assert capsys.readouterr().err == "dashcam: no error since 2026-11-24T01:30:00Z matches\n"


def test_the_map_has_edges(orders, capsys):
    """As objects, and drawn."""
    assert main(["map", "--json", *PERIOD]) == 0
    assert [(row["source"], row["target"], row["calls"], row["failures"]) for row in rows(capsys)] == [
        ("cars", "parts", 2, 1),
        ("cars", "postgresql cars", 2, 0),
        ("parts", "postgresql parts", 2, 1),
    ]
    assert main(["map", *PERIOD]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["cars", "    ──▶ parts"]
    assert main(["map"]) == 1


@pytest.mark.parametrize("one", ["good", "bad"])
def test_a_story_is_compared_with_one_that_ended_otherwise(orders, capsys, one):
    """The good one on the left, whichever was given."""
    assert main(["compare", one]) == 0

    head = capsys.readouterr().out.splitlines()[:2]
    assert [line.split()[:3] for line in head] == [["left", "good", "success"], ["right", "bad", "failure"]]


def test_two_stories_are_compared_as_given(orders, capsys):
    """Rows as JSON."""
    assert main(["compare", "bad", "good", "--json"]) == 0

    found = {row["title"]: row["marks"] for row in rows(capsys)}
    assert found["COMMIT"] == ["added"]
    assert found["parts could not be made"] == ["missing"]


def test_a_story_that_is_not_there(store, capsys):
    """It is named; so is a route that never failed."""
    store(*moved(events.created(), "good", 0))

    assert main(["compare", "nobody"]) == 1
    assert capsys.readouterr().err == "dashcam: no event has the ID 'nobody'\n"
    assert main(["compare", "good"]) == 1
    assert capsys.readouterr().err == "dashcam: no other story of the route of 'good' failed\n"
    assert main(["compare", "a", "b", "c"]) == 2


@pytest.mark.parametrize("command", ["overview", "errors", "map"])
def test_what_strangers_wrote_cannot_act_on_a_terminal(store, capsys, command):
    """Control and direction marks are spelled out."""
    odd = events.Service("ca\x1b[2Jrs\u202e", [])
    odd.server(0, 1, "GET /\x1b]0;x", 500, events.ROOT)
    odd.line(0, "bro\x9bken\u200b", events.ROOT, level="error")
    odd.query(0, 1, "SELECT 1", "1" * 16, parent=events.ROOT)
    store(*odd.events)

    assert main([command, *PERIOD]) == 0
    assert all(character.isprintable() or character == "\n" for character in capsys.readouterr().out)
