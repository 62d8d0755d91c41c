"""All events of one request, from any id of it."""

from collections.abc import Iterator

from dashcam.event import Event
from dashcam.find.fields import field_of, fold
from dashcam.find.query import Any, Equals, Expression, Query, Store

IDS = ("http.request.id", "trace.id", "span.id", "event.id")
TIES = ("http.request.id", "trace.id")  # what the events of one request have in common

MOST_HITS = 1_000  # of a value that many requests share, as a label may be, the newest events are followed
ROUNDS = 3  # an id leads to a trace, the trace to a request ID that was lost on the way, that one to its trace

_TIES_AT_ONCE = 100


def events_of(store: Store, any_id: str) -> list[Event]:
    """The events of every request that an id belongs to, oldest first; none for an id that no event has.

    The id is one of a request, a trace, a span or an event, or a field's value such as `car_id=7`. A request ID that
    several requests had, or a label's value, gives all of them. Raises `Unreachable` as the store does.
    """
    found = {event.id: event for event in store.find(Query(_first_question(any_id), limit=MOST_HITS))}
    known: set[Equals] = set()
    for _ in range(ROUNDS):
        ties = {
            Equals(name, str(value))
            for event in found.values()
            for name in TIES
            if (value := event.get(name)) is not None
        }
        for some in _portions(sorted(ties - known, key=str)):
            found |= {event.id: event for event in store.find(Query(Any(some)))}
        known |= ties
    return sorted(found.values(), key=lambda event: (event.time_ns, event.id))


def _first_question(any_id: str) -> Expression:
    name, is_field, value = any_id.partition("=")
    # A request ID may hold an equals sign itself.
    exact = tuple(Equals(field, fold(field, any_id)) for field in IDS)
    return Any((*exact, Equals(field_of(name), fold(field_of(name), value))) if is_field and name else exact)


def _portions(ties: list[Equals]) -> Iterator[tuple[Equals, ...]]:
    for first in range(0, len(ties), _TIES_AT_ONCE):
        yield tuple(ties[first : first + _TIES_AT_ONCE])
