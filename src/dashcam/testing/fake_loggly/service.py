"""The endpoints of Loggly that its clients send to and page through, over one archive."""

import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

import orjson

from dashcam.testing.fake_loggly.archive import Archive, Body, Stored, parse_iso, split_lines
from dashcam.testing.fake_loggly.behaviour import Behaviour
from dashcam.testing.fake_loggly.faults import STATUSES, Faults
from dashcam.testing.fake_loggly.query import BadQuery, read_query

_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_RELATIVE = re.compile(r"-([0-9]+)([smhdw])")
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


@dataclass(frozen=True, slots=True)
class Request:
    """A client's request; the names of `headers` are in lower case, `place` holds the parts of its path."""

    method: str
    path: str
    args: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    client: str
    place: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a request."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    retry_after: str | None = None


class Answer(Exception):
    """An answer other than the wanted one."""

    def __init__(self, status: int, text: str, retry_after: str | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after = retry_after


@dataclass(slots=True)
class _Cursor:
    events: list[Stored]
    place: int
    size: int
    used_s: float


class Service:
    """The requests of one stand-in and what it remembers between them."""

    def __init__(self, archive: Archive, behaviour: Behaviour, faults: Mapping[str, Faults]) -> None:
        self.archive = archive
        self.behaviour = behaviour
        self.faults = faults
        self.answers: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._cursors: dict[str, _Cursor] = {}
        self._next_search_s = 0.0

    def answer(self, request: Request, fault: str | None = None) -> Response:
        """Do what a request asks for, or what a fault wants instead."""
        if fault in STATUSES:
            retry_after = self.faults[kind_of(request)].retry_after
            return Response(b"as it was asked for\n", int(fault), "text/plain", retry_after)
        if fault:
            return Response(b"<html>Welcome to the hotel's network</html>", content_type="text/html")
        try:
            return self._routed(request)
        except Answer as answer:
            return Response(f"{answer}\n".encode(), answer.status, "text/plain", answer.retry_after)

    def _routed(self, request: Request) -> Response:
        for method, path, view in _ROUTES:
            if request.method == method and (match := path.fullmatch(request.path)):
                return view(self, replace(request, place=match.groupdict("")))
        raise Answer(404, "no such page")

    # Sending

    def bulk(self, request: Request) -> Response:
        """Take one event a line."""
        return self._take(request, split_lines(self._readable(request)))

    def single(self, request: Request) -> Response:
        """Take the whole body as one event."""
        return self._take(request, [self._readable(request)])

    def _readable(self, request: Request) -> bytes:
        if request.place["token"] != self.behaviour.token:
            raise Answer(403, "Forbidden")
        if len(request.body) > self.behaviour.body_bytes:
            raise Answer(413, "Request Entity Too Large")
        if request.headers.get("content-type") == "application/x-www-form-urlencoded":
            return orjson.dumps(dict(parse_qsl(request.body.decode(errors="replace"))))
        return request.body

    def _take(self, request: Request, lines: Sequence[bytes]) -> Response:
        if not all(lines):
            raise Answer(400, "an empty event")
        if max(map(len, lines)) > self.behaviour.event_bytes:
            raise Answer(413, "Request Entity Too Large")
        kind = request.headers.get("content-type", "text/plain")
        in_header = request.headers.get("x-loggly-tag")
        if in_header == "":
            raise Answer(400, "an empty X-LOGGLY-TAG")
        given = [*request.place["tags"].split(","), *(in_header or "").split(",")]
        tags = tuple(dict.fromkeys(tag for tag in given if _TAG.fullmatch(tag)))
        self.archive.accept(Body(self.archive.now(), tags, kind, request.client, tuple(lines)))
        return _json({"response": "ok"})

    # Searching

    def iterate(self, request: Request) -> Response:
        """A page of events, and where the next one is."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or token != self.behaviour.api_token:
            raise Answer(401, "invalid token")
        if self.behaviour.queries_per_s is not None:
            with self._lock:
                if time.monotonic() < self._next_search_s:
                    raise Answer(503, "too many queries")
                self._next_search_s = time.monotonic() + 1 / self.behaviour.queries_per_s
        if key := request.args.get("next"):
            if len(request.args) > 1:
                raise Answer(400, "next takes no other parameter")
            return self._page(request, key)
        text = request.args.get("size", "50")
        if not text.isdecimal() or not 50 <= int(text) <= 1000:
            raise Answer(400, "size is a number of 50 to 1000")
        size = int(text)
        key = str(uuid.uuid4())
        with self._lock:
            self._cursors[key] = _Cursor(self._found(request), 0, size, time.monotonic())
        return self._page(request, key)

    def _page(self, request: Request, key: str) -> Response:
        with self._lock:
            cursor = self._cursors.pop(key, None)
            if cursor is None or time.monotonic() - cursor.used_s > self.behaviour.cursor_life_s:
                raise Answer(404, "no such cursor")
            end = cursor.place + cursor.size
            page: dict[str, Any] = {"events": [event.answer() for event in cursor.events[cursor.place : end]]}
            if end < len(cursor.events):
                following = str(uuid.uuid4())
                self._cursors[following] = _Cursor(cursor.events, end, cursor.size, time.monotonic())
                page["next"] = f"http://{request.headers['host']}/apiv2/events/iterate?next={following}"
        return _json(page)

    def _found(self, request: Request) -> list[Stored]:
        try:
            wanted = read_query(request.args.get("q", "*"), self.behaviour)
        except BadQuery as error:
            raise Answer(400, str(error)) from error
        now_ms = self.archive.now() // 1_000_000
        from_ms = _moment(request.args.get("from", "-24h"), now_ms)
        until_ms = _moment(request.args.get("until", "now"), now_ms)
        if from_ms > until_ms:
            raise Answer(400, "from is after until")
        found = self.archive.search(wanted, from_ms, until_ms)
        order = request.args.get("order", "desc")
        if order not in {"asc", "desc"}:
            raise Answer(400, "order is asc or desc")
        return found if order == "asc" else found[::-1]


def kind_of(request: Request) -> str:
    """Whose faults a request takes: `send` or `search`."""
    return "search" if request.path.startswith("/apiv2/") else "send"


_SENT = r"/(?P<token>[^/]*)(/tag/(?P<tags>[^/]*))?/?"
_ROUTES: Sequence[tuple[str, re.Pattern[str], Callable[[Service, Request], Response]]] = (
    ("POST", re.compile("/bulk" + _SENT), Service.bulk),
    ("POST", re.compile("/inputs" + _SENT), Service.single),
    ("GET", re.compile("/apiv2/events/iterate/?"), Service.iterate),
)


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value))


def _moment(text: str, now_ms: int) -> int:
    if text == "now":
        return now_ms + 1  # an end is left out, and what came in this very ms is to be found
    if match := _RELATIVE.fullmatch(text):
        return now_ms - int(match[1]) * _UNIT_MS[match[2]]
    if (moment_ms := parse_iso(text)) is None:
        raise Answer(400, f"not a time: {text}")
    return moment_ms
