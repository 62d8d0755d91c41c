r"""The search language: a text such as `level:error service:parts "timed out" duration:>250ms` as an expression.

- `timed`, `"timed out"`, `time*`: words of a message, an error or a label, the last one the beginning of a word; an ID
- `service:parts`, `path:/cars/*`, `name:"VW Golf"`: a field's whole value; in message and error, words of it
- `status:>=500`, `status:[500 TO 599]`, `status:5xx`, `duration:>250ms`, `level:>=warning`: ranges; `{` and `}` leave
  the bound out, `*` is an open bound
- `error:*`: the field has a value; `*` alone, or `*:*`: every event
- `a b` and `a AND b`, `a OR b`, `NOT a`, `-a` and `!a`, `( )`, `service:(cars OR parts)`. AND binds closer than OR, and
  OR closer than a blank: `service:cars level:error OR status:5xx` asks for cars, and of it for either
- `\` escapes the next character

`fields` has the names; one it does not know is a label: `car_id:7`.
"""

import re
from collections.abc import Callable
from reprlib import repr as shortened

from dashcam.errors import QueryError
from dashcam.find.fields import KNOWN_VALUES, WHOLE_NUMBERS, fields_of, normalize, similar_name
from dashcam.find.grammar import COMPARE, END, PHRASE, WORD, Token, tokenize
from dashcam.find.query import And, Exists, Expression, MatchAll, Not, Or, Phrase, Range, Term, Wildcard
from dashcam.find.values import SEARCHED, words_of
from dashcam.settings import LEVELS

MAX_NESTING = 50  # each level is a few Python calls in every store

_RANKS = {level.lower(): rank for rank, level in enumerate(LEVELS)}
_LEVEL_NAMES = {"warn": "warning", "err": "error", "fatal": "critical"} | {level: level for level in _RANKS}
_UNITS_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}

Fields = tuple[str, ...]
"""The fields that one name of a search stands for, in each of which a value may be; none for words anywhere."""

Bound = tuple[Token | None, bool]
"""A bound of a range, `None` for an open one, and whether it is within the range itself."""


def parse(text: str) -> Expression:
    """Return the expression that a text means; a blank one means every event.

    Raises `QueryError`, and nothing else, with the position of what cannot be read.

    >>> parse("level:error created")
    And(parts=(Term(field='log.level', value='error'), Phrase(text='created', field='', prefix=False)))
    """
    return _Parser(text).parse() if text.strip() else MatchAll()


class _Parser:
    """Reads tokens by recursive descent: a method for each binding strength, the weakest first."""

    def __init__(self, text: str) -> None:
        self._tokens = list(tokenize(text))
        self._at = 0

    def parse(self) -> Expression:
        expression = self._blanks((), 0)
        self._expect(END)
        return expression

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _expect(self, *kinds: str) -> Token:
        if self._next.kind not in kinds:
            raise self._unexpected()
        return self._take()

    def _unexpected(self) -> QueryError:
        if self._next.kind == END:
            return QueryError("The search ends where a value or a closing bracket is expected.", self._next.position)
        seen = shortened(self._next.text)
        reason = f"{seen} is not expected here. Put text that holds : ( ) [ ] {{ }} < > in quotes."
        return QueryError(reason, self._next.position)

    def _blanks(self, fields: Fields, depth: int) -> Expression:
        parts = [self._ors(fields, depth)]
        while self._next.kind not in {")", END}:
            parts.append(self._ors(fields, depth))
        return And(tuple(parts)) if len(parts) > 1 else parts[0]

    def _ors(self, fields: Fields, depth: int) -> Expression:
        parts = [self._ands(fields, depth)]
        while self._next.kind == "OR":
            self._take()
            parts.append(self._ands(fields, depth))
        return Or(tuple(parts)) if len(parts) > 1 else parts[0]

    def _ands(self, fields: Fields, depth: int) -> Expression:
        parts = [self._one(fields, depth)]
        while self._next.kind == "AND":
            self._take()
            parts.append(self._one(fields, depth))
        return And(tuple(parts)) if len(parts) > 1 else parts[0]

    def _one(self, fields: Fields, depth: int) -> Expression:
        if depth > MAX_NESTING:
            raise QueryError(f"A search is nested at most {MAX_NESTING} deep.", self._next.position)
        token = self._expect("NOT", "+", "(", "[", "{", COMPARE, PHRASE, WORD)
        match token.kind:
            case "NOT":
                return Not(self._one(fields, depth + 1))
            case "+":
                return self._one(fields, depth + 1)
            case "(":
                inner = self._blanks(fields, depth + 1)
                self._expect(")")
                return inner
            case "[" | "{" | "compare":
                return self._range(token, fields)
            case "phrase":
                return _in_each(fields, lambda field: _value(_unquoted(token.text), field, token.position))
        if self._next.kind == ":" and self._next.position == token.position + len(token.text):
            self._take()
            return self._named(token, fields, depth)
        return _in_each(fields, lambda field: _word(token, field))

    def _named(self, name: Token, outer: Fields, depth: int) -> Expression:
        text = _literal(name.text)
        if outer:
            raise QueryError(
                f"{shortened(text)} names a field within another field's value; put a value with ':' in quotes.",
                name.position,
            )
        if text == "@timestamp":
            raise QueryError("To search by time, use --since and --until.", name.position)
        if name.text == "*":
            if self._next.text == "*":
                self._take()
                return MatchAll()
            raise QueryError("* is not a field. A text without a field is searched in all texts.", name.position)
        return self._one(fields_of(text), depth + 1)

    def _range(self, opening: Token, fields: Fields) -> Expression:
        if not fields:
            raise QueryError("A range needs a field, as in status:>=500.", opening.position)
        bound = self._expect(WORD, PHRASE)
        if opening.kind == COMPARE:
            limit, is_open = (bound, opening.text.endswith("=")), (None, True)
            low, high = (limit, is_open) if opening.text[0] == ">" else (is_open, limit)
        else:
            if self._next.text != "TO":
                raise self._unexpected()
            self._take()
            upper, closing = self._expect(WORD, PHRASE), self._expect("]", "}")
            low, high = (bound, opening.kind == "["), (upper, closing.kind == "]")
        return _in_each(fields, lambda field: _between(field, low, high))


