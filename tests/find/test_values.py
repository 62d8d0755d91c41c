"""What a field holds, and how its texts, words and numbers compare."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashcam.event import Event
from dashcam.find.values import has_pattern, holds_words, leaves_of, number_of, text_of, values_of, words_of


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"http": {"request": {"id": 7}}}, "http.request.id"),
        ({"http.request.id": 7}, "http.request.id"),
        ({"http": {"request.id": 7}}, "http.request.id"),
        ({"http.request": {"id": 7}}, "http.request.id"),
        ({"log": {"logger": "a"}, "log.level": 7}, "log.level"),
        ({"labels": {"order": [{"id": 7}]}}, "labels.order.id"),
    ],
)
def test_dots_and_nesting_are_one_name(fields, name):
    """A value is found however its name is spread over keys."""
    assert values_of(Event(fields), name) == [7]


@pytest.mark.parametrize("value", [None, [], {}, [None, []], {"other": 1}])
def test_what_is_no_value(value):
    """Null, an empty list and an object give nothing."""
    assert values_of(Event({"labels": {"x": value}}), "labels.x") == []


def test_a_list_has_several_values():
    """Each element counts, however deep the lists."""
    assert values_of(Event({"tags": ["cut", ["mended"], ""]}), "tags") == ["cut", "mended", ""]


@pytest.mark.parametrize(
    ("value", "text"),
    [("7", "7"), (7, "7"), (-4.5, "-4.5"), (4.0, "4.0"), (True, "true"), ("é\n", "é\n")],
)
def test_text_is_what_json_writes(value, text):
    """A number compares as its JSON text."""
    assert text_of(value) == text


@pytest.mark.parametrize(("value", "number"), [(7, 7), (-4.5, -4.5), ("7", None), (True, None), ("", None)])
def test_only_json_numbers_are_numbers(value, number):
    """Digits in a string are no number."""
    assert number_of(value) == number


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("psycopg2.errors.UniqueViolation: car_id=7", ["psycopg2", "errors", "uniqueviolation", "car", "id", "7"]),
        ("http://parts:5001/parts/0193-ab", ["http", "parts", "5001", "parts", "0193", "ab"]),
        ("Größe ΑΒΓ 東京タワー don't", ["größe", "αβγ", "東京タワー", "don", "t"]),
        ("\0 \t…—_ 🚗", []),
        ("", []),
    ],
)
def test_words_are_runs_of_letters_and_digits(text, words):
    """Everything else parts words."""
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("words", "prefix", "held"),
    [
        (["timed", "out"], False, True),
        (["timed"], False, True),
        (["time"], False, False),
        (["imed"], False, False),
        (["ection"], False, False),
        (["time"], True, True),
        (["timed", "o"], True, True),
        (["connection", "out"], False, False),
        (["out", "timed"], False, False),
        ([], True, False),
    ],
)
def test_words_follow_each_other(words, prefix, held):
    """Whole words in their order, with no other between; only a prefix may end within one."""
    assert holds_words("Connection: timed OUT.", words, prefix=prefix) is held


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("/cars/*", "/cars/7", True),
        ("/cars/*", "/cars", False),
        ("*", "", True),
        ("?", "", False),
        ("?", "🚗", True),
        ("a*b", "a\nb", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "acb", False),
        (r"a\*b", "a*b", True),
        (r"a\*b", "a-b", False),
        ("a.c", "abc", False),
        ("ab", "abc", False),
        ("A*", "abc", False),
        ("\\", "\\", True),
        ("", "", True),
    ],
)
def test_pattern(pattern, text, fits):
    """A pattern is held against the whole text, capitals count."""
    assert has_pattern(text, pattern) is fits


@given(st.text("ab*?\\", max_size=8), st.text("ab", max_size=12))
def test_pattern_equals_the_plain_meaning(pattern, text):
    """Pieces kept at their first place give the same answer as trying every place."""
    assert has_pattern(text, pattern) is _fits(pattern, text)


def _fits(pattern, text):
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_fits(pattern[1:], text[start:]) for start in range(len(text) + 1))
    literal = len(pattern) > 1 and pattern[0] == "\\"
    sign, rest = (pattern[1], pattern[2:]) if literal else (pattern[0], pattern[1:])
    same = text[:1] == sign or (sign == "?" and not literal and text != "")
    return same and _fits(rest, text[1:])


def test_a_hostile_pattern_is_fast():
    """Many stars against a long text that never fits end at once."""
    started = time.perf_counter()

    assert not has_pattern("a" * 60_000, "*a" * 30 + "*b")

    assert time.perf_counter() - started < 1


NAMES = st.sampled_from(["a", "b", "a.b", "b.a", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@example({"b.a": False, "b": {"a": {"": False}}})
@given(st.dictionaries(NAMES, VALUES, max_size=3))
def test_leaves_are_all_values(fields):
    """Every value is under its own name, as it is found by that name."""
    event = Event(fields)
    leaves = leaves_of(event)

    for name in {name for name, _ in leaves}:
        assert sorted(map(repr, values_of(event, name))) == sorted(
            repr(value) for leaf, value in leaves if leaf == name
        )
