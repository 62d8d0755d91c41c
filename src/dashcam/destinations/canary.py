"""An event that is sent to see whether it arrives."""

import time
import uuid

import orjson

from dashcam.destinations.checks import Broken
from dashcam.errors import StoreUnreachable
from dashcam.event import ECS_VERSION, NS_PER_S, EncodedEvent, Event, format_time
from dashcam.find.query import Query, Store, Term
from dashcam.version import __version__

FIRST_PAUSE_S = 0.1
MAX_PAUSE_S = 5.0


def hatch() -> EncodedEvent:
    """A canary, as the recorder would make it."""
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


def await_in(store: Store, canary: EncodedEvent, sent_s: float, wait_s: float, fix: str) -> str:
    """Find a canary that was sent at a time of the monotonic clock, as it was sent."""
    sent = Event.from_json(canary.data)
    query = Query(Term("event.id", canary.id), since_ns=sent.time_ns - NS_PER_S)
    pause_s = FIRST_PAUSE_S
    while True:
        found, trouble = _search(store, query)
        if found:
            break
        if time.monotonic() - sent_s > wait_s:
            raise Broken(trouble or f"the canary {canary.id} was taken and not found within {wait_s:g} s", fix)
        time.sleep(pause_s)
        pause_s = min(MAX_PAUSE_S, pause_s * 2)
    if found != [sent]:
        raise Broken(f"the canary {canary.id} came back changed, or {len(found)} times", fix)
    return f"{canary.id} found {time.monotonic() - sent_s:.1f} s after it was sent"


def _search(store: Store, query: Query) -> tuple[list[Event], str]:
    """What the store finds, or why it cannot look now: a stream that is new answers before it is whole."""
    try:
        return list(store.find(query)), ""
    except StoreUnreachable as fault:
        return [], str(fault)
