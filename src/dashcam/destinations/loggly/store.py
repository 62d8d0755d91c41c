"""Events out of Loggly's search interface.

Source: Loggly, "Paginating event retrieval API": pages of at most 1000 events, `next` for the one after, which is
forgotten after 10 minutes. What its index takes for a word, and how a query says "exists", "begins with" or "not", is
not documented where it could be read: only forms that clients were seen to use are asked for, always for at least what
is wanted, and the rest is filtered here by the meaning every store is held to.

Loggly may stamp an event that comes late with its time of arrival: nothing is asked to end earlier than now.
"""

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
from urllib3.exceptions import HTTPError

from dashcam.destinations.exchange import AnswerTooLargeError, new_session, read_answer, retry_after_s
from dashcam.destinations.loggly.options import Options
from dashcam.errors import SettingsError, StoreUnreachable
from dashcam.event import NS_PER_S, Event, format_time, read_json
from dashcam.find import query as ask
from dashcam.find.values import words_of
from dashcam.settings import Secret

TAG = 'tag:"dashcam"'  # on every event of ours

_PAGE_EVENTS = 1000
_MAX_KEPT_S = 90 * 86_400  # the longest retention a plan of theirs was seen to have
_MIN_KEPT_S = 7 * 86_400  # the shortest
_CLOCK_AHEAD_S = 600  # a host's clock may run ahead: Loggly may hold its events as of their arrival, that is earlier
_NARROWEST_NS = NS_PER_S
_MAX_QUERY = 4000  # characters: it travels in a URL

_NUMBERS = frozenset(
    {
        "event.duration",
        "event.sequence",
        "http.request.body.bytes",
        "http.response.body.bytes",
        "http.response.status_code",
        "process.pid",
        "span.duration.us",
        "transaction.duration.us",
    }
)
"""Fields that are whole numbers of 0 and more in every event, so that Loggly's index must hold them as such."""

_MAX_INT = 2**63 - 1
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_RENAMED = re.compile(rb'"timestamp_ecs((?:_ecs)*)":')
_NAMED_TIMESTAMP = re.compile(r"(?<![^.])timestamp((?:_ecs)*)(?![^.])")


def open_store(options: Options) -> "LogglyStore":
    """The store of an account's API token."""
    faults = []
    if not options.api_token:
        faults.append("LOGGLY_API_TOKEN is not set: searching needs an API token (Settings → API Tokens).")
    if not options.api_url and not re.fullmatch(r"[A-Za-z0-9-]+", options.subdomain):
        seen = repr(options.subdomain) if options.subdomain else "not set"
        faults.append(f"LOGGLY_SUBDOMAIN is {seen}: it is the account's name, as in https://NAME.loggly.com.")
    if faults:
        raise SettingsError("\n".join(faults))
    return LogglyStore(address_of(options), options.api_token, quick=options.search == "quick")


def address_of(options: Options) -> str:
    """Return the address that the account is searched at."""
    return options.api_url or f"https://{options.subdomain}.loggly.com"


class _TooMuch(Exception):
    """Loggly gave up on a search; a shorter span of time may do."""


class _Forgotten(Exception):
    """The next page is no longer known."""


