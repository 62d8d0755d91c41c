"""The viewer's server: a few pages over any store, for a person on their own machine."""

import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import flask
import orjson
from werkzeug.exceptions import BadRequest, HTTPException, NotFound
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from dashcam.errors import DashcamError, QueryError, StoreEmpty, StoreUnreachable
from dashcam.event import NS_PER_S, Event
from dashcam.find.query import CANARY, And, Expression, Not, Query, Store, Term
from dashcam.find.values import IDS
from dashcam.show import accessors
from dashcam.show.story import Story, as_json, build_story
from dashcam.show.web import page
from dashcam.show.web.recent import ERRORS, SERVED, Request, summarize

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

MAX_SPANS = 300  # of served requests on a page; a request has one for each service that took part

MAX_ERRORS = 2000  # that are counted for the requests of a page

MAX_EVENTS = 200  # on a page

FILTERS = ("service", "path", "status", "duration")  # of the list of requests, by the names of a search

LATE_NS = 60 * NS_PER_S  # how long after it happened an event may arrive and still come into a live page

SINCE_S = {"15m": 900, "1h": 3600, "24h": 86_400, "7d": 604_800}

# What nobody types who looks for words; a shorter id is tried when no event has it for a word.
ID = re.compile(r"(?=.*[0-9])[0-9A-Za-z._+/@=:-]{16,200}")


@dataclass(frozen=True, slots=True)
class Finder:
    """The ways to look things up: stores, the search language, the events of an ID, masking.

    Pages may be asked for from several threads at once, so each opens a store of its own.
    """

    open_store: Callable[[], Store]
    parse: Callable[[str], Expression]
    find_related_events: Callable[[Store, str], Iterable[Event]]
    mask: Callable[[Event], Event]

    @contextmanager
    def open(self) -> Iterator[Store]:
        """A store, closed again at the end."""
        store = self.open_store()
        try:
            yield store
        finally:
            store.close()


pages = flask.Blueprint("pages", __name__, static_folder="static")


def create_app(
    finder: Finder, *, hosts: frozenset[str] = LOOPBACK, clock: Callable[[], int] = time.time_ns
) -> flask.Flask:
    """The viewer as a WSGI application; it answers only to the names in `hosts`, or, if there are none, to any.

    A page of a stranger's could otherwise, by a name that leads to 127.0.0.1, read what is shown here.
    """
    app = flask.Flask("dashcam.show.web", static_folder=None)
    app.config |= {"FINDER": finder, "HOSTS": hosts, "CLOCK": clock}
    app.register_blueprint(pages)
    return app


def serve(app: flask.Flask, host: str, port: int) -> BaseWSGIServer:
    """A server that listens already; `serve_forever` runs it, `port` is the port it got for 0.

    Raises `DashcamError` when the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as fault:
        raise DashcamError(
            f"The viewer cannot listen on {host} port {port}: {fault}. --port 0 takes a free one."
        ) from None
    with listener:
        return make_server(host, port, app, threaded=True, request_handler=_QuietHandler, fd=listener.fileno())


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing: a page seen is not worth a line."""


@pages.before_app_request
def check_host() -> None:
    """Refuse names that are not ours."""
    hosts = flask.current_app.config["HOSTS"]
    if hosts and urlsplit(f"//{flask.request.host}").hostname not in hosts:
        raise BadRequest(f"The viewer answers to {', '.join(sorted(hosts))}.")


@pages.after_app_request
def add_headers(response: flask.Response) -> flask.Response:
    """Keep every page to the policy."""
    is_asset = flask.request.endpoint == "pages.static"  # its address changes with its content
    response.headers.update(HEADERS | {"Cache-Control": "max-age=31536000, immutable" if is_asset else "no-store"})
    return response


@pages.get("/")
def show_requests() -> Any:
    """The requests served lately, the newest first, those that the filters let through."""
    filters = {name: flask.request.args.get(name, "").strip() for name in FILTERS}
    shown = {"here": "requests", "filters": filters}
    try:
        found = _find(And((SERVED, *_read_filters(filters))), MAX_SPANS)
    except QueryError as error:
        return page.render("requests.html", fault=error, **shown, **_asked()), 400
    requests = _summarize(found)
    if "rows" in flask.request.args:
        return page.render_rows("request_row", requests)
    rows_url = f"/?{urlencode({'rows': 1, 'since': _since(), **filters})}"
    older = _older(found, MAX_SPANS)
    return page.render("requests.html", requests=requests, older=older, rows_url=rows_url, **shown, **_asked())


def _read_filters(filters: dict[str, str]) -> Iterator[Expression]:
    for name, value in filters.items():
        if value:
            least = ">=" if name == "duration" and value[:1].isdigit() else ""
            yield _finder().parse(f"{name}:({least}{value})")


def _summarize(found: list[Event]) -> list[Request]:
    """Return the requests of some spans with the number of failures in each."""
    since_ns = accessors.time_ns(found[0]) if found else None
    if since_ns is None:
        return summarize(found)
    with _finder().open() as store:
        errors = list(store.find(Query(ERRORS, since_ns, limit=MAX_ERRORS)))
    all_since_ns = accessors.time_ns(errors[0]) if len(errors) == MAX_ERRORS else since_ns
    return summarize(found, errors, all_since_ns or 0)


