"""The line of a span: fields for its attributes, its ids, how long it took and how it ended.

Attribute names are those of OpenTelemetry's semantic conventions for HTTP and databases, stable and former; they become
the fields that the Elastic Common Schema, and its convention for traces, have for them.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from dashcam.codec import orjson
from dashcam.record.context.correlation import OpenSpan, ServerRequest
from dashcam.record.logs.line import encode_plain
from dashcam.record.masking.mask import MASKED_REST, Looks, mask_repeated, mask_text
from dashcam.record.values.sanitizer import Sanitizer
from dashcam.spool.line import span_fields

# The field that an attribute becomes; any other attribute becomes a label.
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "http.request.method": ("http", "request", "method"),
    "http.method": ("http", "request", "method"),
    "http.response.status_code": ("http", "response", "status_code"),
    "http.status_code": ("http", "response", "status_code"),
    "http.request.body.size": ("http", "request", "body", "bytes"),
    "http.response.body.size": ("http", "response", "body", "bytes"),
    "http.route": ("http", "route"),
    "url.path": ("url", "path"),
    "url.query": ("url", "query"),
    "url.full": ("url", "full"),
    "http.url": ("url", "full"),
    "url.scheme": ("url", "scheme"),
    "http.scheme": ("url", "scheme"),
    "client.address": ("client", "ip"),
    "net.peer.ip": ("client", "ip"),
    "user_agent.original": ("user_agent", "original"),
    "http.user_agent": ("user_agent", "original"),
    "db.system.name": ("db", "system"),
    "db.system": ("db", "system"),
    "db.namespace": ("db", "name"),
    "db.name": ("db", "name"),
    "db.query.text": ("db", "statement"),
    "db.statement": ("db", "statement"),
    "error.type": ("error", "type"),
    "server.address": ("server", "address"),
    "net.peer.name": ("server", "address"),
    "server.port": ("server", "port"),
    "net.peer.port": ("server", "port"),
}
# A caller writes these freely, so they may hold a secret; what comes again and again is searched once.
FREE_TEXT: Final[Mapping[str, Callable[[str, Looks], str]]] = {
    **dict.fromkeys(("url.path", "url.query", "url.full", "http.url"), mask_text),
    **dict.fromkeys(("user_agent.original", "http.user_agent", "db.query.text", "db.statement"), mask_repeated),
    "error.type": mask_repeated,
}
# The same for look-up: the field's first name, those between, its last one, and the function that masks it.
_FIELD_PATHS = {name: (path[0], path[1:-1], path[-1], FREE_TEXT.get(name)) for name, path in FIELDS.items()}
# Another field has it, or nobody looks for it.
LEFT_OUT: Final = frozenset(
    {"http.target", "http.host", "http.flavor", "net.host.name", "net.host.port", "network.protocol.version"}
    | {"network.peer.address", "network.peer.port", "http.server_name", "db.user", "net.sock.peer.addr", "client.port"}
)
TAGS: Final = "dashcam.tags"  # what was done to the values of `dashcam.span`, as one text: tags of the event
_MARKED = ("http.request.method", "http.method", "http.route", "url.path", "url.query", "url.full", "http.url")
_NEWLINE = orjson.OPT_APPEND_NEWLINE
_SERVER, _ERROR = SpanKind.SERVER, StatusCode.ERROR
_TRANSACTION_TYPES = {SpanKind.SERVER: "request", SpanKind.CLIENT: "request", SpanKind.CONSUMER: "messaging"}
_CANCELLATIONS = {"CancelledError", "Cancelled"}  # of asyncio and trio: somebody did not want the result any more
_KINDS = {kind: kind.name.lower() for kind in SpanKind}


class RecordableSpan(Protocol):
    """A span as the spool reads it: one of the SDK, or a light one."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> SpanKind: ...
    @property
    def attributes(self) -> Any: ...
    @property
    def status(self) -> trace.Status: ...
    @property
    def start_time(self) -> int | None: ...
    @property
    def end_time(self) -> int | None: ...


def encode_start(span: RecordableSpan, attributes: Mapping[str, Any], open_span: OpenSpan) -> bytes:
    """Return the line that marks a request as open."""
    looks = Looks()
    fields = _ids_of(span, open_span, looks)
    _add_attributes(fields, {name: attributes[name] for name in _MARKED if name in attributes}, looks)
    return _encode(span_fields(open_span.start_ns, "start", fields, {}), looks, "")