def _in_each(fields: Fields, leaf: Callable[[str], Expression]) -> Expression:
    """Return an expression that is met in one of some fields, or, without a field, in any text."""
    parts = tuple(map(leaf, fields)) or (leaf(""),)
    return parts[0] if len(parts) == 1 else Or(parts)


def _word(token: Token, field: str) -> Expression:
    text = token.text
    wildcards = [sign for sign in re.findall(r"\\?.", text, re.DOTALL) if sign in {"*", "?"}]
    if text == "*":
        return Exists(field) if field else MatchAll()
    if field == "http.response.status_code" and re.fullmatch("[1-5]xx", text):
        return Range(field, int(text[0]) * 100, int(text[0]) * 100 + 99)
    if not wildcards:
        return _value(_literal(text), field, token.position)
    if (not field or field in SEARCHED) and wildcards == ["*"] and text[-2].isalnum() and text.endswith("*"):
        return _words(_literal(text[:-1]), field, token.position, prefix=True)
    if not field:
        raise QueryError(
            f"{shortened(text)} has no field: there a * ends a word, as in time*, or it is put in quotes.",
            token.position,
        )
    return Wildcard(field, normalize(field, re.sub(r"\\([^*?\\])", r"\1", text)))


def _value(text: str, field: str, position: int) -> Expression:
    if not field or field in SEARCHED:
        return _words(text, field, position)
    if field == "log.level":
        return Term(field, _level(text, position))
    if field == "event.duration":
        return Term(field, str(_duration_ns(text, position)))
    if (field, text.lower()) == ("event.outcome", "aborted"):
        return Term("event.action", "request-aborted")
    known = KNOWN_VALUES.get(field, ())
    if known and normalize(field, text) not in known:
        raise QueryError(f"{shortened(text)} is not a value of {field}. Known: {', '.join(known)}.", position)
    if field in WHOLE_NUMBERS and not re.fullmatch("-?[0-9]{1,18}", text):
        raise QueryError(
            f"{shortened(text)} is not a value of {field}, which is a number. For a label, write labels.NAME.",
            position,
        )
    return Term(field, normalize(field, text))


def _words(text: str, field: str, position: int, *, prefix: bool = False) -> Expression:
    if not words_of(text):
        raise QueryError(f"{shortened(text)} has no letter or digit to search for.", position)
    return Phrase(text, field, prefix)


def _between(field: str, low: Bound, high: Bound) -> Expression:
    wanted = Range(field, low[0] and _bound(low[0], field), high[0] and _bound(high[0], field), low[1], high[1])
    if field == "log.level":
        return Or(tuple(Term(field, level) for level, rank in _RANKS.items() if wanted.holds(rank)))
    return wanted


def _bound(token: Token, field: str) -> float | None:
    text = _unquoted(token.text) if token.kind == PHRASE else _literal(token.text)
    if text == "*":
        return None
    if field == "log.level":
        return _RANKS[_level(text, token.position)]
    if field == "event.duration":
        return _duration_ns(text, token.position)
    number = _number(text)
    if number is None:
        close = similar_name(field.removeprefix("labels.")) if field.startswith("labels.") else None
        hint = f" Did you mean {close}?" if close else ""
        raise QueryError(f"{shortened(text)} is not a number; a range needs numbers.{hint}", token.position)
    return number


def _number(text: str) -> float | None:
    if not re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", text):
        return None
    return float(text) if "." in text else int(text)


def _duration_ns(text: str, position: int) -> int:
    digits = text.rstrip("nuµmsh")
    number, unit = _number(digits), _UNITS_NS.get(text[len(digits) :])
    if number is None or unit is None:
        raise QueryError(f"A duration is a number with a unit, such as 250ms or 1.5s, not {shortened(text)}.", position)
    return round(number * unit)


def _level(text: str, position: int) -> str:
    if text.lower() not in _LEVEL_NAMES:
        raise QueryError(f"{shortened(text)} is not a level. Known: {', '.join(_RANKS)}.", position)
    return _LEVEL_NAMES[text.lower()]


def _literal(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _unquoted(text: str) -> str:
    return re.sub(r'\\(["\\])', r"\1", text[1:-1])