@pages.get("/events")
def show_events() -> Any:
    """The events of a search, the newest first; an id leads to its story."""
    text = flask.request.args.get("q", "").strip()
    if ID.fullmatch(text) and _has_story(text):
        return _to_story(text)
    try:
        found = _find(_visible(text), MAX_EVENTS)
    except QueryError as error:
        return page.render("events.html", here="events", fault=_fault(text, error), **_asked()), 400
    if "rows" in flask.request.args:
        return page.render_rows("event_row", found[::-1])
    is_id = any(event.get(name) == text for event in found for name in IDS)
    if is_id or (not found and text and " " not in text and _has_story(text)):
        return _to_story(text)
    rows_url = f"/events?{urlencode({'rows': 1, 'q': text, 'since': _since()})}"
    older = _older(found, MAX_EVENTS)
    return page.render("events.html", here="events", events=found[::-1], older=older, rows_url=rows_url, **_asked())


def _visible(text: str) -> Expression:
    """Return what a search means; canaries of `dashcam doctor` are left out unless it asks for them."""
    expression = _finder().parse(text)
    return expression if "dashcam-doctor" in text else And((expression, Not(CANARY)))


def _to_story(any_id: str) -> Any:
    return flask.redirect(flask.url_for("pages.show_story", id=any_id))


@pages.get("/story")
def show_story() -> flask.Response:
    """The story of an id."""
    return flask.Response(page.render_story(_build_story(), _id(), _asked()), mimetype="text/html")


@pages.get("/story.json")
def send_json() -> flask.Response:
    """The story of an id as JSON."""
    return flask.Response(orjson.dumps(as_json(_build_story())), mimetype="application/json")


@pages.get("/story.html")
def send_file() -> flask.Response:
    """The story of an id as one file, secrets masked."""
    text = page.render_file(_build_story(_finder().mask), _now_ns())
    name = re.sub(r"[^0-9A-Za-z.-]+", "-", f"dashcam-{_id()}"[:100])
    return flask.Response(text, headers={"Content-Disposition": f'attachment; filename="{name}.html"'})


@pages.get("/event")
def show_event() -> str:
    """One event with its JSON."""
    with _finder().open() as store:
        event = next(store.find(Query(Term("event.id", _id()), limit=1)), None)
    if event is None:
        raise NotFound(f"No event {_id()} is kept.")
    json = orjson.dumps(event.fields, option=orjson.OPT_INDENT_2).decode()
    return page.render("event.html", event=event, json=json, **_asked())


@pages.app_errorhandler(StoreEmpty)
def show_empty(error: StoreEmpty) -> tuple[str, int]:
    """Report that nothing was shipped yet, so that nothing can be found."""
    return page.render("problem.html", heading="Nothing is recorded yet", text=str(error), **_asked()), 404


@pages.app_errorhandler(StoreUnreachable)
def show_unreachable(error: StoreUnreachable) -> tuple[str, int]:
    """Report that the store gives no answer."""
    return page.render("problem.html", heading="The store cannot be reached", text=str(error), **_asked()), 503


@pages.app_errorhandler(HTTPException)
def show_problem(error: HTTPException) -> tuple[str, int]:
    """Report what is wrong with a request."""
    return page.render("problem.html", heading=error.name, text=error.description, **_asked()), error.code or 500


def _finder() -> Finder:
    finder: Finder = flask.current_app.config["FINDER"]
    return finder


def _now_ns() -> int:
    now_ns: int = flask.current_app.config["CLOCK"]()
    return now_ns


def _id() -> str:
    if not (one := flask.request.args.get("id", "").strip()):
        raise BadRequest("The address has no id.")
    return one


def _since() -> str:
    since = flask.request.args.get("since", "24h")
    return since if since in page.TIME_RANGES else "24h"


def _asked() -> dict[str, str]:
    return {"q": flask.request.args.get("q", ""), "since": _since(), "hint": flask.g.get("hint", "")}


def _find(expression: Expression, limit: int) -> list[Event]:
    after_ns = flask.request.args.get("after", type=int)
    until_ns = flask.request.args.get("until", type=int)
    seconds = SINCE_S.get(_since())
    since_ns = None if seconds is None else (until_ns or _now_ns()) - seconds * NS_PER_S
    if after_ns is not None:
        since_ns = max(since_ns or 0, after_ns - LATE_NS)
    try:
        with _finder().open() as store:
            return list(store.find(Query(expression, since_ns, until_ns, limit)))
    except StoreEmpty as hint:
        flask.g.hint = str(hint)
        return []


def _older(found: list[Event], limit: int) -> str:
    oldest_ns = accessors.time_ns(found[0]) if len(found) == limit else None
    return "" if oldest_ns is None else f"?{urlencode({**flask.request.args, 'until': oldest_ns})}"


def _build_story(mask: Callable[[Event], Event] | None = None) -> Story:
    with _finder().open() as store:
        events = list(_finder().find_related_events(store, _id()))
    if not events:
        raise NotFound(f"No event of {_id()} is kept. It takes a request, trace or span id, or a label as in car_id=7.")
    return build_story(map(mask, events) if mask else events)


def _has_story(text: str) -> bool:
    with suppress(StoreEmpty), _finder().open() as store:
        return any(True for _ in _finder().find_related_events(store, text))
    return False


def _fault(text: str, error: QueryError) -> dict[str, Any]:
    start = min(error.position, len(text))
    word = re.match(r"\S*", text[start:])
    end = start + max(1, len(word[0]) if word else 1)
    return {"text": error, "position": start, "before": text[:start], "at": text[start:end] or " ", "after": text[end:]}
