"""The lines of a block that have a needle, by the compiled part and by the Python beside it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashcam.destinations.local.glance import (
    glance_for,
    is_plain,
    lines_with,
    python_is_plain,
    python_lines_with,
)
from dashcam.event import Event
from dashcam.find.query import Phrase
from dashcam.testing.sample import lines

NEEDLES = ["a", "ab", "car_id", "database", "parts-7f:3", "@[`{", "k" * 70]
PIECES = st.sampled_from([*NEEDLES, *map(str.upper, NEEDLES), "\n", "\\", "\\u", "\\/", "\u0130", "\u212a", "\u212b"])
FILLING = st.builds(str.__mul__, st.sampled_from(["x", "\n", "a", "é"]), st.sampled_from([1, 7, 60, 63, 64, 65, 200]))
TEXTS = st.lists(PIECES | FILLING | st.text(max_size=8), max_size=20).map(lambda parts: "".join(parts).encode())


@pytest.fixture(scope="module")
def glance():
    return pytest.importorskip("dashcam.destinations.local._glance", reason="there was no compiler")


@given(TEXTS, st.sampled_from(NEEDLES).map(str.encode))
@example(b"", b"a")
@example(b"\n" * 64 + b"a", b"a")
@example(b"car_i\nd", b"car_id")
@example(b"x" * 59 + b"car_id", b"car_id")
def test_lines(glance, text, needle):
    """Each once, whatever the size of its letters, and with its number."""
    assert list(glance.lines_with(text, needle)) == list(python_lines_with(text, needle))


@given(TEXTS | st.binary(), st.binary(min_size=1, max_size=3))
@example(b'{"message":"c\\u0061r"}', b"car")
@example(b'{"message":"cars\\/7"}', b"car")
def test_any_bytes(glance, text, needle):
    """Also what is not UTF-8, but for a needle that reaches into the next line, which no word does."""
    needle = needle.lower().replace(b"\n", b" ")

    assert list(glance.lines_with(text, needle)) == list(python_lines_with(text, needle))
    assert glance.is_plain(text) == python_is_plain(text)


def test_ordinary_events(glance):
    """Each word of a sample of every kind of event finds the same lines."""
    block = b"\n".join(event.data for event in lines())

    assert glance.is_plain(block) == python_is_plain(block)
    for word in {word.lower() for word in block.split(b'"') if word}:
        assert list(glance.lines_with(block, word)) == list(python_lines_with(block, word))


WORDS = st.sampled_from(["car", "CAR", "created", "\u212a", "k", "é", "7"])
BETWEEN = st.sampled_from([" ", "_", "\n", "\t", "\b\f\r", "\\n", '"', "\u0301", "\u2013", "é", "", "\0", "/", "x"])


@given(
    parts=st.lists(st.tuples(WORDS, BETWEEN), max_size=8),
    words=st.lists(WORDS, min_size=1, max_size=3),
    prefix=st.booleans(),
)
@example(parts=[("car", "\n"), ("created", "")], words=["car", "created"], prefix=False)
@example(parts=[("car", "\\n"), ("created", "")], words=["car", "created"], prefix=False)
def test_no_event_is_overlooked(parts, words, prefix):
    """What a phrase finds has its words at the first look, however they are parted and written."""
    event = Event({"message": "".join(word + between for word, between in parts)})
    line, phrase = event.to_json(), Phrase(" ".join(words), prefix=prefix)
    glance = glance_for(phrase)

    if phrase.matches(event) and is_plain(line):
        assert glance.decide(line) is None
        assert list(lines_with(line, glance.needle or b"{")) == [(0, line)]


def test_words_apart_are_not_read():
    """A line that has the words of a phrase in other places is not read to know it."""
    glance = glance_for(Phrase("car created"))

    assert glance.decide(b'{"message":"CAR \\n created"}') is None
    assert glance.decide(b'{"message":"wheels created","log":{"logger":"cars.api"}}') is False


@pytest.mark.parametrize("arguments", [(), (b"a",), ("a", b"a"), (b"a", None), (b"a", b"")])
def test_other_values(glance, arguments):
    """A mistake of the caller is an exception."""
    with pytest.raises((TypeError, ValueError)):
        glance.lines_with(*arguments)
