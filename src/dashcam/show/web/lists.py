"""The pages that list requests and events, and the histogram and the values beside them."""

import re
from contextlib import suppress
from typing import Any

import flask

from dashcam.errors import QueryError, StoreEmpty
from dashcam.event import Event
from dashcam.find.query import And, Expression, Query, Store, Term, without_own
from dashcam.find.values import IDS
from dashcam.show import accessors
from dashcam.show.recent import ERRORS, SERVED, Request
from dashcam.show.recent import summarize as summarize_requests
from dashcam.show.summary import FACETS, label_names, summarize
from dashcam.show.web import page
from dashcam.show.web.address import Address
from dashcam.show.web.finder import current_finder, now_ns

MAX_SPANS = 300  # of served requests on a page; a request has one for each service that took part

MAX_ERRORS = 2000  # that are counted for the requests of a page

MAX_EVENTS = 200  # on a page

MAX_READ = 5_000  # events for the figures of a page that the store does not count: at most a second of CPU

MAX_FACETS = 12  # values of each that a page shows

MAX_LABEL_NAMES = 30

# What nobody types who looks for words; a shorter id is tried when no event has it for a word.
ID = re.compile(r"(?=.*[0-9])[0-9A-Za-z._+/@=:-]{16,200}")

_LABEL = re.compile(r"[A-Za-z_][\w.-]*")  # a name that a search can be written with

pages = flask.Blueprint("lists", __name__)


@pages.get("/requests")
def show_requests() -> Any:
    """The requests served lately, the newest first, those that the filters let through."""
    address = Address.read("/requests", flask.request.args)
    shown: dict[str, Any] = {"here": "requests", "address": address}
    try:
        wanted = _requests_of(address)
        found = _find(address, wanted, MAX_SPANS)
    except QueryError as error:
        return page.render("requests.html", fault=error, **shown), 400
    requests = _with_errors(found)
    if "rows" in flask.request.args:
        return page.render_rows("request_row", requests)
    older = _older(address, found, MAX_SPANS)
    return page.render("requests.html", requests=requests, older=older, hint=hint(), **shown)


def _requests_of(address: Address) -> Expression:
    wanted = [SERVED, current_finder().parse(address.q)]
    for name, value in (address.filters or {}).items():
        least = ">=" if name == "duration" and value[:1].isdigit() else ""
        wanted.append(current_finder().parse(f"{name}:({least}{value})"))
    return And(tuple(wanted))


def _with_errors(found: list[Event]) -> list[Request]:
    """Return the requests of some spans with the number of failures in each."""
    since_ns = accessors.time_ns(found[0]) if found else None
    if since_ns is None:
        return summarize_requests(found)
    with current_finder().open() as store:
        errors = list(store.find(Query(ERRORS, since_ns, limit=MAX_ERRORS)))
    all_since_ns = accessors.time_ns(errors[0]) if len(errors) == MAX_ERRORS else since_ns
    return summarize_requests(found, errors, all_since_ns or 0)


@pages.get("/events")
def show_events() -> Any:
    """The events of a search, the newest first; an id leads to its story."""
    address = Address.read("/events", flask.request.args)
    text, shown = address.q, {"here": "events", "address": address}
    if ID.fullmatch(text) and _has_story(text):
        return _to_story(text)
    try:
        found = _find(address, visible(text), MAX_EVENTS)
    except QueryError as error:
        return page.render("events.html", fault=page.fault_in(text, error), **shown), 400
    if "rows" in flask.request.args:
        return page.render_rows("event_row", found[::-1], address.columns)
    is_id = any(event.get(name) == text for event in found for name in IDS)
    if is_id or (not found and text and " " not in text and _has_story(text)):
        return _to_story(text)
    older = _older(address, found, MAX_EVENTS)
    return page.render("events.html", events=found[::-1], older=older, hint=hint(), **shown)


def visible(text: str) -> Expression:
    """Return what a search means; Dashcam's own events are left out unless it asks for them."""
    return without_own(current_finder().parse(text), text)


@pages.get("/summary")
def show_summary() -> str | tuple[str, int]:
    """The histogram and the values of a list, a part of its page: the list need not wait for them."""
    of_requests = flask.request.args.get("of") == "requests"
    address = Address.read("/requests" if of_requests else "/events", flask.request.args)
    facets = (*FACETS, f"labels.{address.facet}") if _LABEL.fullmatch(address.facet) else FACETS
    try:
        wanted = _requests_of(address) if of_requests else visible(address.q)
        with current_finder().open() as store:
            since_ns, until_ns = whole_period(store, address, wanted)
            summary = summarize(store, Query(wanted, since_ns, until_ns), facets, most=MAX_READ)
            newest = list(store.find(Query(wanted, since_ns, until_ns, MAX_EVENTS)))
    except QueryError:
        return "", 400  # the list itself says what is wrong
    except StoreEmpty:
        return ""
    labels = [name for name in label_names(newest) if _LABEL.fullmatch(name)][:MAX_LABEL_NAMES]
    return page.render("summary.html", address=address, summary=summary, labels=labels, max_facets=MAX_FACETS)


def whole_period(store: Store, address: Address, wanted: Expression) -> tuple[int, int]:
    """Return the period of a page; that of all time begins with the oldest event."""
    since_ns, until_ns = address.period(now_ns())
    if since_ns is None:
        oldest = next(store.find(Query(wanted, None, until_ns)), None)
        since_ns = (accessors.time_ns(oldest) or until_ns - 1) if oldest else until_ns - 1
    return since_ns, until_ns


def _to_story(any_id: str) -> Any:
    return flask.redirect(flask.url_for("stories.show_story", id=any_id))


def _find(address: Address, expression: Expression, limit: int) -> list[Event]:
    try:
        with current_finder().open() as store:
            return list(store.find(Query(expression, *address.bounds(now_ns()), limit)))
    except StoreEmpty as empty:
        flask.g.hint = str(empty)
        return []


def hint() -> str:
    """Return what an empty store said while the current page was made."""
    return str(flask.g.get("hint", ""))


def _older(address: Address, found: list[Event], limit: int) -> str:
    oldest_ns = accessors.time_ns(found[0]) if len(found) == limit else None
    return "" if oldest_ns is None else address.url(before=oldest_ns)


def _has_story(text: str) -> bool:
    with suppress(StoreEmpty), current_finder().open() as store:
        return any(True for _ in current_finder().find_related_events(store, text))
    return False


def event_of(any_id: str) -> Event | None:
    """Return the event with an id, if it is kept."""
    with current_finder().open() as store:
        return next(store.find(Query(Term("event.id", any_id), limit=1)), None)
