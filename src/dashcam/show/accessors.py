"""The properties of an event that a drawing needs, read so that no event, however odd, can stop it.

Stores give back what was shipped, and foreign events too: a field may be missing, or of another type than ours.
Such a field counts as absent.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from dashcam.event import Event

ERROR_LEVELS = frozenset({"error", "critical", "fatal"})

MAX_NS = 2**63  # nanoseconds that fit 64 bits: until the year 2262

MAX_STATEMENT = 64  # characters of a database statement that tell it from others; the event has it whole

SERVER_KINDS = frozenset({"server", "consumer"})

UNENDED = {"request-aborted": "aborted", "request-unknown": "unknown"}  # reports of requests without an end, by action


def text(event: Event, name: str) -> str:
    """A field as text, empty when it is absent or no plain value."""
    value = event.get(name)
    return str(value) if isinstance(value, str | int | float) else ""


def number(event: Event, name: str) -> int | None:
    """A field as a whole number, also when a store gave it back as text."""
    value = event.get(name)
    try:
        return int(value) if isinstance(value, str | int | float) else None
    except (ValueError, OverflowError):
        return None


def time_ns(event: Event) -> int | None:
    """Return the time of an event (a span: its start), or `None` when it has none that can be read."""
    try:
        moment_ns = event.time_ns
    except (ValueError, OverflowError):
        return None
    return moment_ns if 0 <= moment_ns < MAX_NS else None


def duration_ns(event: Event) -> int:
    """Return the time it took; 0 when that is not known."""
    duration = number(event, "event.duration")
    if duration is None:
        duration = 1000 * (number(event, "transaction.duration.us") or number(event, "span.duration.us") or 0)
    return min(max(0, duration), MAX_NS)


def level(event: Event) -> str:
    """The level in small letters, `info` when there is none."""
    return text(event, "log.level").lower() or "info"


def service(event: Event) -> str:
    """The service's name."""
    return text(event, "service.name")


def clock(event: Event) -> str:
    """The name of the clock its times come from: the host's, or where no host is known the service's."""
    return text(event, "host.name") or service(event)


def kind(event: Event) -> str:
    """A span's kind: `server`, `client`, `internal`, …; a transaction that says nothing is a server's."""
    return text(event, "span.kind") or ("server" if event.get("processor.event") == "transaction" else "internal")


def is_served(event: Event) -> bool:
    """Return true for the span of a request that was served here, or of a job; the report of one without an end too."""
    is_job = text(event, "transaction.type") == "job"
    return is_unended(event) or (event.is_span and (is_job or kind(event) in SERVER_KINDS))


def is_unended(event: Event) -> bool:
    """Return whether it reports a request without an end: one that was aborted, or whose end damage may hide."""
    return text(event, "event.action") in UNENDED


def is_aborted(event: Event) -> bool:
    """Return whether it reports a request whose process died before the answer."""
    return text(event, "event.action") == "request-aborted"


def is_kept_report(event: Event) -> bool:
    """Return whether it says that a request was kept with all its lines, which is not a part of the request."""
    return text(event, "event.action") == "request-kept"


def came_with_clip(event: Event) -> bool:
    """Return whether it was held because of its level, and shipped because its request was kept."""
    return event.get("event.reason") is not None and event.get("event.action") is None


def outcome(event: Event) -> str:
    """Return the outcome of a span: `success`, `failure`, `aborted` or `unknown`."""
    return UNENDED.get(text(event, "event.action")) or text(event, "event.outcome") or "unknown"


def is_error(event: Event) -> bool:
    """Return whether it reports a failure."""
    return level(event) in ERROR_LEVELS or event.get("event.outcome") == "failure"


def labels(event: Event) -> Iterator[tuple[str, str]]:
    """Return the labels as name and text; a value that is not a text is written as JSON."""
    return ((name, plain(value)) for name, value in event.labels.items())


def error(event: Event) -> str:
    """Return type and message of its error, empty without one; a status, which is shown elsewhere, is not a type."""
    said = [text(event, "error.type"), text(event, "error.message")]
    return ": ".join(filter(None, said)) if not said[0].isdigit() else said[1]


def plain(value: Any) -> str:
    """A JSON value as text: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def route(event: Event) -> str:
    """Return what was asked for: `POST /cars`."""
    target = text(event, "http.route") or text(event, "url.path")
    asked = f"{text(event, 'http.request.method')} {target}".strip()
    return asked if target else text(event, "transaction.name") or text(event, "span.name") or asked


def title(event: Event) -> str:
    """Return the name of an event in a drawing: a log entry's message, or what a span did."""
    if not event.is_span:
        return route(event) if is_unended(event) else text(event, "message")
    if is_served(event):
        name = route(event)
    elif statement := text(event, "db.statement"):
        name = re.sub(r"\s+", " ", statement).strip()
        name = name if len(name) <= MAX_STATEMENT else f"{name[:MAX_STATEMENT]}…"
    elif address := text(event, "url.full"):
        name = f"{text(event, 'http.request.method')} {_short(address)}".strip()
    else:
        name = ""
    return name or text(event, "span.name") or text(event, "message") or "span"


def _short(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}" or address


def format_duration(duration_ns: int) -> str:
    """A duration as people write it, with three digits: `850 µs`, `42.3 ms`, `1.53 s`, `2m 03s`, `1h 05m`."""
    us, ms, s = duration_ns / 1e3, duration_ns / 1e6, duration_ns / 1e9
    if us < 999.5:
        return f"{us:.0f} µs"
    if s < 59.95:
        return f"{_round(ms)} ms" if ms < 999.5 else f"{_round(s)} s"
    minutes, hours = round(s) // 60, round(s) // 3600
    if hours < 1:
        return f"{minutes}m {round(s) % 60:02d}s"
    return f"{hours}h {minutes % 60:02d}m" if hours < 24 else f"{hours // 24}d {hours % 24:02d}h"


def _round(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def format_rate(count: int, seconds: float) -> str:
    """Return how often a second, with two decimals: `0.25`; `<0.01` for what is rare, as `0.00` would say never."""
    spelled = f"{count / seconds:.2f}"
    return "<0.01" if count and spelled == "0.00" else spelled


def format_share(part: int, whole: int) -> str:
    """Return a part as a percentage: `33.3%`; `0.0%` is said of nothing alone, and `100.0%` of all alone."""
    spelled = f"{part / whole:.1%}"
    if part and spelled == "0.0%":
        return "<0.1%"
    return ">99.9%" if part < whole and spelled == "100.0%" else spelled
