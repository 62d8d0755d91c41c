"""Opens a span: what is known of it from its ids, its context and the span above it."""

import sys
from collections.abc import Mapping
from typing import Any

from dashcam.record.correlation import REQUEST_ID, SERVICE, OpenSpan, ServerRequest


def python_open_of(  # noqa: PLR0913, PLR0917 — one call for each span
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
    return OpenSpan(
        request_id=str(context.get(REQUEST_ID) or (above.request_id if above else "")),
        trace_id=above.trace_id if above else trace_id.to_bytes(16).hex(),
        span_id=digits,
        transaction=above.transaction if above and not is_root else digits,
        parent_id=above.span_id if above else "" if parent_id is None else parent_id.to_bytes(8).hex(),
        served=ServerRequest() if is_root else (above.served if above else None),
        monotonic_start_ns=monotonic_start_ns,
        service=context.get(SERVICE) or (above.service if above else None),
        outer_error=sys.exception(),
        start_ns=start_ns,
    )


try:
    from dashcam.record import _open_span
except ImportError:  # there was no compiler to build it
    open_of = python_open_of
else:
    _open_span.use(OpenSpan, ServerRequest(), REQUEST_ID, SERVICE)
    open_of = _open_span.open_of