@dataclass(frozen=True, slots=True)
class _Span:
    """From a time up to another, which `None` leaves open; nanoseconds since the epoch."""

    since_ns: int
    until_ns: int | None

    def halves(self, now_ns: int) -> "list[_Span]":
        """Older half, newer half."""
        middle_ns = (self.since_ns + (self.until_ns or now_ns)) // 2
        return [_Span(self.since_ns, middle_ns), _Span(middle_ns, self.until_ns)]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that Loggly has to accept a connection, to answer as a whole, and to accept a search while it is busy."""

    connect_s: float = 10
    answer_s: float = 60
    busy_s: float = 30  # with a rate limit


class LogglyStore:
    """One account's search interface."""

    def __init__(
        self,
        address: str,
        token: Secret,
        *,
        quick: bool = False,
        timeouts: "Timeouts | None" = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._address = address
        self._host = urlsplit(address).netloc.rpartition("@")[2]
        self._quick = quick
        self._timeouts = timeouts or Timeouts()
        self._clock = clock
        self._session = new_session()
        # As a callable, because requests lets a netrc file overrule a header.
        self._session.auth = _Bearer(token)

    def find(self, query: ask.Query) -> Iterator[Event]:
        """The events of a query, oldest first, none twice; newest pages are fetched first, and no more than needed."""
        with closing(_Hits(query.limit)) as hits:
            for page in self._pages(loggly_query(query.expression, quick=self._quick), query.since_ns):
                events = (event for event in map(_event, page) if event is not None)
                hits.add(event for event in events if query.matches(event))
                if hits.are_enough((_time_ms(page[-1]) + 1) * 1_000_000):
                    break
            yield from hits

    def find_copies(self, query: ask.Query) -> Iterator[Event]:
        """The events of a query, oldest first, each copy: Loggly takes an event again that is sent again."""
        with closing(_Hits(0)) as hits:
            for page in self._pages(loggly_query(query.expression, quick=self._quick), query.since_ns):
                events = ((str(hit.get("id")), event) for hit in page if (event := _event(hit)) is not None)
                hits.add_copies((hit_id, event) for hit_id, event in events if query.matches(event))
            yield from hits

    def let_go_ns(self) -> int:
        """The time up to which an account may have let events go: the shortest retention of a plan."""
        return self._clock() - _MIN_KEPT_S * NS_PER_S

    def _pages(self, text: str, since_ns: int | None) -> Iterator[list[dict[str, Any]]]:
        now_ns = self._clock()
        first_ns = now_ns - _MAX_KEPT_S * NS_PER_S if since_ns is None else since_ns - _CLOCK_AHEAD_S * NS_PER_S
        spans = [_Span(first_ns, None)]
        while spans:
            span = spans.pop()
            reached_ns = None
            try:
                for page in self._span_pages(text, span):
                    reached_ns = (_time_ms(page[-1]) + 1) * 1_000_000
                    yield page
            except _TooMuch:
                older, newer = _Span(span.since_ns, reached_ns or span.until_ns).halves(now_ns)
                if older.until_ns is None or older.until_ns - older.since_ns < _NARROWEST_NS:
                    raise StoreUnreachable(
                        f"Loggly at {self._host} times out even for one second of events; try later."
                    ) from None
                spans += [older, newer]
            except _Forgotten:
                rest = _Span(span.since_ns, reached_ns)
                if rest == span:
                    raise StoreUnreachable(f"Loggly at {self._host} forgets the next page at once.") from None
                spans.append(rest)

    def _span_pages(self, text: str, span: _Span) -> Iterator[list[dict[str, Any]]]:
        until = format_time(span.until_ns) if span.until_ns else "now"
        parameters = {"q": text, "from": format_time(span.since_ns), "until": until}
        page = self._get(f"{self._address}/apiv2/events/iterate", parameters | {"order": "desc", "size": _PAGE_EVENTS})
        while True:
            events = page.get("events")
            if not isinstance(events, list) or not all(
                isinstance(hit, dict) and isinstance(hit.get("timestamp"), int) for hit in events
            ):
                raise StoreUnreachable(f"Loggly at {self._host} answered without events.")
            if events:
                yield events
            if not (following := page.get("next")):
                return
            page = self._get(self._own(str(following)))

    def _own(self, url: str) -> str:
        here = urlsplit(self._address)
        try:
            there = urlsplit(url)
        except ValueError:
            there = urlsplit("")
        if (there.scheme, there.netloc) != (here.scheme, here.netloc) or there.path != "/apiv2/events/iterate":
            raise StoreUnreachable(
                f"Loggly at {self._host} names a next page at {there.scheme}://{there.netloc}: it is not asked for,"
                " because it would be shown the API token."
            )
        return url

    def _get(self, url: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        deadline_s = time.monotonic() + self._timeouts.busy_s
        pause_s = 0.5
        while (asked := self._ask(url, parameters))[0].status_code in {429, 503}:
            pause_s = retry_after_s(asked[0].headers) or pause_s * 2
            if time.monotonic() + pause_s > deadline_s:
                raise StoreUnreachable(f"Loggly at {self._host} accepts no more searches now ({asked[0].status_code}).")
            time.sleep(pause_s)
        response, body = asked
        self._judge(response, body, is_next=parameters is None)
        try:
            page = read_json(body)
        except ValueError:
            page = None
        if not isinstance(page, dict):
            raise StoreUnreachable(f"Loggly at {self._host} answered with something that is not JSON.")
        return page

    def _ask(self, url: str, parameters: dict[str, Any] | None) -> tuple[requests.Response, bytes]:
        try:
            response = self._session.get(
                url,
                params=parameters,
                timeout=(self._timeouts.connect_s, self._timeouts.answer_s),
                allow_redirects=False,
                stream=True,
            )
            return response, read_answer(response)
        except AnswerTooLargeError:
            raise _TooMuch from None
        except (requests.RequestException, HTTPError, OSError) as error:
            kind = type(error).__name__
        raise StoreUnreachable(f"Loggly at {self._host} gave no answer ({kind}). Is LOGGLY_SUBDOMAIN right?")

    def _judge(self, response: requests.Response, body: bytes, *, is_next: bool) -> None:
        status = response.status_code
        if status == 200:
            return
        if status == 504 or (status == 500 and b"timeout" in body.lower().replace(b" ", b"")):
            raise _TooMuch
        if status in {401, 403}:
            raise StoreUnreachable(f"Loggly at {self._host} answered {status}: LOGGLY_API_TOKEN may not search there.")
        if is_next and 400 <= status < 500:
            raise _Forgotten
        hint = " LOGGLY_SEARCH=complete sends only known forms of queries." if status == 400 and self._quick else ""
        text = body[:200].decode(errors="replace").strip()
        raise StoreUnreachable(f"Loggly at {self._host} answered {status}: {text}.{hint}")

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: Secret) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"bearer {self._token}"
        return request


class _Hits:
    """Matching events, collapsed and sorted by SQLite in a file of its own, so that memory stays bounded."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._db = sqlite3.connect("", check_same_thread=False)
        self._db.execute("CREATE TABLE hit (id TEXT, copy TEXT, time_ns INTEGER, line BLOB, PRIMARY KEY (id, copy))")
        self._db.execute("CREATE INDEX hit_time ON hit (time_ns, id)")

    def add(self, events: Iterator[Event]) -> None:
        self.add_copies(("", event) for event in events)

    def add_copies(self, events: Iterator[tuple[str, Event]]) -> None:
        """Add events; one of the same ID is another copy if it has another name."""
        rows = ((event.id, copy, event.time_ns, event.to_json()) for copy, event in events)
        self._db.executemany("INSERT OR IGNORE INTO hit VALUES (?, ?, ?, ?)", rows)

    def are_enough(self, since_ns: int) -> bool:
        """Return whether events as young as this reach the limit, so that no older one can be among them."""
        if not self._limit:
            return False
        count = self._db.execute("SELECT count(*) FROM hit WHERE time_ns >= ?", (since_ns,)).fetchone()[0]
        return bool(count >= self._limit)

    def __iter__(self) -> Iterator[Event]:
        newest = "SELECT * FROM hit ORDER BY time_ns DESC, id DESC LIMIT ?"
        lines = self._db.execute(f"SELECT line FROM ({newest}) ORDER BY time_ns, id", (self._limit or -1,))  # noqa: S608
        for (line,) in lines:
            yield Event.from_json(line)

    def close(self) -> None:
        self._db.close()


def _time_ms(hit: dict[str, Any]) -> int:
    return int(hit["timestamp"])


def _event(hit: dict[str, Any]) -> Event | None:
    """The event as it was shipped; `None` for an event that another program sent to the account."""
    for text in _texts(hit):
        try:
            event = restored(Event.from_store(text))
            if event.id and event.time_ns:
                return event
        except (OverflowError, ValueError):
            continue
    return None


def _texts(hit: dict[str, Any]) -> Iterator[bytes | str]:
    yield from (text for name in ("raw", "logmsg") if isinstance(text := hit.get(name), str))
    document = hit.get("event")
    if isinstance(document, dict):
        yield orjson.dumps(document.get("json"))


def restored(event: Event) -> Event:
    """An event without the changes for Loggly."""
    if not isinstance(event.fields.get("timestamp"), str):
        return event
    kept = [(name, value) for name, value in event.fields.items() if name != "timestamp"]
    fields = dict(("labels", orjson.loads(value)) if name == "labels_text" else (name, value) for name, value in kept)
    data = orjson.dumps(fields)
    return Event.from_json(_RENAMED.sub(rb'"timestamp\1":', data)) if b'"timestamp_ecs' in data else Event(fields)


def loggly_query(expression: ask.Expression, *, quick: bool = False) -> str:
    """A query in Loggly's language that finds at least the events of an expression, and only ours."""
    wanted = _asked(expression, quick)
    text = f"{TAG} AND {wanted}" if wanted else TAG
    return text if len(text) <= _MAX_QUERY else TAG


def _asked(expression: ask.Expression, quick: bool) -> str:  # noqa: FBT001
    """Return the query for an expression; empty where it would find all events."""
    match expression:
        case ask.And(parts):
            return _joined(" AND ", [text for part in parts if (text := _asked(part, quick))])
        case ask.Or(parts):
            texts = [_asked(part, quick) for part in parts]
            return _joined(" OR ", texts) if all(texts) else ""
        case ask.Term(field, value):
            return _joined(" OR ", _value(field, value))
        case ask.Range(field) if field in _NUMBERS:
            low = 0 if expression.low is None else max(0, int(expression.low // 1))
            high = _MAX_INT if expression.high is None else min(_MAX_INT, max(0, int(-(-expression.high // 1))))
            return f"{_named(expression.field)}:[{low} TO {high}]"
        case ask.Phrase(text, _, prefix) if quick:
            words = words_of(text)[: -1 if prefix else None]
            return _joined(" AND ", [f'"{word}"' for word in words])
        case ask.Exists(field) if quick and _PLAIN_NAME.fullmatch(field):
            return f"{_named(field)}:*"
        case ask.Wildcard(field, pattern) if quick and _PLAIN_NAME.fullmatch(field) and "\\" not in pattern:
            return f"{_named(field)}:{pattern}" if re.fullmatch(r"[\w*?]+", pattern) else ""
    # A negation of more than is wanted would find less.
    return ""


def _joined(sign: str, texts: list[str]) -> str:
    return f"({sign.join(texts)})" if len(texts) > 1 else "".join(texts)


def _value(field: str, value: str) -> list[str]:
    """A value by its field, and anywhere in the text, for events whose fields Loggly did not take up."""
    if not words_of(value) or re.search(r"[\x00-\x1f\x7f]", value) or len(value) > 200:
        return []
    phrase = '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
    return [f"{_named(field)}:{phrase}", phrase] if _PLAIN_NAME.fullmatch(field) else [phrase]


def _named(field: str) -> str:
    return "json." + _NAMED_TIMESTAMP.sub(r"timestamp_ecs\1", field)
