"""The searches all stores answer are worth their time."""

from dashcam.find.language import parse
from dashcam.testing.expressions import EXPRESSIONS
from dashcam.testing.sample import events


def test_searches_differ_and_are_many():
    """At least 200, none twice."""
    assert len(set(EXPRESSIONS)) == len(EXPRESSIONS) >= 200


def test_most_searches_tell_events_apart():
    """At least eight of ten find some events and leave some out."""
    every = events()
    searches = [parse(text) for text in EXPRESSIONS]
    some = [one for one in searches if any(map(one.matches, every)) and not all(map(one.matches, every))]

    assert len(some) >= 0.8 * len(EXPRESSIONS)
