"""The names a search knows: short ones, fields of the Elastic Common Schema, and everything else, which is a label."""

import re
from collections.abc import Callable

SHORT = {
    "client": "client.ip",
    "duration": "event.duration",
    "env": "service.environment",
    "error": "error.type",
    "host": "host.name",
    "kind": "span.kind",
    "level": "log.level",
    "logger": "log.logger",
    "method": "http.request.method",
    "outcome": "event.outcome",
    "parent": "parent.id",
    "path": "url.path",
    "pid": "process.pid",
    "request": "http.request.id",
    "route": "http.route",
    "service": "service.name",
    "span": "span.id",
    "status": "http.response.status_code",
    "trace": "trace.id",
}
"""Short names a person types, and the field each stands for."""

_ROOT = re.compile(
    r"(agent|client|db|ecs|error|event|host|http|labels|log|parent|process|processor|service|span|timestamp|trace"
    r"|transaction|url|user_agent)\."
)
_WHOLE = frozenset({"@timestamp", "message", "tags"})

_NORMALIZERS: dict[str, Callable[[str], str]] = {
    "event.outcome": str.lower,
    "http.request.method": str.upper,
    "log.level": str.lower,
    "parent.id": str.lower,
    "span.id": str.lower,
    "span.kind": str.lower,
    "trace.id": str.lower,
    "transaction.id": str.lower,
}


def field_of(name: str) -> str:
    """The dotted name of the field a search means by a name; `car_id` is the label `labels.car_id`."""
    if name in _WHOLE or _ROOT.match(name):
        return name
    return SHORT.get(name, f"labels.{name}")


def normalize(field: str, value: str) -> str:
    """A value in the capitals its field is written in, where the field has a rule: `post` is POST as a method."""
    return _NORMALIZERS.get(field, str)(value)
