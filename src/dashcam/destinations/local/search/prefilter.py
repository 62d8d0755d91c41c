"""Decides from the bytes of a line whether a search can match it, before the line is parsed.

Works on plain lines only. No ASCII in them can be written in two ways, but for numbers with a fraction.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dashcam.find.query import And, Exists, Expression, MatchAll, Not, Or, Phrase, Range, Term, Wildcard
from dashcam.find.values import words_of

Decision = Callable[[bytes], bool | None]

_WRITTEN_ONE_WAY = re.compile(r"[ !#-\[\]-~]+")  # in a JSON text: ASCII without the quote and the backslash
_SMALL_IN_ASCII = (
    "\u0130".encode(),
    "\u212a".encode(),
)  # I with a dot, the sign of kelvin: their small letters are ASCII
_BETWEEN_WORDS = rb"(?:\\[bfnrt]|[^0-9a-z])+"  # in a JSON text, in small letters: includes every separator of words
_WHOLE_NUMBER = re.compile(r"-?[0-9]+")


class Prefilter(NamedTuple):
    """A first look at a line's bytes: whether a search can match it at all.

    `decide` gives whether it finds the line, or `None` where the line has to be read; of several lines, whether all of
    them are found, or none. `needle`, if there is one, is in every line that is found, in small letters.
    """

    decide: Decision
    needle: bytes


def prefilter_for(expression: Expression) -> Prefilter:
    """Return the prefilter of a search."""
    return Prefilter(_decision(expression), max(_needles(expression), key=len, default=b""))


def is_plain(text: bytes) -> bool:
    """Return whether every ASCII letter, digit and slash of some lines stands there as such."""
    if b"\\" in text and any(after.startswith((b"u", b"/")) for after in text.split(b"\\")[1:]):
        return False
    # The search for one byte is many times as fast as that for two.
    return text.isascii() or not any(sign[:1] in text and sign in text for sign in _SMALL_IN_ASCII)


def lines_with(text: bytes, needle: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each line that has a needle, which is in small letters, with its number."""
    lower = text.lower()
    number = begin = 0
    while (at := lower.find(needle, begin)) >= 0:
        number += text.count(b"\n", begin, at)
        end = text.find(b"\n", at) + 1 or len(text) + 1
        yield number, text[text.rfind(b"\n", 0, at) + 1 : end - 1]
        number, begin = number + 1, end


def _needles(expression: Expression) -> list[bytes]:
    match expression:
        case And(parts):
            return [needle for part in parts for needle in _needles(part)]
        case Phrase(text) if not expression.id_terms:
            return _ascii_words(text)
        case Term(_, value) if _is_written_one_way(value):
            return [value.lower().encode()]
    return []


def _decision(expression: Expression) -> Decision:
    match expression:
        case MatchAll():
            return lambda _: True
        case Not(part):
            return _inverted(_decision(part))
        case And(parts):
            return _inverted(_any([_inverted(_decision(part)) for part in parts]))
        case Or(parts):
            return _any([_decision(part) for part in parts])
        case Phrase(text):
            words = _words(text) if words_of(text) else lambda _: False
            ids = [_decision(term) for term in expression.id_terms]
            return _any([words, *ids]) if ids else words
        case Term(_, value) if _is_written_one_way(value):
            return _holding(value.encode())
        case Term(field) | Exists(field) | Wildcard(field) | Range(field) if _WRITTEN_ONE_WAY.fullmatch(field):
            return _holding(f'{field.rpartition(".")[2]}"'.encode())
    return lambda _: None


def _is_written_one_way(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return _WRITTEN_ONE_WAY.fullmatch(value) is not None
    return _WHOLE_NUMBER.fullmatch(value) is not None


def _holding(needle: bytes) -> Decision:
    return lambda line: None if needle in line else False


def _words(text: str) -> Decision:
    words = _ascii_words(text)
    if len(words) == len(words_of(text)):
        following = re.compile(_BETWEEN_WORDS.join(words))
        return lambda line: None if following.search(line.lower()) else False
    return lambda line: None if all(map(line.lower().__contains__, words)) else False


def _ascii_words(text: str) -> list[bytes]:
    """Return the words of ASCII alone: the capitals of others are not looked for in bytes."""
    return [word.encode() for word in words_of(text) if word.isascii()]


def _inverted(decide: Decision) -> Decision:
    def look(line: bytes) -> bool | None:
        found = decide(line)
        return None if found is None else not found

    return look


def _any(parts: Sequence[Decision]) -> Decision:
    def look(line: bytes) -> bool | None:
        answer: bool | None = False
        for part in parts:
            if found := part(line):
                return True
            answer = None if found is None else answer
        return answer

    return look
