"""An event that is sent to see whether it arrives, and the checks that need no more."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import orjson

from dashcam.destinations.checks import Broken, Check
from dashcam.destinations.destination import Destination
from dashcam.errors import BackendUnavailable, BatchRejected, StoreUnreachable
from dashcam.event import ECS_VERSION, NS_PER_S, EncodedEvent, Event, format_time
from dashcam.find.query import Query, Store, Term
from dashcam.ship.batch import Backend
from dashcam.version import __version__

FIRST_PAUSE_S = 0.1
MAX_PAUSE_S = 5.0


def make_canary() -> EncodedEvent:
    """Return a canary, as the recorder would make it."""
    id_ = f"{uuid.uuid4().hex[:24]}-canary"
    event = {
        "@timestamp": format_time(time.time_ns()),
        "log.level": "info",
        "message": "canary of dashcam doctor",
        "log": {"logger": "dashcam.doctor"},
        "event": {"kind": "event", "id": id_, "sequence": 1, "dataset": "dashcam-doctor"},
        "ecs.version": ECS_VERSION,
        "service": {"name": "dashcam-doctor"},
        "agent": {"name": "dashcam", "version": __version__},
    }
    return EncodedEvent(id_, is_span=False, data=orjson.dumps(event))


def wait_for(store: Store, canary: EncodedEvent, sent_s: float, wait_s: float, fix: str) -> str:
    """Find a canary that was sent at a time of the monotonic clock, as it was sent; what the way adds is no change.

    Looks for the last time when the wait is over, not later.
    """
    sent = Event.from_json(canary.data)
    query = Query(Term("event.id", canary.id), since_ns=sent.time_ns - NS_PER_S)
    pause_s = FIRST_PAUSE_S
    while True:
        trouble = ""
        try:
            if found := list(store.find(query)):
                break
        except StoreUnreachable as fault:
            trouble = str(fault)  # a new stream answers before it is complete
        left_s = sent_s + wait_s - time.monotonic()
        if left_s <= 0:
            raise Broken(trouble or f"the canary {canary.id} was accepted, but not found within {wait_s:g} s", fix)
        time.sleep(min(pause_s, left_s))
        pause_s = min(MAX_PAUSE_S, pause_s * 2)
    if len(found) != 1:
        raise Broken(f"the canary {canary.id} came back {len(found)} times", fix)
    if changed := _changed(sent.fields, found[0].fields):
        raise Broken(f"the canary {canary.id} came back with a different {', '.join(changed)}", fix)
    return f"{canary.id} found {time.monotonic() - sent_s:.1f} s after it was sent"


def _changed(sent: dict[str, Any], found: dict[str, Any], path: str = "") -> list[str]:
    """Return the names of the fields that are not as they were sent; those added on the way are not among them."""
    names = []
    for name, value in sent.items():
        there = found.get(name)
        if isinstance(value, dict) and isinstance(there, dict):
            names += _changed(value, there, f"{path}{name}.")
        elif value != there:
            names.append(path + name)
    return names


def send_canary(connect: Callable[[], Backend], canary: EncodedEvent, fix: str = "") -> str:
    """Ship a canary by a new backend; raises `Broken` with a fix when it is not accepted."""
    with closing(connect()) as backend:
        try:
            rest = backend.ship([canary])
        except (BatchRejected, BackendUnavailable) as fault:
            raise Broken(str(fault), "Events wait meanwhile.") from None
    if rest:
        raise Broken("; ".join(rest.rejected.values()) or "the destination asked for the event again", fix)
    return "an event is accepted"


def canary_checks(destination: Destination, options: Any, wait_s: float) -> Iterator[Check]:
    """Yield the checks that any destination has: it accepts an event, and the event is found."""
    canary, sent_s = make_canary(), time.monotonic()
    yield Check("sending", "canary", partial(send_canary, partial(destination.backend, options), canary))
    if destination.store is None:
        return
    with closing(destination.store(options)) as store:
        yield Check("finding", "configuration", lambda: "can be searched")
        fix = f"Look at {destination.name}: it acknowledged the event."
        yield Check("finding", "canary", partial(wait_for, store, canary, sent_s, wait_s, fix))
