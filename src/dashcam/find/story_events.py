"""All events of one request, from any id of it."""

from dashcam.event import Event
from dashcam.find.fields import field_of
from dashcam.find.query import Any, Equals, Expression, Query, Store

IDS = ("http.request.id", "trace.id", "span.id", "event.id")
TIES = ("http.request.id", "trace.id")  # what the events of one request have in common

ROUNDS = 3  # an id leads to a trace, the trace to a request ID that was lost on the way, that one to its trace


def events_of(store: Store, any_id: str) -> list[Event]:
    """The events of every request that an id belongs to, oldest first; none for an id that no event has.

    The id is one of a request, a trace, a span or an event, or a field's value such as `car_id=7`. A request ID that
    several requests had, or a label's value, gives all of them.
    """
    asked = _first_question(any_id)
    found = list(store.find(Query(Any(tuple(asked)))))
    for _ in range(ROUNDS):
        ties = dict.fromkeys(
            Equals(name, str(value)) for event in found for name in TIES if (value := event.get(name)) is not None
        )
        if not ties.keys() - set(asked):
            break
        asked = list(ties)
        found = list(store.find(Query(Any(tuple(asked)))))
    return found


def _first_question(any_id: str) -> list[Expression]:
    name, is_field, value = any_id.partition("=")
    # A request ID may hold an equals sign itself.
    exact: list[Expression] = [Equals(field, any_id) for field in IDS]
    return [*exact, Equals(field_of(name), value)] if is_field and name else exact
