"""Where the bars of a waterfall begin and how long they are."""

from dashcam.show.story import build_story
from dashcam.show.web.waterfall import SCALE, bar, service_tones, ticks

from .. import events


def test_bars_lie_where_the_spans_were():
    """In thousandths of the whole."""
    story = build_story(events.created())

    drawn = [(node.title, *bar(node, story)) for node in story.entries][:4]

    assert drawn == [
        ("POST /cars", 0, 1000),
        ("creating a car", 14, 0),
        ("INSERT INTO cars (id, name) VALUES (%s, %s)", 26, 33),
        ("POST 127.0.0.1:5001/parts", 70, 738),
    ]


def test_every_bar_can_be_seen_and_none_leaves_the_scale():
    """However short the span, however odd its times."""
    for make in (events.long, events.two_traces, events.aborted, events.hostile):
        story = build_story(make())
        for node in story.entries:
            left, width = bar(node, story)
            assert 0 <= left < SCALE
            assert left + width <= SCALE
            assert width >= 4 or node.duration_ns is None


def test_services_have_tones_of_their_own():
    """In the order they come in."""
    assert service_tones(build_story(events.created())) == {"cars": 0, "parts": 1}


def test_the_scale_has_five_marks():
    """From the beginning to the end."""
    assert ticks(build_story(events.created())) == [
        (0, "0 µs"),
        (25, "10.6 ms"),
        (50, "21.1 ms"),
        (75, "31.7 ms"),
        (100, "42.3 ms"),
    ]
