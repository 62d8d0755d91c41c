"""Queries in Lucene's syntax, as trees."""

import pytest

from dashcam.testing.fake_loggly import lucene
from dashcam.testing.fake_loggly.lucene import (
    AndOperation,
    FieldGroup,
    From,
    Group,
    NestingError,
    Not,
    OrOperation,
    ParseError,
    Phrase,
    Plus,
    Prohibit,
    Range,
    SearchField,
    To,
    UnknownOperation,
    Word,
    parse,
)

A, B, C = Word(0, "a"), Word(2, "b"), Word(4, "c")

TREES = [
    ("a", A),
    ('"a b"', Phrase(0, '"a b"')),
    (r"a\:b\ c", Word(0, r"a\:b\ c")),
    ("a b c", UnknownOperation(0, (A, B, C))),
    ("a AND b", AndOperation(0, (A, Word(6, "b")))),
    ("a OR b AND c", OrOperation(0, (A, AndOperation(5, (Word(5, "b"), Word(11, "c")))))),
    ("a OR b -c", UnknownOperation(0, (OrOperation(0, (A, Word(5, "b"))), Prohibit(7, Word(8, "c"))))),
    ("NOT a", Not(0, Word(4, "a"))),
    ("+a", Plus(0, Word(1, "a"))),
    ("- -a", Prohibit(0, Prohibit(2, Word(3, "a")))),
    ("(a b)", Group(0, UnknownOperation(1, (Word(1, "a"), Word(3, "b"))))),
    ("f:a", SearchField(0, "f", Word(2, "a"))),
    ("f:(a)", SearchField(0, "f", FieldGroup(2, Word(3, "a")))),
    ("f:>=5", SearchField(0, "f", From(2, Word(4, "5"), include=True))),
    ("f:<5", SearchField(0, "f", To(2, Word(3, "5"), include=False))),
    ("[1 TO -2}", Range(0, Word(1, "1"), Prohibit(6, Word(7, "2")), include_low=True, include_high=False)),
    ("TO", Word(0, "TO")),
    ("2026-11-25T10:30:00Z", Word(0, "2026-11-25T10:30:00Z")),
]


@pytest.mark.parametrize(("text", "tree"), TREES)
def test_a_query_is_a_tree(text, tree):
    """`AND` binds before `OR`, `OR` before a blank; each node has its position."""
    assert parse(text) == tree


FAULTS = [
    ("", 0),
    ("a AND", 5),
    ("a )", 2),
    ("(a", 2),
    ("f:", 2),
    ("[1 TO 2", 7),
    ("[1 2]", 3),
    ('a "b', 2),
    ("a~2", 1),
    ("a^2", 1),
    ("OR a", 0),
    ("f:AND", 2),
]


@pytest.mark.parametrize(("text", "position"), FAULTS)
def test_a_fault_has_its_position(text, position):
    """The first character that is not expected, or the end."""
    with pytest.raises(ParseError) as raised:
        parse(text)

    assert raised.value.position == position


@pytest.mark.parametrize("sign", ["(", "-", "NOT ", "f:"])
def test_nesting_has_a_limit(sign):
    """However it is made, and before Python's own."""
    with pytest.raises(NestingError):
        parse(sign * 5000 + "a")

    assert parse(sign * (lucene.MAX_DEPTH - 1) + "a" + ")" * (lucene.MAX_DEPTH - 1) * (sign == "("))
