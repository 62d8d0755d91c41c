r"""The search language: a text such as `level:error service:parts "timed out" duration:>250ms` as an expression.

- `timed`, `"timed out"`, `time*`: words of a message or an error, the last one the beginning of a word
- `service:parts`, `path:/cars/*`, `name:"VW Golf"`: a field's whole value; in message and error, words of it
- `status:>=500`, `status:[500 TO 599]`, `status:5xx`, `duration:>250ms`, `level:>=warning`: ranges; `{` and `}` leave
  the bound out, `*` is no bound
- `error:*`: the field is there; `*` alone: every event
- `a b` and `a AND b`, `a OR b`, `NOT a` and `-a`, `( )`, `service:(cars OR parts)`. AND binds closer than OR, and OR
  closer than a blank: `service:cars level:error OR status:5xx` asks for cars, and of it for either
- `\` takes the meaning of the sign after it

`fields` has the names; one it does not know is a label: `car_id:7`.
"""

import re
from collections.abc import Callable
from reprlib import repr as shortened
from typing import Any as Node

from dashcam.errors import QueryError
from dashcam.find.fields import field_of, normalize
from dashcam.find.grammar import parse_tree, tree, unescape
from dashcam.find.query import And, Exists, Expression, MatchAll, Not, Or, Phrase, Range, Term, Wildcard
from dashcam.find.values import SEARCHED, words_of
from dashcam.settings import LEVELS

MAX_NESTING = 50  # each level is a few Python calls in every store

_RANKS = {level.lower(): rank for rank, level in enumerate(LEVELS)}
_LEVEL_NAMES = {"warn": "warning", "err": "error", "fatal": "critical"} | {level: level for level in _RANKS}
_UNITS_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def parse(text: str) -> Expression:
    """The expression a text means; a blank one means every event.

    Raises `QueryError`, and nothing else, with the position of what cannot be read.
    """
    return _read(parse_tree(text), "", 0) if text.strip() else MatchAll()


def _read(node: Node, field: str, depth: int) -> Expression:
    if depth > MAX_NESTING:
        raise QueryError(f"A search is nested at most {MAX_NESTING} deep.", node.pos or 0)
    return _READERS[type(node)](node, field, depth + 1)


def _all(node: Node, field: str, depth: int) -> Expression:
    return And(tuple(_read(part, field, depth) for part in node.operands))


def _any(node: Node, field: str, depth: int) -> Expression:
    return Or(tuple(_read(part, field, depth) for part in node.operands))


def _not(node: Node, field: str, depth: int) -> Expression:
    return Not(_read(node.a, field, depth))


def _inner(node: Node, field: str, depth: int) -> Expression:
    return _read(node.children[0], field, depth)


def _named(node: Node, field: str, depth: int) -> Expression:
    return _read(node.expr, _field(node, field), depth)


def _field(node: Node, outer: str) -> str:
    name = _literal(unescape(node.name))
    if outer:
        raise QueryError(
            f"{shortened(name)} names a field within another field's value; put a value that holds ':' in quotes.",
            node.pos,
        )
    if name == "@timestamp":
        raise QueryError("The time is not searched for; choose it with --since and --until.", node.pos)
    return field_of(name)


def _word(node: Node, field: str, _depth: int) -> Expression:
    text = unescape(node.value)
    wildcards = [sign for sign in re.findall(r"\\?.", text, re.DOTALL) if sign in {"*", "?"}]
    if text == "*":
        return Exists(field) if field else MatchAll()
    if field == "http.response.status_code" and re.fullmatch("[1-5]xx", text):
        return Range(field, int(text[0]) * 100, int(text[0]) * 100 + 99)
    if not wildcards:
        return _value(_literal(text), field, node.pos)
    if (not field or field in SEARCHED) and wildcards == ["*"] and text[-2].isalnum() and text.endswith("*"):
        return _words(_literal(text[:-1]), field, node.pos, prefix=True)
    if not field:
        raise QueryError(
            f"{shortened(text)} has no field: there a * ends a word, as in time*, or it is put in quotes.", node.pos
        )
    return Wildcard(field, normalize(field, re.sub(r"\\([^*?\\])", r"\1", text)))


def _phrase(node: Node, field: str, _depth: int) -> Expression:
    return _value(_unquoted(node), field, node.pos)


def _value(text: str, field: str, position: int) -> Expression:
    if not field or field in SEARCHED:
        return _words(text, field, position)
    if field == "log.level":
        return Term(field, _level(text, position))
    if field == "event.duration":
        return Term(field, str(_duration_ns(text, position)))
    return Term(field, normalize(field, text))


def _words(text: str, field: str, position: int, *, prefix: bool = False) -> Expression:
    if not words_of(text):
        raise QueryError(f"{shortened(text)} has no letter or digit to search for.", position)
    return Phrase(text, field, prefix)


def _range(node: Node, field: str, _depth: int) -> Expression:
    if not field:
        raise QueryError("A range needs a field, as in status:>=500.", node.pos)
    match node:
        case tree.From():
            wanted = Range(field, low=_bound(node.a, field), low_inclusive=node.include)
        case tree.To():
            wanted = Range(field, high=_bound(node.a, field), high_inclusive=node.include)
        case _:
            bounds = _bound(node.low, field), _bound(node.high, field)
            wanted = Range(field, *bounds, node.include_low, node.include_high)
    if field == "log.level":
        return Or(tuple(Term(field, level) for level, rank in _RANKS.items() if wanted.holds(rank)))
    return wanted


def _bound(node: Node, field: str) -> float | None:
    text = _unquoted(node) if isinstance(node, tree.Phrase) else _literal(unescape(getattr(node, "value", "")))
    if isinstance(node, tree.Prohibit):
        text = f"-{_literal(unescape(getattr(node.a, 'value', '')))}"
    if text == "*":
        return None
    if field == "log.level":
        return _RANKS[_level(text, node.pos)]
    if field == "event.duration":
        return _duration_ns(text, node.pos)
    number = _number(text)
    if number is None:
        raise QueryError(f"A range compares numbers, and {shortened(text)} is none.", node.pos)
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


def _unquoted(node: Node) -> str:
    return re.sub(r'\\(["\\])', r"\1", node.value[1:-1])


_READERS: dict[type, Callable[[Node, str, int], Expression]] = {
    tree.AndOperation: _all,
    tree.FieldGroup: _inner,
    tree.From: _range,
    tree.Group: _inner,
    tree.Not: _not,
    tree.OrOperation: _any,
    tree.Phrase: _phrase,
    tree.Plus: _inner,
    tree.Prohibit: _not,
    tree.Range: _range,
    tree.SearchField: _named,
    tree.To: _range,
    tree.UnknownOperation: _all,  # a blank
    tree.Word: _word,
}
