"""What the environment of a WSGI request says: the name and the attributes of its span, its path and its query.

Attributes and name are those of OpenTelemetry's package. What is the same for many requests, it is asked for once.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import opentelemetry.instrumentation.wsgi as otel_wsgi
from opentelemetry.semconv.attributes.client_attributes import CLIENT_ADDRESS, CLIENT_PORT
from opentelemetry.semconv.attributes.url_attributes import URL_PATH, URL_QUERY

MAX_HEADS = 256  # of which name and attributes are kept
# What of an environment is the same for many requests: their head.
_SHARED = ("REQUEST_METHOD", "wsgi.url_scheme", "HTTP_HOST", "SERVER_PORT", "HTTP_USER_AGENT", "SERVER_PROTOCOL")


class Head(NamedTuple):
    """What requests have in common: the first word of the span's name, if the path is the second, and attributes."""

    name: str
    has_path: bool
    attributes: dict[str, Any]


Heads = dict[tuple[Any, ...], Head]  # by the values of `_SHARED`
Described = tuple[str, dict[str, Any], str, str]
"""The name and the attributes of a span, the path of its request, and the query."""


def describe(environ: dict[str, Any], conventions: Any, heads: Heads | None) -> Described:
    """Describe a request, by its head among `heads` if there are some; raises whatever the package does."""
    get = environ.get
    path, query = get("PATH_INFO", ""), get("QUERY_STRING", "")
    if heads is None or "REMOTE_HOST" in environ:
        attributes = otel_wsgi.collect_request_attributes(environ, conventions)
        return _text(otel_wsgi.get_default_span_name(environ)), attributes, _text(path), query
    key = tuple(map(get, _SHARED))
    if not (head := heads.get(key)):
        if len(heads) >= MAX_HEADS:
            heads.pop(next(iter(heads)), None)
        head = heads[key] = _head_of(environ, conventions)
    name, attributes = head.name, head.attributes.copy()
    if get("REQUEST_URI") if (uri := get("RAW_URI")) is None else uri:
        if path:
            attributes[URL_PATH] = path
        if query:
            attributes[URL_QUERY] = query
    if address := get("REMOTE_ADDR"):
        attributes[CLIENT_ADDRESS] = address
    if (port := get("REMOTE_PORT")) and str(port).isdecimal():
        attributes[CLIENT_PORT] = int(port)
    if head.has_path and (word := path.strip()):
        name = f"{name} {_text(word)}"
    return name, attributes, _text(path), query


def _head_of(environ: Mapping[str, Any], conventions: Any) -> Head:
    shared = {name: value for name in _SHARED if (value := environ.get(name)) is not None}
    method = {"REQUEST_METHOD": shared.get("REQUEST_METHOD", "")}
    names = [otel_wsgi.get_default_span_name(method | {"PATH_INFO": path}) for path in ("", "/")]
    return Head(names[0], names[0] != names[1], otel_wsgi.collect_request_attributes(shared, conventions))


def _text(path: str) -> str:
    """Return a path of PEP 3333, bytes as the characters of Latin-1, as the UTF-8 that it is."""
    return path if path.isascii() else path.encode("latin-1", "replace").decode("utf-8", "replace")
