"""Opens a span: what is known of it from its ids, its context and the span above it."""

import sys
from collections.abc import Mapping
from typing import Any

from dashcam.record.context.correlation import REQUEST_ID, SERVICE, OpenSpan, ServerRequest


def open_of(  # noqa: PLR0913, PLR0917 — one call for each span
    trace_id: int,
    span_id: int,
    parent_id: int | None,
    above: OpenSpan | None,
    is_root: bool,  # noqa: FBT001
    context: Mapping[str, Any],
    monotonic_start_ns: int,
    start_ns: int,
    /,
) -> OpenSpan:
    """Return an open span: within the one `above`, which this process began, or else within that of `parent_id`.

    A root serves a request, or is a job. Raises `OverflowError` if an id has more than 64 bits, or a trace's 128.
    """
    digits = span_id.to_bytes(8).hex()
    request_id, service = context.get(REQUEST_ID), context.get(SERVICE)
    if above:
        request_id, service = request_id or above.request_id, service or above.service
        trace, parent, transaction, served = above.trace_id, above.span_id, above.transaction, above.served
    else:
        trace, parent = trace_id.to_bytes(16).hex(), "" if parent_id is None else parent_id.to_bytes(8).hex()
        transaction, served = digits, None
    if is_root:
        transaction, served = digits, ServerRequest()
    ids = str(request_id or ""), trace, digits, transaction, parent
    return OpenSpan(*ids, served, monotonic_start_ns, service, sys.exception(), start_ns)
