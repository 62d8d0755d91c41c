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
    found = [sum(parse(text).matches(event) for event in every) for text in EXPRESSIONS]

    assert sum(0 < count < len(every) for count in found) >= 0.8 * len(EXPRESSIONS)
