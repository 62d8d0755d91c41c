"""Recent requests, by the spans that served them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dashcam.event import Event
from dashcam.find.query import Or, Term
from dashcam.show import accessors

SERVED = Or((Term("processor.event", "transaction"), *(Term("event.action", action) for action in accessors.UNENDED)))
"""The spans of served requests, and the reports of those without an end."""

ERRORS = Or((*(Term("log.level", level) for level in sorted(accessors.ERROR_LEVELS)), Term("event.outcome", "failure")))
"""The events that report a failure."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a caller: the ID its story is found by, the event that says how it ended, who took part.

    `errors` counts the events of it that report a failure; `None` where there are too many to count.
    """

    id: str
    event: Event
    services: tuple[str, ...]
    errors: int | None

    @property
    def began_ns(self) -> int:
        """The time it began, 0 when no event has one."""
        moment = accessors.time_ns(self.event) or 0
        return moment - accessors.duration_ns(self.event) if accessors.is_unended(self.event) else moment

    @property
    def outcome(self) -> str:
        """The outcome for the caller: `success`, `failure`, `aborted` or `unknown`."""
        return accessors.outcome(self.event)


def summarize(spans: Iterable[Event], errors: Sequence[Event] = (), errors_since_ns: int = 0) -> list[Request]:
    """Return the requests of some spans, the newest first.

    `errors` are the events that report a failure, oldest first, all of them since `errors_since_ns`.
    """
    together: dict[str, list[Event]] = {}
    for event in filter(accessors.is_served, spans):
        together.setdefault(story_id(event), []).append(event)
    counts = Counter(map(story_id, errors))
    requests = [
        _summarize(request_id, served, counts[request_id], errors_since_ns) for request_id, served in together.items()
    ]
    return sorted(requests, key=lambda request: request.began_ns, reverse=True)


def story_id(event: Event) -> str:
    """Return the ID by which an event's story is found: of its request, else its trace, else its own."""
    return next(filter(None, (accessors.text(event, name) for name in ("http.request.id", "trace.id", "event.id"))), "")


def _summarize(request_id: str, spans: list[Event], errors: int, errors_since_ns: int) -> Request:
    first = min(spans, key=lambda span: (bool(accessors.text(span, "parent.id")), accessors.time_ns(span) or 0))
    return Request(
        id=request_id,
        event=first,
        services=tuple(dict.fromkeys(filter(None, map(accessors.service, [first, *spans])))),
        errors=errors if (accessors.time_ns(first) or 0) >= errors_since_ns else None,
    )
