from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.trace import SpanKind, Status, StatusCode

from dashcam.record.correlation import OpenSpan
from dashcam.record.span_template import Span

def use(
    client: SpanKind, server: SpanKind, places: dict[str, int], unset: Status, unset_code: StatusCode, /
) -> None: ...
def pick(attributes: dict[str, Any], names: tuple[str, ...], /) -> dict[str, Any]: ...
def key_of(
    kind: SpanKind, name: str, attributes: dict[str, Any], known: OpenSpan, has_word: Callable[[bytes], bool], /
) -> tuple[object, ...]: ...
def fill(
    pieces: tuple[bytes, ...],
    places: tuple[int, ...],
    name: str,
    attributes: dict[str, Any],
    known: OpenSpan,
    start_ns: int,
    duration_ns: int,
    has_word: Callable[[bytes], bool],
    /,
) -> bytes: ...
def line_of(
    templates: Mapping[tuple[object, ...], tuple[tuple[bytes, ...], tuple[int, ...]] | None],
    span: Span,
    attributes: dict[str, Any],
    known: OpenSpan,
    start_ns: int,
    duration_ns: int,
    has_word: Callable[[bytes], bool],
    /,
) -> bytes: ...
