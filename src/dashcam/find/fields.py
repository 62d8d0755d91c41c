"""The names a search knows: short ones, fields of the Elastic Common Schema, and everything else, which is a label."""

import re
from collections.abc import Callable
from difflib import get_close_matches

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

SPELLINGS = {
    "client_ip": "client.ip",
    "environment": "service.environment",
    "error_message": "error.message",
    "error_type": "error.type",
    "event_id": "event.id",
    "exception": "error.type",
    "hostname": "host.name",
    "http_method": "http.request.method",
    "http_status": "http.response.status_code",
    "log_level": "log.level",
    "logger_name": "log.logger",
    "loglevel": "log.level",
    "message_id": "event.id",
    "msg": "message",
    "parent_id": "parent.id",
    "parent_span_id": "parent.id",
    "process_id": "process.pid",
    "request_id": "http.request.id",
    "requestid": "http.request.id",
    "service_name": "service.name",
    "severity": "log.level",
    "span_id": "span.id",
    "spanid": "span.id",
    "stack_trace": "error.stack_trace",
    "status_code": "http.response.status_code",
    "trace_id": "trace.id",
    "traceid": "trace.id",
    "x_request_id": "http.request.id",
}
"""Other usual names of these fields, in small letters and with `_` for `-`. A label may have such a name, too: a search
by one finds both."""

WHOLE_NUMBERS = frozenset({"http.response.status_code", "process.pid"})
"""The fields of a short name that hold whole numbers and nothing else."""

KNOWN_VALUES = {
    "event.outcome": ("aborted", "failure", "success", "unknown"),
    "span.kind": ("client", "consumer", "internal", "producer", "server"),
}
"""The fields that hold one of a few values, and these."""

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
    """Return the dotted name of the field a search means by a name; `car_id` is the label `labels.car_id`."""
    return fields_of(name)[0]


def fields_of(name: str) -> tuple[str, ...]:
    """Return the fields a name stands for, a field of ours before the label of the same name.

    >>> fields_of("service"), fields_of("car_id"), fields_of("request_id")
    (('service.name',), ('labels.car_id',), ('http.request.id', 'labels.request_id'))
    """
    if name in _WHOLE or _ROOT.match(name):
        return (name,)
    if name in SHORT:
        return (SHORT[name],)
    usual = SPELLINGS.get(name.lower().replace("-", "_"))
    return (usual, f"labels.{name}") if usual else (f"labels.{name}",)


def similar_name(name: str) -> str | None:
    """Return the short name or the field that somebody may have meant by a name that is neither.

    >>> similar_name("duraton"), similar_name("car_id")
    ('duration', None)
    """
    close = get_close_matches(name.lower(), [*SHORT, *SHORT.values(), "message"], 1, 0.75)
    return close[0] if close and close[0] != name else None


def normalize(field: str, value: str) -> str:
    """Return a value in the case its field is written in, where the field has a rule: `post` is POST as a method."""
    return _NORMALIZERS.get(field, str)(value)
