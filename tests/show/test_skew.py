"""Clocks that disagree are set right and named."""

import pytest

from dashcam.show.story import build_story

from . import events


def times_ms(story, service):
    return [(node.start_ns - events.START_NS) / 1e6 for node in story.entries if node.service == service]


def called(*, at_ms, took_ms, status=201, host="parts-1"):
    cars, parts = events.Service("cars", []), events.Service("parts", [], host=host)
    cars.client(10, 30, "POST http://parts/parts", status, events.CALL, parent=events.ROOT)
    cars.server(0, 50, "POST /cars", 201 if status else 504, events.ROOT)
    parts.server(at_ms, took_ms, "POST /parts", 201, events.SERVED, parent=events.CALL)
    return build_story(cars.events + parts.events)


@pytest.mark.parametrize(
    ("off_ms", "sentence"),
    [
        (-2300, "the clock of parts-1 is 2.30 s behind its callers': its times are shown 2.30 s later"),
        (60_000, "the clock of parts-1 is 1m 00s ahead of its callers': its times are shown 1m 00s earlier"),
    ],
)
def test_a_clock_that_is_off_is_set_right_and_named(off_ms, sentence):
    """Half of the way there and half of the way back: the served request lies in the middle of the call."""
    story = build_story(events.created(parts_host="parts-1", clock_off_ms=off_ms))

    assert [note.text for note in story.notes] == [sentence]
    assert times_ms(story, "parts") == pytest.approx([6.9, 8.0, 8.8, 27.9])
    assert story.duration_ns == 42_300_000


def test_every_row_of_a_clock_set_right_says_so():
    """The shift is part of the node."""
    story = build_story(events.skewed())

    assert {(node.service, node.shift_ns) for node in story.entries} == {("cars", 0), ("parts", 2_301_800_000)}


def test_less_than_a_millisecond_is_no_skew():
    """No two clocks agree better."""
    assert called(at_ms=9.2, took_ms=20).notes == ()


def test_one_clock_is_never_set_right_against_itself():
    """Two services on a host share its clock; what began too early is named instead."""
    story = called(at_ms=5, took_ms=20, host="laptop")

    assert [note.kind for node in story.entries for note in node.notes] == ["early-start"]
    assert times_ms(story, "parts") == [5]


def test_a_request_that_outlives_an_impatient_caller_is_no_skew():
    """The caller gave up; the work went on."""
    story = called(at_ms=12, took_ms=2000, status=0)

    assert story.notes == ()
    assert [note.text for node in story.entries for note in node.notes] == [
        "it continued for 1.97 s after its caller stopped waiting"
    ]


def test_clocks_are_set_right_along_a_chain_of_calls():
    """What the third host was asked for happens within what the second was asked for."""
    cars = events.Service("cars", [])
    parts = events.Service("parts", [], host="b", clock_off_ms=-5000)
    paint = events.Service("paint", [], host="c", clock_off_ms=9000)
    cars.client(10, 80, "POST http://parts/parts", 201, events.CALL, parent=events.ROOT)
    cars.server(0, 100, "POST /cars", 201, events.ROOT)
    parts.client(30, 40, "POST http://paint/coats", 201, events.PARTS, parent=events.SERVED)
    parts.server(20, 60, "POST /parts", 201, events.SERVED, parent=events.CALL)
    paint.server(40, 20, "POST /coats", 201, events.COMMIT, parent=events.PARTS)
    story = build_story(paint.events + parts.events + cars.events)

    assert times_ms(story, "parts") == pytest.approx([20, 30])
    assert times_ms(story, "paint") == pytest.approx([40])


def test_two_hosts_that_call_each_other_are_told():
    """Neither is the first; nothing hangs."""
    one, two = events.Service("one", [], host="a"), events.Service("two", [], host="b")
    one.server(0, 10, "GET /a", 200, "aa", parent="bb")
    two.server(500, 10, "GET /b", 200, "bb", parent="aa")

    assert len(build_story(one.events + two.events).entries) == 2
