"""Pages as HTML: the templates, what they are filled with, and a story as one file.

Two things keep what strangers logged from acting in a page. Every value is escaped, invisible characters spelled out;
and the policy allows no script and no style but the viewer's own two files (Content Security Policy Level 3).
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
import orjson
from markupsafe import Markup

from dashcam.errors import QueryError
from dashcam.show import ansi
from dashcam.show.story import Story
from dashcam.show.web import histogram
from dashcam.show.web.address import TIME_RANGES, Address
from dashcam.show.web.filters import FILTERS, path, status
from dashcam.show.web.waterfall import MAX_LABELS, service_tones, shorten, ticks

PIECES = 2000  # that the templates give out one by one and a browser gets at once: about 50 rows

MAX_ROWS = 20_000  # of one story; a browser takes 3 s for them


def _visible(value: Any) -> Any:
    # A direction mark could make a line read as another one; a browser shows it no more than a terminal.
    return ansi.escape(value) if type(value) is str else value


@cache
def read_asset(name: str) -> str:
    """One of the viewer's own files."""
    return files("dashcam.show.web").joinpath("static", name).read_text(encoding="utf-8")


@cache
def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("dashcam.show.web"),
        autoescape=True,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.ChainableUndefined,
    )
    templates.globals |= {
        "asset": lambda name: f"/static/{name}?{hashlib.sha256(read_asset(name).encode()).hexdigest()[:12]}",
        "time_range": TIME_RANGES.get,
        "time_ranges": TIME_RANGES.items(),
        "max_labels": MAX_LABELS,
        "address": Address("/events"),
        "histogram": histogram,
    }
    templates.filters |= FILTERS
    return templates


def render(name: str, **values: Any) -> str:
    """A template filled with values."""
    return _templates().get_template(name).render(values)


def render_rows(macro: str, items: list[Any], *values: Any) -> str:
    """Rows of a table alone, drawn as on the whole page."""
    draw = getattr(_templates().get_template("rows.html").module, macro)
    return "".join(draw(item, *values) for item in items)


def fault_in(text: str, error: QueryError) -> Mapping[str, Any]:
    """Return a search that cannot be read in three parts: before the fault, at it, and after it."""
    start = min(error.position, len(text))
    word = re.match(r"\S*", text[start:])
    end = start + max(1, len(word[0]) if word else 1)
    return {"text": error, "position": start, "before": text[:start], "at": text[start:end] or " ", "after": text[end:]}


def render_story(story: Story, one: str, asked: Mapping[str, Any], max_rows: int = MAX_ROWS) -> Iterator[str]:
    """The page of a story in parts, so that a browser draws the first rows while the last are made.

    `one` is the id it was found by.
    """
    parts = _templates().get_template("story.html").stream(**_story_values(story, max_rows), story_id=one, **asked)
    parts.enable_buffering(PIECES)
    return parts


def render_file(story: Story, saved_ns: int) -> str:
    """A story as one HTML file that needs nothing else and asks nobody: style, script and events are in it.

    Secrets are masked in its events before, not here.
    """
    css, js = Markup(read_asset("viewer.css")), Markup(read_asset("viewer.js"))  # noqa: S704  our own files
    policy = f"default-src 'none'; style-src '{_digest(css)}'; script-src '{_digest(js)}'; base-uri 'none'"
    return render("file.html", **_story_values(story), css=css, js=js, policy=policy, saved_ns=saved_ns)


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _story_values(story: Story, max_rows: int = MAX_ROWS) -> Mapping[str, Any]:
    span, nodes = story.server_span, story.entries[:max_rows]
    return {
        "story": story,
        "heading": shorten(span.title) if span else "No answer recorded",
        "status": status(span.event) if span and span.event else None,
        "path": shorten(path(span.event)) if span and span.event else "",
        "count": sum(node.event is not None for node in story.entries),
        "nodes": nodes,
        "left_out": len(story.entries) - len(nodes),
        "tones": service_tones(story),
        "ticks": ticks(story),
        "data": lambda: embed([node.event.fields if node.event else None for node in nodes]),
    }


def embed(value: Any) -> Markup:
    """JSON that can stand within a `<script>` element: it has no `<` (HTML, 4.12.1.3)."""
    try:
        encoded = orjson.dumps(value).decode()
    except TypeError:  # half a surrogate pair, or a whole number beyond 64 bits, that a store has let through
        encoded = json.dumps(value)
    return Markup(encoded.replace("<", "\\u003c"))  # noqa: S704  nothing in it ends the element
