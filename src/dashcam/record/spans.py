"""Finished OpenTelemetry spans as events of the spool: the span of a served request is its access line.

Attribute names are those of OpenTelemetry's semantic conventions for HTTP and databases, stable and former; the fields
they become are those that the Elastic Common Schema and Elastic APM have for them.
"""

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, cast

import orjson
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, TracerProvider

from dashcam.record import recorder
from dashcam.record.correlation import REQUEST_ID, Place, ServerRequest, encode_ids, places
from dashcam.record.line import are_fit
from dashcam.record.masking import mask_text
from dashcam.record.sanitizer import LABEL_BYTES, Sanitizer
from dashcam.spool.segment import LATEST_NS

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
REMEMBERED_CHARACTERS = 1_000
_remembered = lru_cache(maxsize=1024)(mask_text)


def _masked_again(text: str) -> str:
    """The text masked, for one that comes again and again; a long one is not worth the memory."""
    return _remembered(text) if len(text) < REMEMBERED_CHARACTERS else mask_text(text)


# What a caller writes freely, and so may hold a secret; what comes again and again is searched for one once.
FREE_TEXT: Final[Mapping[str, Callable[[str], str]]] = {
    **dict.fromkeys(("url.path", "url.query", "url.full", "http.url"), mask_text),
    **dict.fromkeys(("user_agent.original", "http.user_agent", "db.query.text", "db.statement"), _masked_again),
    "error.type": _masked_again,
}
# The same, as it is looked up: the field's first name, those between, its last one, and how it is masked.
_PLACES = {name: (path[0], path[1:-1], path[-1], FREE_TEXT.get(name)) for name, path in FIELDS.items()}
MOMENT_NS = 10_000_000  # the most between a time that the SDK takes and our look at it
_NEWLINE = orjson.OPT_APPEND_NEWLINE
_SERVER, _ERROR = SpanKind.SERVER, StatusCode.ERROR
_KINDS = {kind: kind.name.lower() for kind in SpanKind}


class SpoolProcessor(SpanProcessor):
    """Knows each open span's place, marks the start of a served request, and records every span that ends."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Remember where the span stands; never raises."""
        try:
            place = _place_of(span, parent_context or {})
            places[span.get_span_context().span_id] = place
            if place.served and span.kind is _SERVER:
                place.served.start = _start_line(span, place, place.served)
                recorder.current().append(place.served.start)
        except Exception:  # noqa: BLE001 — telemetry never fails a request
            recorder.drop("error")

    def on_end(self, span: ReadableSpan) -> None:
        """Record the span; never raises."""
        try:
            # Out of the open ones first: a new segment that begins between the two must not open it again.
            if place := places.pop(span.context.span_id, None):
                recorder.current().append(_end_line(span, place))
        except Exception:  # noqa: BLE001 — telemetry never fails a request
            recorder.drop("error")


def processors_of(provider: TracerProvider) -> tuple[SpanProcessor, ...]:
    """Who is told of a provider's spans, as far as it lets anybody look: there is no public way to."""
    return getattr(getattr(provider, "_active_span_processor", None), "_span_processors", ())


def _place_of(span: Span, context: Mapping[str, Any]) -> Place:
    identity = span.get_span_context()
    is_server = span.kind is _SERVER
    parent = places.get(span.parent.span_id) if span.parent and not span.parent.is_remote else None
    trace_id, span_id = f"{identity.trace_id:032x}", f"{identity.span_id:016x}"
    request = str(context.get(REQUEST_ID) or (parent.request_id if parent else ""))
    transaction = parent.transaction if parent and not is_server else span_id
    served = ServerRequest() if is_server else (parent.served if parent else None)
    ids = encode_ids(request, trace_id, span_id, transaction)
    return Place(ids, request, trace_id, span_id, transaction, served, _begun_ns(span))


def _begun_ns(span: Span) -> int:
    """When a span began by the clock that never jumps; 0 if its start is none that the SDK took just now."""
    since_ns = time.time_ns() - (span.start_time or 0)
    return time.monotonic_ns() - since_ns if 0 <= since_ns < MOMENT_NS else 0


def _time_of(span: ReadableSpan) -> int:
    """When a span began, as a line can have it: anybody may give a span any time, also one with a fraction."""
    return max(0, min(int(span.start_time or 0), LATEST_NS - 1))


def _duration_ns(span: ReadableSpan, begun_ns: int) -> int:
    end_ns = span.end_time or 0
    if begun_ns and 0 <= time.time_ns() - end_ns < MOMENT_NS:
        return time.monotonic_ns() - int(begun_ns)
    return max(0, int(end_ns - (span.start_time or 0)))  # a time given by hand


def _start_line(span: Span, place: Place, served: ServerRequest) -> bytes:
    """The mark of an open request; what it says is kept for the end, and not put together twice."""
    served.attributes = _attributes_of(span)
    served.fields = _ids_of(span, place)
    served.labels |= _add_attributes(served.fields, served.attributes)
    head, end = {"time_ns": _time_of(span), "processor": {"event": "start"}}, {"event": {"kind": "event"}}
    return _encode(head | served.fields | end)


