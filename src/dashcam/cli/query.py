"""A search on the command line: its words, which may begin with a minus, and what is said when it finds nothing."""

import argparse
import re
import time
from collections.abc import Iterator, Sequence

from dashcam.cli.period import Moment, since_phrase
from dashcam.find.fields import SHORT, similar_name
from dashcam.find.language import parse
from dashcam.find.query import And, Exists, Expression, MatchAll, Not, Or, Query, Store, without_own

MAX_EARLIER = 1_000  # events before the period that are counted

_OPTION = re.compile(r"-h|-n\d*|--.*|-|-\d+")  # the last one is a number that an option does not take


def add_query(parser: argparse.ArgumentParser, meaning: str) -> None:
    """Add the words of a search; several are joined by blanks."""
    parser.add_argument("query", nargs="*", help=meaning)


def protect_minus(arguments: Sequence[str]) -> list[str]:
    """Return arguments in which a search such as `-level:info` is not an option."""
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    return [
        one if index >= end or not one.startswith("-") or _OPTION.fullmatch(one) else f"NOT {one[1:]}"
        for index, one in enumerate(arguments)
    ]


def parse_words(words: Sequence[str]) -> Expression:
    """Return the expression of a search; Dashcam's own events are left out unless it asks for them."""
    text = " ".join(words)
    return without_own(parse(text), text)


def explain_nothing(store: Store, query: Query, since: Moment) -> Iterator[str]:
    """Yield what may be the reason that a search found nothing: the period, or a name that no event has."""
    before = list(store.find(Query(query.expression, None, query.since_ns, MAX_EARLIER)))
    if before:
        count = f"{len(before):,}{' or more' if len(before) == MAX_EARLIER else ''}"
        age = f"{(time.time_ns() - before[-1].time_ns) // 86_400_000_000_000 + 1}d"
        yield f"nothing {since_phrase(since)}, but {count} before: --since {age} finds some"
        return
    for field in dict.fromkeys(_fields_of(query.expression)):
        name = field.removeprefix("labels.")
        if next(iter(store.find(Query(Exists(field), query.since_ns, query.until_ns, 1))), None):
            continue
        close = similar_name(name)
        meaning = f"did you mean {close}?" if close else "a name that is not a field is a label"
        yield f"no event {since_phrase(since)} has {'the label ' if name != field else ''}{name}: {meaning}"


def _fields_of(expression: Expression) -> Iterator[str]:
    match expression:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _fields_of(part)
        case Not(part):
            return
        case MatchAll():
            return
        case _ if expression.field and expression.field not in {*SHORT.values(), "event.action"}:
            yield expression.field
