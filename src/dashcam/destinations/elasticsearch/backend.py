"""Events straight into Elasticsearch's or OpenSearch's data streams, by the `_bulk` request.

Source: Elasticsearch API, "Bulk index or delete documents"; OpenSearch, "Bulk". A data stream takes only `create`.
With `event.id` as `_id`, an event sent again is answered 409 and stays one: within one backing index, so a resend
across a rollover makes a second copy, which reading takes for one. A request is at most 100 MB; 5 MB are sent.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from dashcam.destinations.deflate import gzip
from dashcam.destinations.elasticsearch.client import Answer, Client, Response, logs_stream, reason_of, spans_stream
from dashcam.destinations.elasticsearch.options import Options
from dashcam.errors import BackendUnavailable, BatchRejected, StoreUnreachable
from dashcam.event import EncodedEvent
from dashcam.ship.batch import Batch, EventBlock, Limits, PartialResult, blocks_of


def actions_of(events: Iterable[EncodedEvent], logs: bytes, spans: bytes) -> bytes:
    """Return events with a line before each: what its kind begins with, and its ID."""
    return b"".join(
        [b'%b%b"}}\n%b\n' % (spans if is_span else logs, id_.encode(), data) for id_, is_span, data in events]
    )


try:
    from dashcam.destinations.elasticsearch._actions import actions
except ImportError:  # there was no compiler
    actions = None  # type: ignore[assignment]

_EVENTS = 4000
_ACTION_BYTES = 110  # the line before each event, with a namespace of usual length
_BODY_BYTES = 5_000_000
_IN_FLIGHT = 4
_FIX_PAUSE_S = 15.0  # between tries while a person has to mend something; goes on within 30 s of the fix

_SEEN_IN_ITEMS = "items.*.status,items.*.error.type,items.*.error.reason,items.*.failure_store"

_CREATED = b'{"create":{"status":201}}'

# What a request as a whole is answered when its text is at fault; any other 400 has a cause outside the events.
_TEXT_FAULTS = (
    "action_request_validation_exception",
    "illegal_argument_exception",
    "json_parse_exception",
    "parse_exception",
    "x_content_parse_exception",
)


def connect(options: Options) -> "Elasticsearch":
    """The backend for the data streams of the options' namespace."""
    return Elasticsearch(Client(options), options.namespace)


class Elasticsearch:
    """Two data streams, one for log lines and one for spans; `ship` may run in several threads at once."""

    limits = Limits(_EVENTS, _BODY_BYTES - _EVENTS * _ACTION_BYTES, _IN_FLIGHT)

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._streams = (logs_stream(namespace), spans_stream(namespace))
        self._heads = [b'{"create":{"_index":"%b","_id":"' % stream.encode() for stream in self._streams]

    def ship(self, batch: Batch) -> PartialResult | None:
        """Send a batch; each event has an answer of its own."""
        if not batch:
            return None
        try:
            answer = self._send(self._body(batch))
        except StoreUnreachable as fault:
            raise BackendUnavailable(str(fault)) from fault
        if answer.status == 200 and answer.text == b'{"items":[%b]}' % b",".join([_CREATED] * len(batch)):
            return None  # as nearly always: 25 bytes an event, compared at once instead of read one by one
        response = answer.read()
        if not response.is_ok:
            raise self._judge(response)
        return self._read(response, len(batch))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _body(self, batch: Batch) -> bytes:
        """Return the action and the source of each event, a line each."""
        return b"".join([self._actions(block) for block in blocks_of(batch)])

    def _actions(self, block: EventBlock) -> bytes:
        if block.ids is not None or actions is None:
            return actions_of(block, *self._heads)
        logs, spans = (head + block.segment.encode() + b"-" for head in self._heads)
        return actions(block.text, block.begin, block.ends, block.spans, block.sequences, logs, spans)

    def _send(self, body: bytes) -> Answer:
        params = self._params
        headers = {"Content-Type": "application/x-ndjson"}
        if not self._client.is_local:
            # 0.7 us of CPU an event for a sixth of the bytes: worth it on any network, not within one machine.
            headers["Content-Encoding"] = "gzip"
            body = gzip(body)
        return self._client.exchange("POST", "/_bulk", body, params, headers)

    @cached_property
    def _params(self) -> Mapping[str, str]:
        """Return the guards that the product knows for a request; none if it cannot be asked."""
        product = self._client.product()
        params = {"filter_path": _SEEN_IN_ITEMS}
        if product and product.is_at_least(8, 18):
            params["include_source_on_error"] = "false"  # else an event's text is in the reason of its refusal
        if product and product.is_at_least(8, 13):
            params["require_data_stream"] = "true"
        else:
            # Streams come before the first event: such a product would make plain indexes. A key that may not make
            # streams may not make indexes either.
            for stream in self._streams:
                answer = self._client.ask("PUT", f"/_data_stream/{stream}")
                if answer.status == 400 and "already" not in answer.reason and not answer.has_no_handler:
                    raise self._missing(stream, answer.reason)
        return params

    def _judge(self, answer: Response) -> BackendUnavailable | BatchRejected:
        if answer.status == 413:
            return BatchRejected(self._client.explain(answer))
        if answer.status == 400 and answer.reason.startswith(_TEXT_FAULTS):
            return BatchRejected(self._client.explain(answer))
        if answer.status in {408, 429} or answer.status >= 500:
            return BackendUnavailable(self._client.explain(answer), answer.retry_after_s)
        explained = self._client.explain(answer, f"create_doc on {' and '.join(self._streams)}")
        return BackendUnavailable(explained, _FIX_PAUSE_S)

    def _read(self, answer: Response, events: int) -> PartialResult | None:
        items = _items(answer.body)
        if len(items) != events:
            raise BackendUnavailable(
                f"{self._client.address} answered for {len(items)} of {events} events; all are sent again."
            )
        again: list[int] = []
        refused: dict[int, str] = {}
        for place, item in enumerate(items):
            status = item["status"]
            if status == 409 or (200 <= status < 300 and item.get("failure_store") != "used"):
                continue
            blocked = Response(status, item)
            if status == 404:
                raise self._missing(" or ".join(self._streams), blocked.reason)
            if status in {401, 403}:
                right = "create_doc, and the stream itself, which `dashcam setup elk` makes"
                raise BackendUnavailable(self._client.explain(blocked, right), _FIX_PAUSE_S)
            if status in {408, 429} or status >= 500:
                again.append(place)
            else:
                refused[place] = _why(item)
        if len(again) == events:
            raise BackendUnavailable(
                f"{self._client.address} accepted no event: {_why(items[0])}", answer.retry_after_s
            )
        return PartialResult(again, refused) if again or refused else None

    def _missing(self, stream: str, reason: str) -> BackendUnavailable:
        text = f"{self._client.address} has no template for {stream}: run `dashcam setup elk`. ({reason})"
        return BackendUnavailable(text, _FIX_PAUSE_S)


def _items(body: Any) -> Sequence[Mapping[str, Any]]:
    """Return the result of each event, in order; nothing if the answer has another form."""
    items = body.get("items") if isinstance(body, dict) else None
    if not isinstance(items, list):
        return []
    created = (item.get("create") for item in items if isinstance(item, dict))
    return [item for item in created if isinstance(item, dict) and isinstance(item.get("status"), int)]


def _why(item: Mapping[str, Any]) -> str:
    if item.get("failure_store") == "used":
        return "the mapping rejects it; it is kept in the stream's failure store"
    return f"{item.get('status')} {reason_of(item.get('error'))}"
