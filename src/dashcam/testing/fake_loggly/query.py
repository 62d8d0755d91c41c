"""Loggly's query language, as far as working clients were seen to write it; the Lucene rest behind a switch."""

import re
from collections.abc import Callable
from fnmatch import translate
from functools import lru_cache, partial
from typing import Any

from dashcam.testing.fake_loggly import lucene as tree
from dashcam.testing.fake_loggly.archive import Stored, words_of
from dashcam.testing.fake_loggly.behaviour import Habits
from dashcam.testing.fake_loggly.lucene import ParseError, parse

Wanted = Callable[[Stored], bool]

_PLAIN_WORD = re.compile(r"[\w.-]+")


class BadQuery(ValueError):
    """A query that is answered with status 400."""


def read_query(text: str, habits: Habits) -> Wanted:
    """Return the predicate of a query; raises `BadQuery` for what this behaviour does not understand."""
    if text.strip() == "*":
        return _everything
    try:
        root = parse(text)
    except ParseError as error:
        raise BadQuery(f"cannot parse the query: {error}") from error
    return _wanted(root, habits)


def _everything(_: Stored) -> bool:
    return True


def _wanted(node: Any, habits: Habits) -> Wanted:
    match node:
        case tree.AndOperation() | tree.UnknownOperation():
            return partial(_all, [_wanted(child, habits) for child in node.operands])
        case tree.OrOperation():
            return partial(_any, [_wanted(child, habits) for child in node.operands])
        case tree.Group():
            return _wanted(node.expr, habits)
        case tree.Prohibit() | tree.Not() if habits.lucene or _is_seen(node):
            return partial(_none, _wanted(node.a, habits))
        case tree.SearchField():
            return partial(_has_value, node.name, _value_test(node.expr, habits))
    return partial(_has_words, words_of(_literal(node)))


def _is_seen(negation: Any) -> bool:
    return isinstance(negation, tree.Prohibit) and isinstance(negation.a, tree.Phrase)


def _all(parts: list[Wanted], event: Stored) -> bool:
    for part in parts:  # noqa: SIM110 - a loop and no generator: this runs for every event of every search
        if not part(event):
            return False
    return True


def _any(parts: list[Wanted], event: Stored) -> bool:
    for part in parts:  # noqa: SIM110 - as above
        if part(event):
            return True
    return False


def _none(part: Wanted, event: Stored) -> bool:
    return not part(event)


def _has_words(words: str, event: Stored) -> bool:
    # A text without a letter or digit asks for no word, and finds nothing.
    return not words.isspace() and words in event.words


def _has_value(name: str, test: Callable[[Any], bool], event: Stored) -> bool:
    values = event.tags if name == "tag" else event.fields.get(name, ())
    for value in values:  # noqa: SIM110 - as above
        if test(value):
            return True
    return False


def _value_test(node: Any, habits: Habits) -> Callable[[Any], bool]:
    if isinstance(node, tree.Range) and (habits.lucene or _has_ends(node)):
        return partial(_is_between, node)
    if isinstance(node, tree.Word) and habits.lucene:
        return partial(_fits, re.compile(translate(node.value.lower()), re.DOTALL))
    return partial(_is_text, _literal(node), habits.whole_values)


def _literal(node: Any) -> str:
    if isinstance(node, tree.Phrase):
        return re.sub(r"\\(.)", r"\1", node.value[1:-1])
    if isinstance(node, tree.Word) and _PLAIN_WORD.fullmatch(node.value):
        return str(node.value)
    raise BadQuery(f"not understood: {node}")


def _is_text(text: str, whole: bool, value: Any) -> bool:  # noqa: FBT001 - bound by partial
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, int | float):
        return _number(text) == value
    if whole:
        return text.lower() == str(value).lower()
    words = _few_words(text)
    return words in (_few_words(value) if len(value) < 100 else words_of(value)) and not words.isspace()


_few_words = lru_cache(maxsize=100_000)(words_of)


def _fits(pattern: re.Pattern[str], value: Any) -> bool:
    return pattern.fullmatch(str(value).lower()) is not None


def _has_ends(node: Any) -> bool:
    ends = (node.low, node.high)
    return node.include_low and node.include_high and all(_PLAIN_WORD.fullmatch(end.value) for end in ends)


def _is_between(node: Any, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    low, high = (_number(end.value) for end in (node.low, node.high))
    above = low is None or (value >= low if node.include_low else value > low)
    return above and (high is None or (value <= high if node.include_high else value < high))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