def encode_end(span: RecordableSpan, attributes: Mapping[str, Any], open_span: OpenSpan, duration_ns: int) -> bytes:
    """Return the line of a span that has ended."""
    started_ns, looks = open_span.start_ns, Looks()
    served = open_span.served if _is_root(open_span) else None
    fields = _ids_of(span, open_span, looks)
    labels = _add_attributes(fields, attributes, looks)
    tags = labels.pop(TAGS, "")
    if served:
        labels |= served.labels
        if span.kind is _SERVER:
            _add_request(fields, served, looks)
    if labels:
        fields["labels"] = labels
    status = served.status if served and served.status else _status_of(fields)
    interruption = _interruption(open_span)
    is_failed = status >= 500 or span.status.status_code is _ERROR or bool(served and served.error)
    is_failed = is_failed or interruption == "failure"
    if span.status.description and not (served and served.error):  # that one has a line of its own
        error = fields.setdefault("error", {})
        description = span.status.description.removeprefix(f"{error.get('type')}: ")
        error.setdefault("message", mask_text(description, looks))
    is_transaction = open_span.transaction == open_span.span_id
    _add_span_fields(fields, span, duration_ns // 1000, f"HTTP {status // 100}xx" if is_transaction and status else "")
    fields = {"log.level": "error" if is_failed else "info", **fields, "timestamp": {"us": started_ns // 1000}}
    event = {"duration": duration_ns} | _outcome(fields, served, is_failed=is_failed)
    if interruption and not is_failed:
        event["outcome"] = interruption
    return _encode(span_fields(started_ns, "transaction" if is_transaction else "span", fields, event), looks, tags)


def _interruption(open_span: OpenSpan) -> str:
    """Return the outcome of a span that ends because of what is not an `Exception`: OpenTelemetry leaves that out."""
    error = sys.exception()
    if error is None or error is open_span.outer_error or isinstance(error, Exception | GeneratorExit):
        return ""
    if isinstance(error, SystemExit) and not error.code:
        return ""  # a script comes to its end; of a request, `ServerSpan.fail` knows
    return "unknown" if type(error).__name__ in _CANCELLATIONS else "failure"


def _outcome(fields: Mapping[str, Any], served: ServerRequest | None, *, is_failed: bool) -> dict[str, str]:
    """Return how a span ended, unknown if nobody has seen a response, or seen it sent to its end."""
    if is_failed:
        return {"outcome": "failure"}
    if served and served.is_disconnected:
        return {"action": "client-disconnected", "outcome": "unknown"}
    http = fields.get("http")
    has_no_response = http is not None and "response" not in http and "method" in http.get("request", {})
    return {"outcome": "unknown" if has_no_response or (served and served.is_incomplete) else "success"}


def _ids_of(span: RecordableSpan, open_span: OpenSpan, looks: Looks) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "message": mask_repeated(span.name, looks),
        "span": {"id": open_span.span_id},
        "trace": {"id": open_span.trace_id},
        "transaction": {"id": open_span.transaction},
    }
    if open_span.request_id:
        fields["http"] = {"request": {"id": open_span.request_id}}
    if open_span.parent_id:
        fields["parent"] = {"id": open_span.parent_id}
    return fields


def _add_attributes(fields: dict[str, Any], attributes: Mapping[str, Any], looks: Looks) -> dict[str, Any]:
    """Add fields for a span's attributes; returns the attributes that no field is for."""
    others = {}
    for name, value in attributes.items():
        if path := _FIELD_PATHS.get(name):
            first, between, last, mask = path
            if (known := fields.get(first)) is None:
                known = fields[first] = {}
            for key in between:
                known = known.setdefault(key, {})
            known[last] = mask(str(value), looks) if mask else value
        elif name not in LEFT_OUT:
            others[name] = value
    return others


def _add_request(fields: dict[str, Any], served: ServerRequest, looks: Looks) -> None:
    """Add what the WSGI layer and the handler know of a served request."""
    http, url = fields.setdefault("http", {}), fields.setdefault("url", {})
    if served.status:
        http["response"] = {"status_code": served.status}
    elif served.is_incomplete:  # the SDK's span has the status that the application gave, and nobody got
        http.pop("response", None)
    if served.response_bytes is not None:
        http.setdefault("response", {})["body"] = {"bytes": served.response_bytes}
    if served.request_bytes is not None:
        http.setdefault("request", {})["body"] = {"bytes": served.request_bytes}
    # The attributes are without it where a server gives no URI, and have other letters than ASCII byte by byte.
    if served.path and not ("path" in url and served.path.isascii()):
        url["path"] = mask_text(served.path, looks)
    if served.query and "query" not in url:
        url["query"] = mask_text(served.query, looks)


def _add_span_fields(fields: dict[str, Any], span: RecordableSpan, us: int, result: str) -> None:
    """Add how long the span took, and its type: a request that was served, or a part of one."""
    name, duration = fields["message"], {"us": us}
    fields["span"].update(name=name, kind=_KINDS[span.kind])
    if fields["transaction"]["id"] == fields["span"]["id"]:
        fields["transaction"].update(name=name, type=_TRANSACTION_TYPES.get(span.kind, "job"), duration=duration)
        if result:
            fields["transaction"]["result"] = result
    else:
        fields["span"].update(_span_type(fields), duration=duration)


def _status_of(fields: Mapping[str, Any]) -> int:
    if "http" not in fields:
        return 0
    status = fields["http"].get("response", {}).get("status_code", 0)
    return status if isinstance(status, int) else 0


def _span_type(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return `span.type` and `span.subtype` by the names of the event's schema."""
    if "db" in fields:
        return {"type": "db", "subtype": str(fields["db"].get("system", "sql"))}
    if "http" in fields and fields["span"]["kind"] == "client":
        return {"type": "external", "subtype": "http"}
    return {"type": "app"}


def _encode(event: dict[str, Any], looks: Looks, tags: object) -> bytes:
    """Encode an event as a line, with whatever does not fit sanitized; the reader needs `event` last."""
    if not (looks.ran_out or tags) and (body := encode_plain(event)):
        return body + b"\n"
    sanitizer = Sanitizer()
    if type(tags) is str and tags:
        sanitizer.tags.update(tags.split(","))
    if looks.ran_out:
        sanitizer.tags.add(MASKED_REST)
    fit = {name: sanitizer.fields(event[name]) if name == "labels" else sanitizer.value(event[name]) for name in event}
    end = {"event": fit.pop("event")}
    return orjson.dumps(fit | {"tags": sorted(sanitizer.tags)} | end if sanitizer.tags else fit | end, None, _NEWLINE)


def _is_root(open_span: OpenSpan) -> bool:
    """Return true for the span of a served request or a job, false for the parts of one."""
    return open_span.served is not None and open_span.transaction == open_span.span_id
