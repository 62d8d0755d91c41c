from collections.abc import Mapping
from typing import Any

from dashcam.record.correlation import OpenSpan, ServerRequest

def use(open_span: type[OpenSpan], no_request: ServerRequest, request_id: str, service: str, /) -> None: ...
def uuid_of(time_ms: int, bits: int, /) -> str: ...
def open_of(
    trace_id: int,
    span_id: int,
    parent_id: int | None,
    above: OpenSpan | None,
    is_root: bool,
    context: Mapping[str, Any],
    monotonic_start_ns: int,
    start_ns: int,
    /,
) -> OpenSpan: ...
