"""Recent requests, told from the spans that served them."""

from collections.abc import Iterable
from dataclasses import dataclass

from dashcam.event import Event
from dashcam.find.query import Or, Term
from dashcam.show import accessors

SERVED = Or((Term("processor.event", "transaction"), Term("event.action", "request-aborted")))
"""What is asked of a store: the spans of served requests, and the reports of those that were aborted."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a caller: the id its story is found by, the event that tells how it ended, who took part."""

    id: str
    event: Event
    services: tuple[str, ...]
    failures: int

    @property
    def began_ns(self) -> int:
        """When it began, 0 when no event has a time."""
        moment = accessors.time_ns(self.event) or 0
        return moment - accessors.duration_ns(self.event) if accessors.is_aborted(self.event) else moment

    @property
    def outcome(self) -> str:
        """How it ended for the caller: `success`, `failure`, `aborted` or `unknown`."""
        return accessors.outcome(self.event)


def summarize(events: Iterable[Event]) -> list[Request]:
    """The requests of some spans, the newest first."""
    together: dict[str, list[Event]] = {}
    for event in filter(accessors.is_served, events):
        together.setdefault(story_id(event), []).append(event)
    requests = [_summarize(request_id, spans) for request_id, spans in together.items()]
    return sorted(requests, key=lambda request: request.began_ns, reverse=True)


def story_id(event: Event) -> str:
    """The id by which an event's story is found: of its request, else its trace, else its own."""
    return next(filter(None, (accessors.text(event, name) for name in ("http.request.id", "trace.id", "event.id"))), "")


def _summarize(request_id: str, spans: list[Event]) -> Request:
    first = min(spans, key=lambda span: (bool(accessors.text(span, "parent.id")), accessors.time_ns(span) or 0))
    return Request(
        id=request_id,
        event=first,
        services=tuple(dict.fromkeys(filter(None, map(accessors.service, [first, *spans])))),
        failures=sum(map(accessors.is_error, spans)),
    )
