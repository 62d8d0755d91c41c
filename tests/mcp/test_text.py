"""Answers as text: harmless, fenced, and as long as there is room."""

import sys
import unicodedata

import pytest

from dashcam.mcp.text import NOTICE, clean, count_tokens, cut, fence, fit


def test_nothing_that_shows_nothing_is_left():
    """Of every character there is: controls, zero-width, bidirectional, tags, variants, surrogates, fillers."""
    kept = clean("".join(map(chr, range(sys.maxunicode + 1))))

    assert not {unicodedata.category(one) for one in kept} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert not set(kept) & set("\u200b\u200d\u202e\u2066\ufeff\ufe0f\u3164\u2800\U000e0041")
    assert clean("Škoda 東京タワー 🚗 e\u0301") == "Škoda 東京タワー 🚗 e\u0301"


def test_a_line_stays_one():
    """Whatever ends a line elsewhere; a long one ends with an ellipsis."""
    assert clean("a\r\nb\tc\u2028d") == "a b c d"
    assert cut("x" * 300) == "x" * 239 + "…"


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("the order has failed", 6), ("4bf92f3577b34da6", 10), ("{}: []", 5), ("東京", 4), ("", 0)],
)
def test_tokens_are_counted_rather_high(text, tokens):
    """Hexadecimal digits and signs take most."""
    assert count_tokens(text) == tokens


def test_lines_fit():
    """As many as there is room for, whole ones."""
    assert fit(["one two three"] * 10, 12) == ["one two three"] * 2


def test_data_stands_between_marks():
    """Which nobody can know who writes a log line."""
    one, two = (fence("Head.", ["data"], "Next.").split("\n") for _ in range(2))

    assert one[:2] == ["Head.", NOTICE]
    assert one[3:] == ["data", one[2].replace("begin", "end"), "Next."]
    assert one[2] != two[2]
