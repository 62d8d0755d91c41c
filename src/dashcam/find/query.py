"""A query of a store: an expression over events, a period, a limit.

Every store gives the same hits for the same query; `matches` on each expression defines which.
A store that cannot ask for an expression exactly asks for more and keeps what `matches`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from dashcam.event import STATEMENT_ACTION, Event
from dashcam.find.fields import normalize
from dashcam.find.values import IDS, has_pattern, holds_words, number_of, shown_texts, text_of, values_of, words_of


@dataclass(frozen=True, slots=True)
class MatchAll:
    """All events."""

    def matches(self, event: Event) -> bool:  # noqa: ARG002 - it asks nothing of the event
        """True."""
        return True


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that follow each other in a text of an event, without regard to capitals; `words_of` says what a word is.

    They are looked for in one `field`, if it is named, else in every text that a line shows of an event, each by
    itself: messages, errors, labels (`values.is_shown`); or the text is one of the event's `IDS`. With
    `prefix` the last word may be the beginning of one. A text without a word matches nothing.
    """

    text: str
    field: str = ""
    prefix: bool = False

    def matches(self, event: Event) -> bool:
        """Return whether a text of the event holds the words, or an ID is the text."""
        words = words_of(self.text)
        texts = map(text_of, values_of(event, self.field)) if self.field else shown_texts(event)
        return any(holds_words(text, words, prefix=self.prefix) for text in texts) or any(
            term.matches(event) for term in self.id_terms
        )

    @property
    def id_terms(self) -> "tuple[Term, ...]":
        """The terms of an event that has the text for an ID; none for what cannot be an ID."""
        return () if self.field or self.prefix else _id_terms(self.text)


@dataclass(frozen=True, slots=True)
class Term:
    """A field, by its dotted name, that has a value (one of its values, for a list)."""

    field: str
    value: str

    def matches(self, event: Event) -> bool:
        """Return whether a value of the field, as `text_of` writes it, is this one; capitals count."""
        return any(text_of(value) == self.value for value in values_of(event, self.field))


@lru_cache(maxsize=64)  # each event of a search is asked for them
def _id_terms(text: str) -> tuple[Term, ...]:
    return () if re.search(r"\s", text) else tuple(Term(field, normalize(field, text)) for field in IDS)


@dataclass(frozen=True, slots=True)
class Wildcard:
    r"""A field whose whole value fits a pattern of literals, `*` (any text) and `?` (one character).

    `\` makes the next character a literal; capitals count.
    """

    field: str
    pattern: str

    def matches(self, event: Event) -> bool:
        """Return whether a value of the field, as `text_of` writes it, fits."""
        return any(has_pattern(text_of(value), self.pattern) for value in values_of(event, self.field))


@dataclass(frozen=True, slots=True)
class Range:
    """A number field within bounds; `None` is open, an `_inclusive` flag says whether the bound itself is in."""

    field: str
    low: float | None = None
    high: float | None = None
    low_inclusive: bool = True
    high_inclusive: bool = True

    def matches(self, event: Event) -> bool:
        """Return whether a value of the field is a number within the bounds; a string of digits is no number."""
        numbers = (number_of(value) for value in values_of(event, self.field))
        return any(number is not None and self.holds(number) for number in numbers)

    def holds(self, number: float) -> bool:
        """Return whether a number is within the bounds."""
        above = self.low is None or number > self.low or (self.low_inclusive and number == self.low)
        below = self.high is None or number < self.high or (self.high_inclusive and number == self.high)
        return above and below


@dataclass(frozen=True, slots=True)
class Exists:
    """A field that an event has a value for; null, an empty list and an object are none, an empty text is one."""

    field: str

    def matches(self, event: Event) -> bool:
        """Return whether the field has a value."""
        return bool(values_of(event, self.field))


@dataclass(frozen=True, slots=True)
class And:
    """Every one of the parts."""

    parts: "tuple[Expression, ...]"

    def matches(self, event: Event) -> bool:
        """Return whether every part matches."""
        return all(part.matches(event) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of the parts."""

    parts: "tuple[Expression, ...]"

    def matches(self, event: Event) -> bool:
        """Return whether a part matches."""
        return any(part.matches(event) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    """All events but those of the part."""

    part: "Expression"

    def matches(self, event: Event) -> bool:
        """Return whether the part does not match."""
        return not self.part.matches(event)


Expression = MatchAll | Phrase | Term | Wildcard | Range | Exists | And | Or | Not


CANARY = Term("event.dataset", "dashcam-doctor")
"""The events that `dashcam doctor` sends to see whether they arrive."""

STATEMENT = Term("event.action", STATEMENT_ACTION)
"""The statements of segments, for `dashcam audit`."""

OWN = Or((CANARY, STATEMENT))
"""The events of Dashcam's own, which a search leaves out unless it asks for them."""

_NAMES = (CANARY.value, STATEMENT.value)


def without_own(expression: Expression, text: str) -> Expression:
    """Return an expression without Dashcam's own events, unless the text of the search names them."""
    if any(name in text for name in _NAMES):
        return expression
    return Not(OWN) if expression == MatchAll() else And((expression, Not(OWN)))


@dataclass(frozen=True, slots=True)
class Query:
    """A search: an expression, and a period from `since_ns` until before `until_ns` (nanoseconds since the epoch, UTC).

    A `limit` above 0 selects that many of the newest events; 0 selects all.

        >>> newest = Query(Term("service.name", "cars"), limit=10)
    """

    expression: Expression = MatchAll()
    since_ns: int | None = None
    until_ns: int | None = None
    limit: int = 0

    def matches(self, event: Event) -> bool:
        """Return true if an event is in the period and the expression matches it."""
        after = self.since_ns is None or event.time_ns >= self.since_ns
        before = self.until_ns is None or event.time_ns < self.until_ns
        return after and before and self.expression.matches(event)


class Store(Protocol):
    """The searching half of a destination.

    >>> class Nothing:
    ...     def find(self, query):
    ...         return iter([])
    ...
    ...     def close(self):
    ...         pass
    """

    def find(self, query: Query) -> Iterator[Event]:
        """Yield the events of a query, oldest first (by time, then `event.id`), each once.

        Raises `StoreUnreachable` if the store gives no answer, or only a part of one.
        """

    def close(self) -> None:
        """Close connections and files."""
