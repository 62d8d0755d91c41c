"""`dashcam compare`: two stories side by side."""

import json

import pytest

from dashcam.cli import main

from ...show import events
from ...show.test_comparison import moved


@pytest.mark.parametrize("one", ["good", "bad"])
def test_a_story_is_compared_with_one_that_ended_otherwise(orders, capsys, one):
    """The good one on the left, whichever was given."""
    assert main(["compare", one]) == 0

    head = capsys.readouterr().out.splitlines()[:2]
    assert [line.split()[:3] for line in head] == [["left", "good", "success"], ["right", "bad", "failure"]]


def test_two_stories_are_compared_as_given(orders, capsys):
    """Rows as JSON."""
    assert main(["compare", "bad", "good", "--json"]) == 0

    found = {row["title"]: row["marks"] for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert found["COMMIT"] == ["added"]
    assert found["parts could not be made"] == ["missing"]


def test_a_story_that_is_not_there(put, capsys):
    """It is named; so is a route that never failed."""
    put(*moved(events.created(), "good", 0))

    assert main(["compare", "nobody"]) == 1
    assert capsys.readouterr().err == "dashcam: no event has the ID 'nobody'\n"
    assert main(["compare", "good"]) == 1
    assert capsys.readouterr().err == "dashcam: no other story of the route of 'good' failed\n"
    assert main(["compare", "a", "b", "c"]) == 2
