"""What a story looks like in a terminal; the drawings are in golden/."""

import io
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashcam.event import Event
from dashcam.show.ansi import Style, columns, style_for
from dashcam.show.story import build_story
from dashcam.show.terminal import draw, draw_event

from . import events
from .drawings import DRAWINGS, GOLDEN, drawing


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_story_is_drawn_as_ever(name):
    """`python -m tests.show.drawings` draws them anew after a change that was wanted."""
    assert drawing(name) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_every_golden_file_is_drawn():
    """None is left over."""
    assert sorted(path.stem for path in GOLDEN.iterdir()) == sorted(DRAWINGS)


@pytest.mark.parametrize("width", [48, 60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width):
    """Whatever the events hold."""
    for make in (events.created, events.failed, events.traceless, events.hostile):
        lines = list(draw(build_story(make()), Style(width=width)))
        assert [line for line in lines if columns(line) > width] == []


def test_without_a_width_nothing_is_folded():
    """A file gets everything."""
    assert "x" * 300 in "\n".join(draw(build_story(events.traceless()), Style()))


def test_plain_drawings_have_no_escape_sequences():
    """Colours only when asked for."""
    assert "\x1b" not in drawing("failed")


def test_colours_do_not_change_the_text():
    """They only paint it."""
    assert re.sub(r"\x1b\[[0-9;]*m", "", drawing("failed-colour")).split() == drawing("failed").split()


@given(st.text())
def test_no_text_can_act_on_the_terminal(text):
    """Whatever a message holds, what is written prints."""
    cars = events.Service("cars", [])
    cars.line(0, text, events.ROOT, value=text)
    for line in draw(build_story(cars.events), Style(width=80)):
        assert line.isprintable()


@given(st.text())
def test_ascii_alone_where_nothing_else_can_be_shown(text):
    """No stream raises on a drawing."""
    cars = events.Service("cars", [])
    cars.line(0, text, events.ROOT)
    assert all(line.isascii() for line in draw(build_story(cars.events), Style(width=80, ascii_only=True)))


@pytest.mark.parametrize(("encoding", "ascii_only"), [("utf-8", False), ("UTF8", False), ("latin-1", True)])
def test_the_stream_says_what_it_can_show(encoding, ascii_only):
    """Box characters need UTF-8."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)

    assert style_for(stream, 80, colour=False) == Style(80, ascii_only=ascii_only)


def test_an_event_is_one_line():
    """When, level, service, what, what was added, and the request ID to go on with."""
    assert [draw_event(event, Style()) for event in events.created()[:4]] == [
        "2026-11-24 01:35:46.123 UTC  INFO   cars      creating a car  name=VW Golf  request=" + events.REQUEST_ID,
        "2026-11-24 01:35:46.124 UTC  INFO   cars      INSERT INTO cars (id, name) VALUES (%s, %s) in 1.40 ms"
        "  request=" + events.REQUEST_ID,
        "2026-11-24 01:35:46.126 UTC  INFO   cars      POST 127.0.0.1:5001/parts → 201 in 31.2 ms"
        "  request=" + events.REQUEST_ID,
        "2026-11-24 01:35:46.129 UTC  INFO   parts     parts wanted  car_id=7f3e0c7a-0b8e-4c4e-9a43-5f0f6d1f2a11"
        '  kinds=["engine", "wheel", "body"]  request=' + events.REQUEST_ID,
    ]


def test_an_aborted_request_is_one_line():
    """It says how old the request was."""
    aborted = next(event for event in events.aborted() if event.get("event.action"))

    assert draw_event(aborted, Style()) == (
        "2026-11-24 01:35:46.135 UTC  ERROR  parts     POST /parts aborted after at least 7.30 ms  request="
        + events.REQUEST_ID
    )


def test_an_error_is_named_on_its_line():
    """The stack trace is left to the story."""
    failed = next(event for event in events.failed() if event.get("error.type"))

    assert "parts could not be made  psycopg2.errors.CheckViolation: new row" in draw_event(failed, Style())


def test_ten_thousand_events_are_drawn_in_no_time():
    """Seconds here are a fault: nothing is worse than sorting."""
    some = events.long(10_000)
    before = time.process_time()
    lines = sum(1 for _ in draw(build_story(some), Style(width=120)))

    assert lines > 10_000
    assert time.process_time() - before < 5


def test_a_request_with_an_unknown_end():
    """Its sign is neither that of a success nor of a failure, in the story and in a list."""
    cars = events.Service("cars", [])
    cars.aborted(10, 10, "POST /cars", events.ROOT, action="request-unknown", outcome="unknown")

    (head, *_, drawn, note) = draw(build_story(cars.events), Style())

    assert head.startswith("? POST /cars with an unknown end after at least 10.0 ms")
    assert drawn.rstrip().endswith("POST /cars with an unknown end")
    assert note.strip().startswith("⚠ request unknown")
    assert "WARN   cars      POST /cars unknown after at least 10.0 ms" in draw_event(cars.events[0], Style())


def test_a_404_is_not_a_success():
    """The service did what it had to; the caller did not get what it asked for."""
    cars = events.Service("cars", [])
    cars.server(0, 1, "GET /cars/7", 404, events.ROOT)

    (head, *_) = draw(build_story(cars.events), Style())

    assert head.startswith("! GET /cars/7 → 404")


def test_a_line_that_came_with_a_clip_is_marked():
    """In the story, and as a single event; no other line is."""
    cars = events.Service("cars", [])
    cars.line(0, "held", events.ROOT)
    plain = cars.events[0]
    kept = Event({**plain.fields, "event": {**plain.fields["event"], "reason": "5xx"}})

    assert [line for line in draw(build_story([kept]), Style()) if line.endswith("  [clip]")]
    assert not [line for line in draw(build_story([plain]), Style()) if "[clip]" in line]
    assert "[clip]" in draw_event(kept, Style())
