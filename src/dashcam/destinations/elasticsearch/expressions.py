"""Expressions as searches of Elasticsearch and OpenSearch: exact ones, and ones that also find other events."""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any as Json

from dashcam.find.query import And, Exists, Expression, MatchAll, Not, Or, Phrase, Range, Term, Wildcard
from dashcam.find.values import IDS, SEARCHED, SHOWN, words_of

Dsl = dict[str, Json]
Kinds = Mapping[str, str]

_MAX_TERM_BYTES = 32_766  # of a value in an index; the engine takes a longer one in a search for a fault


def fields_of(expression: Expression) -> Iterator[str]:
    """The fields an expression speaks of."""
    match expression:
        case And(parts) | Or(parts):
            for part in parts:
                yield from fields_of(part)
        case Not(part):
            yield from fields_of(part)
        case Phrase(field=""):
            yield from (*SEARCHED, *SHOWN, *IDS, "labels")
        case MatchAll():
            return
        case _:
            yield expression.field


def at_least(expression: Expression, kinds: Kinds) -> Dsl:
    """The search for every event that an expression matches, and for others where the engine cannot be more exact."""
    return _search(expression, kinds, wide=True)


def _search(expression: Expression, kinds: Kinds, *, wide: bool) -> Dsl:
    """A search for at least the events that match, or, not `wide`, for none but those."""
    match expression:
        case MatchAll():
            return ALL
        case And(parts):
            return all_of([_search(part, kinds, wide=wide) for part in parts])
        case Or(parts):
            return any_of([_search(part, kinds, wide=wide) for part in parts])
        case Not(part):
            return none_of([_search(part, kinds, wide=not wide)])
        case Phrase(text, "", prefix):
            leaves: list[Expression] = [Phrase(text, field, prefix) for field in (*SEARCHED, *SHOWN, "labels")]
            return any_of([_search(leaf, kinds, wide=wide) for leaf in (*leaves, *expression.id_terms)])
    kind = kind_of(expression.field, kinds)
    search, is_exact = leaf_search(expression, kinds)
    if not wide:
        return search if is_exact else NONE
    if kind in {"text", "label", "unknown"}:
        return search
    # A value that is malformed or too long for its field is in no index, but the name of its field is.
    return any_of([search, {"term": {"_ignored": expression.field}}])


def leaf_search(leaf: "Leaf", kinds: Kinds) -> tuple[Dsl, bool]:
    """Return the search for at least the events of a leaf, and whether it finds none but these."""
    return _LEAVES.get(kind_of(leaf.field, kinds), _other)(leaf)


ALL: Dsl = {"match_all": {}}
NONE: Dsl = {"match_none": {}}

Leaf = Term | Wildcard | Phrase | Range | Exists


def all_of(searches: list[Dsl]) -> Dsl:
    """Return a search for the events that all of some searches find."""
    return {"bool": {"filter": searches}}


def any_of(searches: list[Dsl]) -> Dsl:
    """Return a search for the events that one of some searches finds."""
    return {"bool": {"should": searches, "minimum_should_match": 1}} if searches else NONE


def none_of(searches: list[Dsl]) -> Dsl:
    """Return a search for the events that none of some searches finds."""
    return {"bool": {"must_not": searches}}


def _term(field: str, value: str) -> Dsl:
    return {"term": {field: value}} if len(value.encode()) <= _MAX_TERM_BYTES else NONE


def _has(field: str) -> Dsl:
    return {"exists": {"field": field}}


_KINDS = {
    "flat_object": "label",
    "flattened": "label",
    "keyword": "keyword",
    "long": "long",
    "match_only_text": "text",
    "text": "text",
    "wildcard": "keyword",
}


def with_parents(field: str) -> list[str]:
    """Return the names of a field and of the objects that it is in."""
    names = field.split(".")
    return [".".join(names[:depth]) for depth in range(len(names), 0, -1)]


def kind_of(field: str, kinds: Kinds) -> str:
    """Return the way a field is held: `keyword`, `text`, `long`, `label`, `other`, or `unknown`."""
    name, *parents = with_parents(field)
    if any(_KINDS.get(kinds.get(parent, "")) == "label" for parent in parents):
        return "label"
    kind = kinds.get(name, "object")
    return "unknown" if kind in {"object", "nested", "unmapped"} else _KINDS.get(kind, "other")


