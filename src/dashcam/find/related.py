"""All events of one request, from any id of it."""

import re

from dashcam.event import Event
from dashcam.find.fields import field_of, normalize
from dashcam.find.query import STATEMENT, And, Not, Or, Query, Store, Term, Wildcard
from dashcam.find.values import IDS

JOIN_FIELDS = ("http.request.id", "trace.id")  # what the events of one request have in common

MAX_HITS = 1_000  # of a value that many requests share, as a label may be, the newest events are followed
FEW_HITS = 100  # of an id: enough to see what it is tied to, and most stories
MAX_ROUNDS = 3  # an id leads to a trace, the trace to a request ID that was lost on the way, that one to its trace

MIN_PREFIX = 4  # characters of an ID

_MAX_TERMS = 100
_SURROGATES = re.compile("[\ud800-\udfff]")  # of an argument whose bytes are no UTF-8: in no event


def find_related_events(store: Store, any_id: str) -> list[Event]:
    """Return the events of every request that an ID belongs to, oldest first; none for an ID that no event has.

    The ID is one of a request, a trace, a span or an event; else it is a field's value such as `car_id=7`. With the
    field's full name, `labels.car_id=7`, it is never an ID. A request ID that several requests had, or a label's value,
    gives all of them. Raises `StoreUnreachable` as the store does.
    """
    if _SURROGATES.search(any_id):
        return []
    first, limit, fresh = tuple(Term(name, normalize(name, any_id)) for name in IDS), FEW_HITS, list[Event]()
    name, is_field, value = any_id.partition("=")
    term = Term(field_of(name), normalize(field_of(name), value)) if is_field and name else None
    if term is None or not any_id.startswith(f"{term.field}="):
        # An ID comes before a label: a caller chooses the request ID, and may choose one that looks like a label.
        fresh = list(store.find(Query(Or(first), limit=limit)))
    if term and not fresh:
        first, limit = (term,), MAX_HITS
        fresh = list(store.find(Query(And((term, Not(STATEMENT))), limit=limit)))
    found = {event.id: event for event in fresh}
    known = dict.fromkeys(first if len(fresh) < limit else ())
    for _ in range(MAX_ROUNDS):
        pairs = [(name, event.get(name)) for event in fresh for name in JOIN_FIELDS]
        terms = list(dict.fromkeys(Term(name, str(value)) for name, value in pairs if value is not None))
        terms = [term for term in terms if term not in known]
        parts = [Or(tuple(terms[at : at + _MAX_TERMS])) for at in range(0, len(terms), _MAX_TERMS)]
        # Without what the known ones led to, unless that is much to say.
        is_known = Or(tuple(known))
        queries = [And((part, Not(is_known))) for part in parts] if len(known) <= _MAX_TERMS else parts
        fresh = [event for query in queries for event in store.find(Query(query))]
        found |= {event.id: event for event in fresh}
        known |= dict.fromkeys(terms)
    return sorted(found.values(), key=lambda event: (event.time_ns, event.id))


def find_stories(store: Store, prefix: str) -> list[str]:
    """Return the request, trace or event IDs of the newest stories with an ID that begins with some characters."""
    if len(prefix) < MIN_PREFIX or _SURROGATES.search(prefix):
        return []
    begins = re.sub(r"([*?\\])", r"\\\1", prefix)
    wanted = Or(tuple(Wildcard(field, f"{normalize(field, begins)}*") for field in IDS))
    hits = store.find(Query(wanted, limit=MAX_HITS))
    ids = (next(filter(None, map(event.get, ("http.request.id", "trace.id", "event.id"))), "") for event in hits)
    return list(dict.fromkeys(map(str, ids)))
