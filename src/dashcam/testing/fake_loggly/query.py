"""Loggly's query language, as far as working clients were seen to write it; the Lucene rest behind a switch.

`AND` binds before `OR`, and `OR` before a blank, which means `AND` (Apache Lucene, "Query Parser Syntax"). Nothing here
is shared with `dashcam.find`, which reads another language: a stand-in with its client's parser has its mistakes too.
"""

import re
from collections.abc import Callable
from fnmatch import translate
from functools import lru_cache, partial
from typing import Any, NoReturn

from dashcam.testing.fake_loggly.archive import Stored, words_of
from dashcam.testing.fake_loggly.behaviour import Behaviour

Wanted = Callable[[Stored], bool]

_MAX_DEPTH = 100  # of groups and signs within each other, each of which recurses
_TOKEN = re.compile(
    r"""
    \s* (?:
      " (?P<phrase> (?: [^\\"] | \\. )* ) "
    | (?P<sign> (?: AND | OR | NOT ) (?! [\w.*?-] ) | [-:()\[\]{}] )
    | (?P<word> [\w.*?] [\w.*?-]* )
    | (?P<end> \Z )
    )
    """,
    re.VERBOSE | re.DOTALL,
)


class BadQuery(ValueError):
    """A query that is answered with status 400."""


def read_query(text: str, behaviour: Behaviour) -> Wanted:
    """Return the predicate of a query; raises `BadQuery` for what this behaviour does not understand."""
    if text.strip() == "*":
        return partial(_all, [])
    return _Reader(text, behaviour).read()


class _Reader:
    """One query, read from left to right; the next part of it is `_kind` and `_value`."""

    def __init__(self, text: str, behaviour: Behaviour) -> None:
        self._text = text
        self._behaviour = behaviour
        self._depth = 0
        self._kind, self._value, self._end = "", "", 0
        self._take()

    def read(self) -> Wanted:
        """Read the whole query."""
        wanted = self._read_parts()
        if self._kind != "end":
            self._refuse()
        return wanted

    def _read_parts(self) -> Wanted:
        parts = [self._read_or()]
        while self._kind != "end" and self._value != ")":
            parts.append(self._read_or())
        return parts[0] if len(parts) == 1 else partial(_all, parts)

    def _read_or(self) -> Wanted:
        parts = [self._read_and()]
        while self._accept("OR"):
            parts.append(self._read_and())
        return parts[0] if len(parts) == 1 else partial(_any, parts)

    def _read_and(self) -> Wanted:
        parts = [self._read_part()]
        while self._accept("AND"):
            parts.append(self._read_part())
        return parts[0] if len(parts) == 1 else partial(_all, parts)

    def _read_part(self) -> Wanted:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._refuse()
        wanted = self._read_group() or self._read_negation() or self._read_words_or_field()
        self._depth -= 1
        return wanted

    def _read_group(self) -> Wanted | None:
        if not self._accept("("):
            return None
        wanted = self._read_parts()
        self._expect(")")
        return wanted

    def _read_negation(self) -> Wanted | None:
        is_seen = self._value == "-"  # and a phrase after it: nothing else was
        if not self._accept("-") and not self._accept("NOT"):
            return None
        if not self._behaviour.lucene and not (is_seen and self._kind == "phrase"):
            self._refuse()
        part = self._read_part()
        return lambda event: not part(event)

    def _read_words_or_field(self) -> Wanted:
        is_name = self._kind == "word"
        text = self._read_text()
        if is_name and self._accept(":"):
            return partial(_has_value, text, self._read_range() or self._read_value())
        words = words_of(text)
        # A text without a letter or digit asks for no word, and finds nothing.
        return lambda event: not words.isspace() and words in event.words

    def _read_value(self) -> Callable[[Any], bool]:
        if self._behaviour.lucene and self._kind == "word":
            pattern = re.compile(translate(self._take().lower()), re.DOTALL)
            return lambda value: pattern.fullmatch(str(value).lower()) is not None
        return partial(_is_text, self._read_text(), self._behaviour.whole_values)

    def _read_range(self) -> Callable[[Any], bool] | None:
        includes_low = self._accept("[")
        if not includes_low and not self._accept("{"):
            return None
        low = self._read_bound()
        self._expect("TO")
        high = self._read_bound()
        includes_high = self._accept("]")
        if not includes_high:
            self._expect("}")
        if not (self._behaviour.lucene or (includes_low and includes_high)):
            self._refuse()
        return partial(_is_between, low, high, includes_low, includes_high)

    def _read_bound(self) -> float | None:
        sign = "-" if self._accept("-") else ""
        if self._behaviour.lucene and self._value == "*":
            return _number(self._take())
        return _number(sign + self._read_text())

    def _read_text(self) -> str:
        if self._kind == "phrase":
            return re.sub(r"\\(.)", r"\1", self._take(), flags=re.DOTALL)
        if self._kind != "word" or {*"*?"} & {*self._value}:
            self._refuse()
        return self._take()

    def _accept(self, value: str) -> bool:
        is_there = self._kind in {"sign", "word"} and self._value == value
        if is_there:
            self._take()
        return is_there

    def _expect(self, value: str) -> None:
        if not self._accept(value):
            self._refuse()

    def _take(self) -> str:
        taken = self._value
        match = _TOKEN.match(self._text, self._end)
        if match is None:
            self._refuse()
        self._kind, self._end = str(match.lastgroup), match.end()
        self._value = match[self._kind]
        return taken

    def _refuse(self) -> NoReturn:
        raise BadQuery(f"cannot parse the query at position {self._end}")


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


def _has_value(name: str, test: Callable[[Any], bool], event: Stored) -> bool:
    values = event.tags if name == "tag" else event.fields.get(name, ())
    for value in values:  # noqa: SIM110 - as above
        if test(value):
            return True
    return False


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


def _is_between(low: float | None, high: float | None, with_low: bool, with_high: bool, value: Any) -> bool:  # noqa: FBT001 - as above
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    above = low is None or (value >= low if with_low else value > low)
    return above and (high is None or (value <= high if with_high else value < high))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
