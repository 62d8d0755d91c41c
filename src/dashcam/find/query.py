"""What is asked of a store: an expression over events, a span of time, a limit.

Every store gives the same hits for the same query; `matches` on each expression is the meaning they are held to.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from dashcam.event import Event


@dataclass(frozen=True, slots=True)
class Everything:
    """All events."""


@dataclass(frozen=True, slots=True)
class Words:
    """Words that follow each other in an event's text, without regard to capitals."""

    text: str


@dataclass(frozen=True, slots=True)
class Equals:
    """A field, by its dotted name, that has a value (one of its values, for a list)."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Matches:
    """A field whose value fits a pattern of literals, `*` (any text) and `?` (one character)."""

    field: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Between:
    """A number field within bounds; `None` is open, an `_inclusive` flag says whether the bound itself is in."""

    field: str
    low: float | None = None
    high: float | None = None
    low_inclusive: bool = True
    high_inclusive: bool = True


@dataclass(frozen=True, slots=True)
class Exists:
    """A field that an event has."""

    field: str


@dataclass(frozen=True, slots=True)
class All:
    """Every one of the parts."""

    parts: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class Any:
    """At least one of the parts."""

    parts: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """All events but those of the part."""

    part: "Expression"


Expression = Everything | Words | Equals | Matches | Between | Exists | All | Any | Not


@dataclass(frozen=True, slots=True)
class Query:
    """Events of an expression from `since_ns` up to, not including, `until_ns` (nanoseconds since the epoch).

    With a `limit` above 0 the newest that many; 0 means all of them.
    """

    expression: Expression = Everything()
    since_ns: int | None = None
    until_ns: int | None = None
    limit: int = 0


class Store(Protocol):
    """One place where shipped events are found again."""

    def find(self, query: Query) -> Iterator[Event]:
        """The events of a query, oldest first (by time, then `event.id`), none twice.

        Raises `Unreachable` when the store gives no answer, or only part of one.
        """

    def close(self) -> None:
        """Give back connections and files."""
