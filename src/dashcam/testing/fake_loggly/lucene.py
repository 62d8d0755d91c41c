"""The syntax of Lucene's queries: a text as a tree of nodes.

Source: Apache Lucene, "Query Parser Syntax". Understood are words, phrases, fields, groups, ranges, `AND OR NOT + -`
and the bounds `> >= < <=`; `AND` binds before `OR`, and `OR` before a blank. Regular expressions, fuzzy terms,
proximity and boosts are not.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

MAX_DEPTH = 100  # of groups and signs before a value; who reads the tree recurses as deep

Node: TypeAlias = (
    "Word | Phrase | Group | SearchField | Range | From | To | AndOperation | OrOperation | UnknownOperation | Plus"
)


class ParseError(ValueError):
    """A text is not a query; `position` is the character that is not expected, the text's length at its end."""

    def __init__(self, position: int) -> None:
        super().__init__(f"unexpected at position {position}")
        self.position = position


class NestingError(ParseError):
    """A text has more groups and signs within each other than `MAX_DEPTH`."""


@dataclass(frozen=True, slots=True)
class Word:
    """A run of characters, as it is written: escapes and wildcards are in it."""

    pos: int
    value: str


@dataclass(frozen=True, slots=True)
class Phrase:
    """A text in double quotes, which are part of `value`."""

    pos: int
    value: str


@dataclass(frozen=True, slots=True)
class Group:
    """A query in round brackets."""

    pos: int
    expr: Node

    @property
    def children(self) -> tuple[Node]:
        """The query in them."""
        return (self.expr,)


@dataclass(frozen=True, slots=True)
class FieldGroup(Group):
    """A group that is the value of a field."""


@dataclass(frozen=True, slots=True)
class SearchField:
    """A field and its value, `name:value`."""

    pos: int
    name: str
    expr: Node


@dataclass(frozen=True, slots=True)
class Range:
    """A range, `[low TO high]`; a curly bracket leaves out its bound."""

    pos: int
    low: "Word | Phrase | Prohibit"
    high: "Word | Phrase | Prohibit"
    include_low: bool
    include_high: bool


@dataclass(frozen=True, slots=True)
class From:
    """A lower bound, `>a` or, with `include`, `>=a`."""

    pos: int
    a: Word | Phrase
    include: bool


@dataclass(frozen=True, slots=True)
class To:
    """An upper bound, `<a` or, with `include`, `<=a`."""

    pos: int
    a: Word | Phrase
    include: bool


@dataclass(frozen=True, slots=True)
class AndOperation:
    """Parts with `AND` between them."""

    pos: int
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class OrOperation:
    """Parts with `OR` between them."""

    pos: int
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class UnknownOperation:
    """Parts with nothing but blanks between them."""

    pos: int
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Plus:
    """A part that has to match, `+a`."""

    pos: int
    a: Node

    @property
    def children(self) -> tuple[Node]:
        """The part."""
        return (self.a,)


@dataclass(frozen=True, slots=True)
class Prohibit(Plus):
    """A part that must not match, `-a`."""


@dataclass(frozen=True, slots=True)
class Not(Plus):
    """A part that must not match, `NOT a`."""


class _Token(NamedTuple):
    kind: str
    text: str
    pos: int


_TOKENS = re.compile(
    r"""
    (?P<blank> \s+ )
    | (?P<word>
        (?: [^\s:^~(){}\[\]/"'+\-\\<>] | \\. )
        (?: [^\s:^\\~(){}\[\]] | \\. | (?<=T\d\d) : \d\d (?: :\d\d )? )*
      )
    | (?P<phrase> "(?: [^\\"] | \\. )*" )
    | (?P<bound> [<>]=? )
    | (?P<sign> [:()\[\]{}+-] )
    """,
    re.VERBOSE | re.DOTALL,
)
_SIGNS: dict[str, type[Plus]] = {"+": Plus, "-": Prohibit, "NOT": Not}
_BOUNDS: dict[str, type[From] | type[To]] = {">": From, "<": To}


