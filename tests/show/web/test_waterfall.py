"""Where the bars of a waterfall begin and how long they are."""

from dashcam.show.story import build_story
from dashcam.show.web.waterfall import MAX_LABELS, SCALE, rows, ticks, tones

from .. import events


def test_bars_lie_where_the_spans_were():
    """In thousandths of the whole."""
    drawn = [(row.entry.title, row.left, row.width) for row in rows(build_story(events.created()))][:4]

    assert drawn == [
        ("POST /cars", 0, 1000),
        ("creating a car", 14, 0),
        ("INSERT INTO cars (id, name) VALUES (%s, %s)", 26, 33),
        ("POST 127.0.0.1:5001/parts", 70, 738),
    ]


def test_every_bar_can_be_seen_and_none_leaves_the_scale():
    """However short the span, however odd its times."""
    for make in (events.long, events.two_traces, events.aborted, events.hostile):
        for row in rows(build_story(make())):
            assert 0 <= row.left < SCALE
            assert row.left + row.width <= SCALE
            assert row.width >= 4 or row.entry.duration_ns is None


def test_sizes_count_what_lies_in_a_span():
    """The request holds all, the call to parts what parts did."""
    assert [row.size for row in rows(build_story(events.created()))] == [9, 0, 0, 4, 3, 0, 0, 0, 0, 0]


def test_services_have_tones_of_their_own():
    """In the order they come in."""
    assert tones(build_story(events.created())) == {"cars": 0, "parts": 1}


def test_the_scale_has_five_marks():
    """From the beginning to the end."""
    assert ticks(build_story(events.created())) == [
        (0, "0 µs"),
        (25, "10.6 ms"),
        (50, "21.1 ms"),
        (75, "31.7 ms"),
        (100, "42.3 ms"),
    ]


def test_a_row_shows_a_few_labels_and_says_how_many_it_does_not():
    """The details have all."""
    cars = events.Service("cars", [])
    cars.line(0, "many", events.ROOT, **{f"label_{number}": number for number in range(20)})
    row = list(rows(build_story(cars.events)))[1]

    assert (len(row.labels), row.more_labels) == (MAX_LABELS, 12)
