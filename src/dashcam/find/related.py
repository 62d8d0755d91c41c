"""All events of one request, from any id of it."""

from collections.abc import Iterable, Iterator, Sequence

from dashcam.event import Event
from dashcam.find.fields import field_of, normalize
from dashcam.find.query import And, Expression, Not, Or, Query, Store, Term

IDS = ("http.request.id", "trace.id", "span.id", "event.id")
JOIN_FIELDS = ("http.request.id", "trace.id")  # what the events of one request have in common

MAX_HITS = 1_000  # of a value that many requests share, as a label may be, the newest events are followed
FEW_HITS = 100  # of an id: enough to see what it is tied to, and most stories
MAX_ROUNDS = 3  # an id leads to a trace, the trace to a request ID that was lost on the way, that one to its trace

_MAX_TERMS = 100


def find_related_events(store: Store, any_id: str) -> list[Event]:
    """The events of every request that an id belongs to, oldest first; none for an id that no event has.

    The id is one of a request, a trace, a span or an event, or a field's value such as `car_id=7`. A request ID that
    several requests had, or a label's value, gives all of them. Raises `StoreUnreachable` as the store does.
    """
    first, limit = _starting_terms(any_id)
    fresh = list(store.find(Query(Or(first), limit=limit)))
    found = {event.id: event for event in fresh}
    known = dict.fromkeys(first if len(fresh) < limit else ())
    for _ in range(MAX_ROUNDS):
        terms = [term for term in _join_terms(fresh) if term not in known]
        queries = [_exclude_known(known, terms[at : at + _MAX_TERMS]) for at in range(0, len(terms), _MAX_TERMS)]
        fresh = [event for query in queries for event in store.find(Query(query))]
        found |= {event.id: event for event in fresh}
        known |= dict.fromkeys(terms)
    return sorted(found.values(), key=lambda event: (event.time_ns, event.id))


def _starting_terms(any_id: str) -> tuple[tuple[Term, ...], int]:
    """What an event may have by this id, and how many of such events show what it is tied to."""
    name, is_field, value = any_id.partition("=")
    # A request ID may hold an equals sign itself.
    exact = tuple(Term(field, normalize(field, any_id)) for field in IDS)
    if not (is_field and name):
        return exact, FEW_HITS
    return (*exact, Term(field_of(name), normalize(field_of(name), value))), MAX_HITS


def _join_terms(events: Iterable[Event]) -> Iterator[Term]:
    """The ties of events, each once, those of one event beside each other."""
    yield from dict.fromkeys(
        Term(name, str(value)) for event in events for name in JOIN_FIELDS if (value := event.get(name)) is not None
    )


def _exclude_known(known: Iterable[Term], terms: Sequence[Term]) -> Expression:
    """The events that some ties lead to, without those that what is known led to, unless that is much to say."""
    found = Or(tuple(known))
    return And((Or(tuple(terms)), Not(found))) if len(found.parts) <= _MAX_TERMS else Or(tuple(terms))
