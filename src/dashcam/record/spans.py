"""Finished OpenTelemetry spans as events of the spool: the span of a served request is its access line.

Attribute names are those of OpenTelemetry's semantic conventions for HTTP and databases, stable and former; the fields
they become are those that the Elastic Common Schema and Elastic APM have for them.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

import orjson
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from dashcam.event import NS_PER_S
from dashcam.record import recorder
from dashcam.record.correlation import REQUEST_ID, Place, Served, encode_ids, places
from dashcam.record.line import head
from dashcam.record.masking import mask_text, may_hold_secret
from dashcam.record.mender import LABEL_BYTES, Mender

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
# Said elsewhere in the event, or nothing anyone looks for.
LEFT_OUT: Final = frozenset(
    {"http.target", "http.host", "http.flavor", "net.host.name", "net.host.port", "network.protocol.version"}
    | {"network.peer.address", "network.peer.port", "http.server_name", "db.user", "net.sock.peer.addr", "client.port"}
)


class SpoolProcessor(SpanProcessor):
    """Knows each open span's place, marks the start of a served request, and records every span that ends."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Remember where the span stands; never raises."""
        try:
            place = _place_of(span, parent_context or {})
            places[span.get_span_context().span_id] = place
            if place.served and span.kind is SpanKind.SERVER:
                place.served.start = _start_line(span, place)
                recorder.active.append(place.served.start)
        except Exception:  # noqa: BLE001 — telemetry never fails a request
            recorder.drop("error")

    def on_end(self, span: ReadableSpan) -> None:
        """Record the span; never raises."""
        try:
            # Out of the open ones first: a new segment that begins between the two must not open it again.
            if place := places.pop(span.context.span_id, None):
                recorder.active.append(_end_line(span, place))
        except Exception:  # noqa: BLE001 — telemetry never fails a request
            recorder.drop("error")


def _place_of(span: Span, context: Mapping[str, Any]) -> Place:
    identity = span.get_span_context()
    is_server = span.kind is SpanKind.SERVER
    parent = places.get(span.parent.span_id) if span.parent and not span.parent.is_remote else None
    span_id = f"{identity.span_id:016x}"
    request = str(context.get(REQUEST_ID) or (parent.request_id if parent else ""))
    transaction = parent.transaction if parent and not is_server else span_id
    served = Served(begun_ns=_begun_ns(span)) if is_server else (parent.served if parent else None)
    fragment = encode_ids(request, f"{identity.trace_id:032x}", span_id, transaction)
    return Place(fragment, request, transaction, served)


def _begun_ns(span: Span) -> int:
    """When a span began by the clock that never jumps; its start was taken a moment ago by the one that does."""
    since_ns = time.time_ns() - (span.start_time or 0)
    return time.monotonic_ns() - (since_ns if 0 < since_ns < NS_PER_S else 0)


def _start_line(span: Span, place: Place) -> bytes:
    event = {"processor": {"event": "start"}, **_fields_of(span, place), "event": {"kind": "event"}}
    return head(span.start_time or 0) + _encode(event)[1:] + b"\n"


def _end_line(span: ReadableSpan, place: Place) -> bytes:
    fields = _fields_of(span, place)
    is_transaction = place.transaction == fields["span"]["id"]
    served = place.served if span.kind is SpanKind.SERVER else None
    duration_ns = max(0, (span.end_time or 0) - (span.start_time or 0))
    if served:
        duration_ns = time.monotonic_ns() - served.begun_ns
        _add_served(fields, served)
    failed = span.status.status_code is StatusCode.ERROR or _status_of(fields) >= 500
    duration = {"us": duration_ns // 1000}
    if is_transaction:
        fields["transaction"] |= {"name": fields["message"], "type": "request", "duration": duration}
        if status := _status_of(fields):
            fields["transaction"]["result"] = f"HTTP {status // 100}xx"
    else:
        fields["span"] |= _kind_of_work(fields) | {"duration": duration}
    event = {
        "processor": {"event": "transaction" if is_transaction else "span"},
        "log.level": "error" if failed else "info",
        **fields,
        "event": {"kind": "event", "duration": duration_ns, "outcome": "failure" if failed else "success"},
    }
    return head(span.start_time or 0) + _encode(event)[1:] + b"\n"


def _fields_of(span: ReadableSpan, place: Place) -> dict[str, Any]:
    """What the start and the end of a span have in common."""
    identity = span.context
    name = mask_text(span.name)
    fields: dict[str, Any] = {
        "message": name,
        "span": {"id": f"{identity.span_id:016x}", "name": name, "kind": span.kind.name.lower()},
        "trace": {"id": f"{identity.trace_id:032x}"},
        "transaction": {"id": place.transaction},
        "timestamp": {"us": (span.start_time or 0) // 1000},
    }
    if span.parent:
        fields["parent"] = {"id": f"{span.parent.span_id:016x}"}
    if place.request_id:
        fields["http"] = {"request": {"id": place.request_id}}
    for name, value in (span.attributes or {}).items():
        if name in FIELDS:
            _put(fields, FIELDS[name], value)
        elif name not in LEFT_OUT:
            fields.setdefault("labels", {})[name] = value
    return fields


def _put(fields: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        fields = fields.setdefault(key, {})
    fields[path[-1]] = mask_text(value) if isinstance(value, str) and may_hold_secret(value, 0) else value


def _add_served(fields: dict[str, Any], served: Served) -> None:
    """What the WSGI layer and the handler knew of a served request."""
    if served.status:
        _put(fields, FIELDS["http.response.status_code"], served.status)
    if served.response_bytes is not None:
        _put(fields, FIELDS["http.response.body.size"], served.response_bytes)
    if served.request_bytes is not None:
        _put(fields, FIELDS["http.request.body.size"], served.request_bytes)
    if served.path:
        _put(fields, FIELDS["url.path"], served.path)
    if served.query:
        _put(fields, FIELDS["url.query"], served.query)
    if served.labels:
        fields["labels"] = fields.get("labels", {}) | served.labels


def _status_of(fields: Mapping[str, Any]) -> int:
    status = fields.get("http", {}).get("response", {}).get("status_code", 0)
    return status if isinstance(status, int) else 0


def _kind_of_work(fields: Mapping[str, Any]) -> dict[str, str]:
    """`span.type` and `span.subtype`, as Elastic APM names them."""
    if "db" in fields:
        return {"type": "db", "subtype": str(fields["db"].get("system", "sql"))}
    if "http" in fields and fields["span"]["kind"] == "client":
        return {"type": "external", "subtype": "http"}
    return {"type": "app"}


def _encode(event: dict[str, Any]) -> bytes:
    """The event as JSON, its labels and whatever else is not fit for it mended; the reader needs `event` last."""
    mender = Mender()
    fit = event | {"labels": mender.fields(event["labels"])} if "labels" in event else event
    try:
        body = orjson.dumps(fit)
    except (TypeError, ValueError):
        body = b""
    if not body or len(body) > LABEL_BYTES:
        mender = Mender()
        fit = mender.fields(event)
    elif not mender.tags:
        return body
    end = {"event": fit.pop("event")}
    return orjson.dumps(fit | {"tags": sorted(mender.tags)} | end if mender.tags else fit | end)
