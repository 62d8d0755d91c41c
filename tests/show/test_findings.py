"""The rows that may be the cause, the likeliest first."""

import pytest

from dashcam.show.findings import rank_causes
from dashcam.show.story import build_story

from . import events


def ranked(story):
    return [(word, node.title.split("\n")[0][:22]) for word, node in rank_causes(build_story(story))]


def test_an_exception_comes_before_what_it_caused():
    """Then the statement that failed, then warnings, then the requests around it."""
    assert ranked(events.failed()) == [
        ("error", "parts could not be mad"),
        ("failed", "INSERT INTO parts (id,"),
        ("warning", "parts answered 500, th"),
        ("failed", "POST /parts"),
        ("failed", "POST 127.0.0.1:5001/pa"),
        ("failed", "POST /cars"),
    ]


def test_a_request_that_died_comes_first():
    """Its caller only saw no answer."""
    assert ranked(events.aborted())[0] == ("aborted", "POST /parts")


def test_a_good_story_has_its_slowest_span():
    """Where most of the time went, by itself."""
    assert ranked(events.created()) == [("slow", "INSERT INTO parts (id,")]


@pytest.mark.parametrize("story", [events.orphaned, events.unfinished, events.traceless, events.hostile])
def test_any_story_can_be_ranked(story):
    """What never arrived is named."""
    words = [word for word, _ in ranked(story())]

    assert set(words) <= {"error", "warning", "failed", "aborted", "missing", "unfinished", "slow"}