def _keyword(leaf: Leaf) -> tuple[Dsl, bool]:
    match leaf:
        case Term(field, value):
            return _term(field, value), True
        case Wildcard(field, ""):
            return _term(field, ""), True  # as a pattern the engine takes it for none
        case Wildcard(field, pattern):
            loose = _loosened(pattern)
            return {"wildcard": {field: {"value": loose}}}, loose == pattern
        case Phrase(text, field):
            # The engine folds capitals of ASCII alone; K and I have others, the Kelvin sign and a dotted capital.
            runs = [re.sub("[ik]", "?", run) for run in re.findall("[0-9a-z]+", text.lower())]
            return all_of([_holding(field, run, case_insensitive=True) for run in runs]), False
    return _has(leaf.field), isinstance(leaf, Exists)


# A pattern becomes an automaton, and the engine allows it some 10,000 steps of work: the square of a long pattern.
_PATTERN_SIGNS = 100


def _holding(field: str, run: str, **options: bool) -> Dsl:
    return {"wildcard": {field: {"value": f"*{run[:_PATTERN_SIGNS]}*", **options}}}


def _loosened(pattern: str) -> str:
    """A pattern that is no more work than the engine allows; `?` and `*` together are the most."""
    signs = re.findall(r"\\?.", pattern, re.DOTALL)
    if "*" in signs:
        signs = ["*" if sign == "?" else sign for sign in signs]
    return "".join(signs if len(signs) <= _PATTERN_SIGNS else [*signs[:_PATTERN_SIGNS], "*"])


# Letters that every tokenizer of words keeps together, and that are the same small letters everywhere.
_RUN = re.compile("[0-9a-zß-öø-ʯά-ρτ-ώа-ԯ]+")


def _text(leaf: Leaf) -> tuple[Dsl, bool]:
    """A text is held as words, which the engine cuts in other places than `words_of` does."""
    match leaf:
        case Term(field, value):
            pieces = [value]
        case Wildcard(field, pattern):
            pieces = ["" if sign in "*?" else sign[-1] for sign in re.findall(r"\\?.", pattern, re.DOTALL)]
            pieces = "".join(piece or "\0" for piece in pieces).split("\0")
        case Phrase(text, field):
            if not words_of(text):
                return NONE, True
            pieces = [text]
        case _:
            return ALL, False
    runs = [run for piece in pieces for run in _RUN.findall(piece.lower())]
    return all_of([_holding(field, run) for run in runs]), False


def _long(leaf: Leaf) -> tuple[Dsl, bool]:
    """A whole number; fractions are stored truncated, so the search truncates them, too."""
    match leaf:
        case Term(field, value) if (number := _number(value)) is not None:
            return {"term": {field: _clamped(number)}}, False
        case Range(field, low, high):
            bounds = {"gte": low, "lte": high}
            held = {name: _clamped(bound) for name, bound in bounds.items() if bound is not None}
            return {"range": {field: held}}, False
    return _has(leaf.field), isinstance(leaf, Exists)


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _clamped(number: float | Decimal) -> int:
    return int(max(-(2**63), min(2**63 - 1, number)))


def _label(leaf: Leaf) -> tuple[Dsl, bool]:
    """A label is held as `name=value`, numbers too, with all their digits."""
    match leaf:
        case Term(field, value) if not re.fullmatch("-?[0-9.]+[eE][-+0-9]+", value):
            return _term(field, value), False
        case Phrase(_, "labels"):
            return _keyword(leaf)
        case Wildcard(field, pattern) if not pattern.startswith(("*", "?", "\\")):
            return {"prefix": {field: re.split(r"[*?\\]", pattern)[0]}}, False
    return _has(leaf.field), False


def _other(leaf: Leaf) -> tuple[Dsl, bool]:
    return _has(leaf.field), isinstance(leaf, Exists)


_LEAVES: dict[str, Callable[[Leaf], tuple[Dsl, bool]]] = {
    "keyword": _keyword,
    "label": _label,
    "long": _long,
    "text": _text,
    "unknown": lambda _: (ALL, False),
}
