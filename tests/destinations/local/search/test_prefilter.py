"""The lines of a block that have a needle, and those that can be searched without being read."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashcam.destinations.local.search.prefilter import is_plain, lines_with, prefilter_for
from dashcam.event import Event
from dashcam.find.query import Phrase

NEEDLES = ["a", "ab", "car_id", "database", "parts-7f:3", "@[`{", "k" * 70]
PIECES = st.sampled_from([*NEEDLES, *map(str.upper, NEEDLES), "\n", "\\", "\\u", "\\/", "\u0130", "\u212a", "\u212b"])
FILLING = st.builds(str.__mul__, st.sampled_from(["x", "\n", "a", "é"]), st.sampled_from([1, 7, 60, 63, 64, 65, 200]))
TEXTS = st.lists(PIECES | FILLING | st.text(max_size=8), max_size=20).map(lambda parts: "".join(parts).encode())


@given(TEXTS | st.binary(), st.sampled_from(NEEDLES).map(str.encode))
@example(b"", b"a")
@example(b"\n" * 64 + b"a", b"a")
@example(b"car_i\nd", b"car_id")
def test_lines(text, needle):
    """Each line with the needle, whatever the size of its letters, once and with its number; no other one."""
    wanted = [(number, line) for number, line in enumerate(text.split(b"\n")) if needle in line.lower()]

    assert list(lines_with(text, needle)) == wanted


TWO_WAYS = [rb'{"message":"c\u0061r"}', rb'{"message":"cars\/7"}', "\u212a".encode(), "\u0130".encode()]
ONE_WAY = [b"", b'{"message":"car"}', rb'{"message":"\"car\"\n"}', "é \u212b".encode()]


@pytest.mark.parametrize(
    ("line", "is_one_way"), [*((each, False) for each in TWO_WAYS), *((each, True) for each in ONE_WAY)]
)
def test_what_is_plain(line, is_one_way):
    """A line that may have an ASCII letter or a slash in another way has to be read."""
    assert is_plain(line) is is_one_way


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
    prefilter = prefilter_for(phrase)

    if phrase.matches(event) and is_plain(line):
        assert prefilter.decide(line) is None
        assert list(lines_with(line, prefilter.needle or b"{")) == [(0, line)]


def test_words_apart_are_not_read():
    """A line that has the words of a phrase in other places is not read to know it."""
    prefilter = prefilter_for(Phrase("car created"))

    assert prefilter.decide(b'{"message":"CAR \\n created"}') is None
    assert prefilter.decide(b'{"message":"wheels created","log":{"logger":"cars.api"}}') is False