def _end_line(span: ReadableSpan, place: Place) -> bytes:
    served = place.served if span.kind is _SERVER else None
    if served:
        fields = served.fields
        labels = _add_attributes(fields, _changed(_attributes_of(span), served.attributes)) | served.labels
        if fields["message"] != span.name:
            fields["message"] = _masked_again(span.name)
        _add_served(fields, served)
    else:
        fields = _ids_of(span, place)
        labels = _add_attributes(fields, _attributes_of(span))
    if labels:
        fields["labels"] = labels
    started_ns, duration_ns = _time_of(span), _duration_ns(span, place.begun_ns)
    status = served.status if served and served.status else _status_of(fields)
    failed = status >= 500 or span.status.status_code is _ERROR
    is_transaction = place.transaction == place.span_id
    _add_work(fields, span, duration_ns // 1000, f"HTTP {status // 100}xx" if is_transaction and status else "")
    event = {
        "time_ns": started_ns,
        "processor": {"event": "transaction" if is_transaction else "span"},
        "log.level": "error" if failed else "info",
        **fields,
        "timestamp": {"us": started_ns // 1000},
        "event": {"kind": "event", "duration": duration_ns, "outcome": "failure" if failed else "success"},
    }
    return _encode(event)


def _ids_of(span: ReadableSpan, place: Place) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "message": _masked_again(span.name),
        "span": {"id": place.span_id},
        "trace": {"id": place.trace_id},
        "transaction": {"id": place.transaction},
    }
    if place.request_id:
        fields["http"] = {"request": {"id": place.request_id}}
    if span.parent:
        fields["parent"] = {"id": f"{span.parent.span_id:016x}"}
    return fields


def _attributes_of(span: ReadableSpan) -> dict[str, Any]:
    # The SDK's own mapping makes two calls for each value that is read; its copy is a plain dictionary.
    return cast("dict[str, Any]", cast("Any", span.attributes or {}).copy())


def _changed(attributes: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    if attributes == known:
        return {}
    return {name: value for name, value in attributes.items() if name not in known or known[name] != value}


def _add_attributes(fields: dict[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Make fields of a span's attributes; gives those that no field is for."""
    others = {}
    for name, value in attributes.items():
        if place := _PLACES.get(name):
            first, between, last, mask = place
            if (known := fields.get(first)) is None:
                known = fields[first] = {}
            for key in between:
                known = known.setdefault(key, {})
            known[last] = mask(str(value)) if mask else value
        elif name not in LEFT_OUT:
            others[name] = value
    return others


def _add_served(fields: dict[str, Any], served: ServerRequest) -> None:
    """What the WSGI layer and the handler knew of a served request."""
    http, url = fields.setdefault("http", {}), fields.setdefault("url", {})
    if served.status:
        http["response"] = {"status_code": served.status}
    if served.response_bytes is not None:
        http.setdefault("response", {})["body"] = {"bytes": served.response_bytes}
    if served.request_bytes is not None:
        http.setdefault("request", {})["body"] = {"bytes": served.request_bytes}
    # The attributes are without it where a server gives no URI, and have other letters than ASCII byte by byte.
    if served.path and not ("path" in url and served.path.isascii()):
        url["path"] = mask_text(served.path.encode("latin-1").decode("utf-8", "replace"))
    if served.query and "query" not in url:
        url["query"] = mask_text(served.query)


def _add_work(fields: dict[str, Any], span: ReadableSpan, us: int, result: str) -> None:
    """How long the span took, and what it was: a request that was served, or a part of one."""
    name, duration = fields["message"], {"us": us}
    fields["span"].update(name=name, kind=_KINDS[span.kind])
    if fields["transaction"]["id"] == fields["span"]["id"]:
        fields["transaction"].update(name=name, type="request", duration=duration)
        if result:
            fields["transaction"]["result"] = result
    else:
        fields["span"].update(_kind_of_work(fields), duration=duration)


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
    """The line of an event, its labels and whatever else is not fit for it mended; the reader needs `event` last."""
    if ("labels" not in event or are_fit(event["labels"])) and (body := _as_it_is(event)):
        return body
    sanitizer = Sanitizer()
    fit = event | {"labels": sanitizer.fields(event["labels"])} if "labels" in event else event
    if (body := _as_it_is(fit)) and not sanitizer.tags:
        return body
    if not body:
        sanitizer = Sanitizer()
        fit = sanitizer.fields(event)
    end = {"event": fit.pop("event")}
    return orjson.dumps(fit | {"tags": sorted(sanitizer.tags)} | end if sanitizer.tags else fit | end, None, _NEWLINE)


def _as_it_is(event: dict[str, Any]) -> bytes:
    """The event as JSON if it is fit for a line, else nothing."""
    try:
        body = orjson.dumps(event, None, _NEWLINE)
    except (TypeError, ValueError):
        return b""
    return body if len(body) <= LABEL_BYTES else b""
