"""The headers of a message, such as one of a queue, that carry a story from its sender to its receiver."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.context import Context

from dashcam.record.context.correlation import HEADER, PROPAGATORS, SERVICE
from dashcam.record.values.interruption import is_interruption
from dashcam.record.values.sanitizer import exact_text, values_of


def headers() -> dict[str, str]:
    """Return the headers that carry the current story to the receiver of a message; empty outside of a story.

    >>> queue.append(("golf", dashcam.headers()))
    """
    carrier: dict[str, str] = {}
    PROPAGATORS.inject(carrier)
    return carrier


def extract(given: Mapping[str, str], context: Context) -> Context:
    """Return the context of whoever sent these headers: its request ID and trace, as far as the headers have them."""
    found = {_text(name).lower(): _text(value) for name, value in _headers_of(given)}
    carrier = {name: text for name in (HEADER, "traceparent", "tracestate") if (text := found.get(name.lower()))}
    kept = Context({name: value for name, value in context.items() if name == SERVICE})
    return PROPAGATORS.extract(carrier, kept)


def _headers_of(given: Any) -> list[tuple[object, object]]:
    try:
        return list(given.items())
    except BaseException as fault:  # a caller's mapping can raise anything
        if is_interruption(fault):
            raise
        return []


def _text(value: Any) -> str:
    """Return the text of a message's header: a text, bytes, or a list with one of them; empty for any other."""
    kind = type(value)
    if issubclass(kind, list | tuple) and len(items := list(values_of(value))) == 1:
        value, kind = items[0], type(items[0])
    if issubclass(kind, bytes):
        return bytes.decode(value, "latin-1")
    return exact_text(value) if issubclass(kind, str) else ""