def parse(text: str) -> Node:
    """Return the tree of a query that is not blank; raises `ParseError`.

    parse("level:error AND (wheels OR body)")
    """
    parser = _Parser(text)
    tree = parser.read_blank_operation(0)
    if parser.token.kind != "end":
        raise ParseError(parser.token.pos)
    return tree


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        match = _TOKENS.match(text, position)
        if match is None:
            raise ParseError(position)
        if match.lastgroup != "blank":
            kind = str(match.lastgroup)
            reserved = kind == "word" and match[0] in {"AND", "OR", "NOT"}
            yield _Token(match[0] if reserved or kind == "sign" else kind, match[0], position)
        position = match.end()
    yield _Token("end", "", len(text))


class _Parser:
    """One text, read from left to right; `token` is the next one."""

    def __init__(self, text: str) -> None:
        self._rest = _tokens(text)
        self.token = next(self._rest)

    def read_blank_operation(self, depth: int) -> Node:
        """Read parts up to the end, or a closing bracket."""
        parts = [self._read_or(depth)]
        while self.token.kind not in {"end", ")"}:
            parts.append(self._read_or(depth))
        return parts[0] if len(parts) == 1 else UnknownOperation(parts[0].pos, tuple(parts))

    def _read_or(self, depth: int) -> Node:
        parts = [self._read_and(depth)]
        while self._accept("OR"):
            parts.append(self._read_and(depth))
        return parts[0] if len(parts) == 1 else OrOperation(parts[0].pos, tuple(parts))

    def _read_and(self, depth: int) -> Node:
        parts = [self._read_part(depth)]
        while self._accept("AND"):
            parts.append(self._read_part(depth))
        return parts[0] if len(parts) == 1 else AndOperation(parts[0].pos, tuple(parts))

    def _read_part(self, depth: int) -> Node:
        token = self._take()
        if depth == MAX_DEPTH:
            raise NestingError(token.pos)
        if sign := _SIGNS.get(token.kind):
            return sign(token.pos, self._read_part(depth + 1))
        match token.kind:
            case "(":
                expr = self.read_blank_operation(depth + 1)
                self._expect(")")
                return Group(token.pos, expr)
            case "[" | "{":
                return self._read_range(token)
            case "bound":
                return _BOUNDS[token.text[0]](token.pos, self._read_value(), "=" in token.text)
            case "word" if self._accept(":"):
                expr = self._read_part(depth + 1)
                inner = FieldGroup(expr.pos, expr.expr) if type(expr) is Group else expr
                return SearchField(token.pos, token.text, inner)
        return _value(token)

    def _read_range(self, opening: _Token) -> Range:
        low = self._read_bound()
        if self.token.text != "TO":
            raise ParseError(self.token.pos)
        self._take()
        high = self._read_bound()
        closing = self._take()
        if closing.kind not in {"]", "}"}:
            raise ParseError(closing.pos)
        return Range(opening.pos, low, high, opening.kind == "[", closing.kind == "]")

    def _read_bound(self) -> Word | Phrase | Prohibit:
        minus = self._accept("-")
        value = self._read_value()
        return Prohibit(minus.pos, value) if minus else value

    def _read_value(self) -> Word | Phrase:
        return _value(self._take())

    def _take(self) -> _Token:
        token = self.token
        if token.kind != "end":
            self.token = next(self._rest)
        return token

    def _accept(self, kind: str) -> _Token | None:
        return self._take() if self.token.kind == kind else None

    def _expect(self, kind: str) -> None:
        if not self._accept(kind):
            raise ParseError(self.token.pos)


def _value(token: _Token) -> Word | Phrase:
    match token.kind:
        case "word":
            return Word(token.pos, token.text)
        case "phrase":
            return Phrase(token.pos, token.text)
    raise ParseError(token.pos)
