"""The pages of one story, and of two side by side."""

import re
from collections.abc import Callable

import flask
import orjson
from werkzeug.exceptions import BadRequest, NotFound

from dashcam.event import Event
from dashcam.show.comparison import compare, find_partner
from dashcam.show.story import Story, as_json, build_story
from dashcam.show.web import page
from dashcam.show.web.address import Address
from dashcam.show.web.finder import current_finder, now_ns
from dashcam.show.web.lists import event_of

MAX_PAIRS = 2_000  # rows of a comparison; `dashcam compare` shows all

pages = flask.Blueprint("stories", __name__)


@pages.get("/story")
def show_story() -> flask.Response:
    """The story of an id."""
    rows = page.render_story(_build_story(_id()), _id(), {"address": _address()})
    return flask.Response(rows, mimetype="text/html")


@pages.get("/story.json")
def send_json() -> flask.Response:
    """The story of an id as JSON."""
    return flask.Response(orjson.dumps(as_json(_build_story(_id()))), mimetype="application/json")


@pages.get("/story.html")
def send_file() -> flask.Response:
    """The story of an id as one file, secrets masked."""
    text = page.render_file(_build_story(_id(), current_finder().mask), now_ns())
    name = re.sub(r"[^0-9A-Za-z.-]+", "-", f"dashcam-{_id()}"[:100])
    return flask.Response(text, headers={"Content-Disposition": f'attachment; filename="{name}.html"'})


@pages.get("/compare")
def show_comparison() -> str:
    """Two stories side by side; without a second id, the nearest of the same route that ended otherwise."""
    first = _build_story(_id())
    if not (other := flask.request.args.get("other", "").strip()):
        with current_finder().open() as store:
            other = find_partner(store, first) or ""
    if not other:
        raise NotFound(
            f"No request of the same route as {_id()} has another outcome, so there is none to compare it with."
        )
    second = _build_story(other)
    pairs = compare(first, second)
    sides = ((_id(), first), (other, second))
    left_out = max(0, len(pairs) - MAX_PAIRS)
    return page.render("compare.html", pairs=pairs[:MAX_PAIRS], sides=sides, left_out=left_out, address=_address())


@pages.get("/event")
def show_event() -> str:
    """One event with its JSON."""
    if (event := event_of(_id())) is None:
        raise NotFound(f"The store has no event {_id()}.")
    json = orjson.dumps(event.fields, option=orjson.OPT_INDENT_2).decode()
    return page.render("event.html", event=event, json=json, address=_address())


def _address() -> Address:
    return Address.read("/events", flask.request.args)


def _id() -> str:
    if not (one := flask.request.args.get("id", "").strip()):
        raise BadRequest("The address has no ID.")
    return one


def _build_story(one: str, mask: Callable[[Event], Event] | None = None) -> Story:
    finder = current_finder()
    with finder.open() as store:
        events = list(finder.find_related_events(store, one))
    if not events:
        raise NotFound(
            f"The store has no event of {one}. Search for a request, trace or span ID, or a label such as car_id=7."
        )
    return build_story(map(mask, events) if mask else events)
