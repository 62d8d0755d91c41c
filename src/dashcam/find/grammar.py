"""A search text as the tree of a Lucene query: what Lucene's signs mean in a search of Dashcam."""

import re
from typing import Any

from dashcam.errors import QueryError
from dashcam.find import lucene as tree
from dashcam.find.lucene import NestingError, ParseError, parse

__all__ = ["parse_tree", "tree", "unescape"]

MAX_TEXT = 8_000  # characters

# A word that begins with a sign the grammar has for regular expressions, single quotes or exclusion is plain text here.
# Lone surrogates, which no text may hold, stand for these signs while the grammar looks, so that positions stay true.
_HIDDEN = {"/": "\ud800", "'": "\ud801", "-": "\ud802"}
_SHOWN = str.maketrans({hidden: sign for sign, hidden in _HIDDEN.items()})
_PARTS = re.compile(
    r"""
    "(?:[^"\\]|\\.)*"
    | (?P<first> [^\s:^~(){}\[\]"+\-\\<>] | (?<=[:<>=])-(?=\d) | \\. )
      (?P<rest> (?: [^\s:^~(){}\[\]"\\] | \\. )* )
      (?P<inner> "? )
    | (?P<fault> ["~^] )
    """,
    re.DOTALL | re.VERBOSE,
)


def parse_tree(text: str) -> Any:
    """The tree of a text that is not blank; the texts in it are read by `unescape`, each node's `pos` counts from 0.

    Raises `QueryError` with the position of what cannot be read.
    """
    if len(text) > MAX_TEXT:
        raise QueryError(f"A search has at most {MAX_TEXT} characters, not {len(text)}.", MAX_TEXT)
    if surrogate := re.search("[\ud800-\udfff]", text):
        raise QueryError("This is no character.", surrogate.start())
    try:
        return parse(_PARTS.sub(_hide, text))
    except NestingError as fault:
        raise QueryError("A search has too many brackets and signs within each other.", fault.position) from None
    except ParseError as fault:
        raise QueryError(_reason(text, fault.position), fault.position) from None


def unescape(text: str) -> str:
    """A text out of the tree as it was written."""
    return text.translate(_SHOWN)


def _hide(match: re.Match[str]) -> str:
    if match["fault"] == '"':
        raise QueryError("This quote is never closed.", match.start())
    if match["fault"]:
        raise QueryError(f"{match[0]} has no meaning here; put the text that holds it in quotes.", match.start())
    if match["inner"]:
        raise QueryError('A quote begins a value; within a word it is written \\".', match.end() - 1)
    return f"{_HIDDEN.get(match['first'], match['first'])}{match['rest']}" if match["first"] else match[0]


def _reason(text: str, position: int) -> str:
    if position >= len(text):
        return "The search ends where a value or a closing bracket is expected."
    if text[position] == "\\":
        return "A backslash stands before the sign whose meaning it takes, not at the end."
    word = re.match(r"\w+|.", text[position:], re.DOTALL)
    return f"{word and word[0]!r} is not expected here. Text that holds : ( ) [ ] {{ }} < > is put in quotes."
