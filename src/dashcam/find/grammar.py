"""The tokens of a search text.

A value, a field's name and an operator are one token each; where a quote or a bracket may stand is decided here, and
what the tokens mean in `language`.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from dashcam.errors import QueryError

MAX_TEXT = 8_000  # characters; more is no longer typed by a person

WORD, PHRASE, COMPARE, END = "word", "phrase", "compare", "end"

_OPERATORS = {"AND": "AND", "&&": "AND", "OR": "OR", "||": "OR", "NOT": "NOT", "-": "NOT", "!": "NOT", "+": "+"}

_TOKEN = re.compile(
    r"""
    \s*(?:
      (?P<phrase> " (?: [^"\\] | \\. )* " )
    | (?P<compare> [<>]=? )
    | (?P<sign> [()\[\]{}:+!-] )
    | (?P<word> (?: [^\s:^~(){}\[\]"\\] | \\. )+ )
    | (?P<fault> . )
    | (?P<end> \Z )
    )
    """,
    re.DOTALL | re.VERBOSE,
)
_NEGATIVE = re.compile(r"\s*(?P<word>-\d(?:[^\s:^~(){}\[\]\"\\]|\\.)*)")


class Token(NamedTuple):
    """A part of a search text as it is written; `kind` is `word`, `phrase`, `compare`, `end`, or the operator itself.

    `position` counts characters from 0.
    """

    kind: str
    text: str
    position: int


def tokenize(text: str) -> Iterator[Token]:
    """Yield the tokens of a search text, the last one an `end`; raise `QueryError` at what is not a token."""
    if len(text) > MAX_TEXT:
        raise QueryError(f"A search has at most {MAX_TEXT} characters, not {len(text)}.", MAX_TEXT)
    if surrogate := re.search("[\ud800-\udfff]", text):
        raise QueryError("Half of a surrogate pair is not a character.", surrogate.start())
    token, at = Token("", "", 0), 0
    while token.kind != END:
        # A minus is the sign of a number where a value is expected, else it negates.
        takes_number = token.kind in {":", "[", "{", COMPARE} or token.text == "TO"
        match = (takes_number and _NEGATIVE.match(text, at)) or _TOKEN.match(text, at)
        if match is None:  # the pattern matches anywhere
            raise AssertionError
        token, at = _token(match), match.end()
        if token.kind == WORD and text[at : at + 1] == '"':
            raise QueryError('A quote can only begin a value; inside a word, write \\".', at)
        yield token


def _token(match: re.Match[str]) -> Token:
    group = match.lastgroup or END
    text, position = match[group], match.start(group)
    if group == "fault":
        faults = {'"': "This quote is never closed.", "\\": "Nothing to escape after the last backslash."}
        unknown = f"{text} has no meaning here; put the text that holds it in quotes."
        raise QueryError(faults.get(text, unknown), position)
    if group in {"sign", WORD}:
        return Token(_OPERATORS.get(text, text if group == "sign" else WORD), text, position)
    return Token(group, text, position)
