"""Pages as HTML: the templates, what they are filled with, and a story as one file.

Two things keep what strangers logged from acting in a page. Every value is escaped, invisible characters spelled out;
and the policy allows no script and no style but the viewer's own two files (Content Security Policy Level 3).
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import jinja2
import orjson
from markupsafe import Markup, escape

from dashcam.errors import QueryError
from dashcam.event import NS_PER_S, Event, format_time
from dashcam.show import accessors, ansi
from dashcam.show.accessors import format_duration
from dashcam.show.story import Story
from dashcam.show.web import histogram
from dashcam.show.web.address import TIME_RANGES, Address, spell_moment
from dashcam.show.web.recent import story_id
from dashcam.show.web.waterfall import MAX_LABELS, anchor, bar, classes, row_id, service_tones, shorten, ticks

PIECES = 2000  # that the templates give out one by one and a browser gets at once: about 50 rows

MAX_ROWS = 20_000  # of one story; a browser takes 3 s for them


def _visible(value: Any) -> Any:
    # A direction mark could make a line read as another one; a browser shows it no more than a terminal.
    return ansi.escape(value) if type(value) is str else value


def _lines(text: str) -> Markup:
    return Markup("\n").join(escape(ansi.escape(line)) for line in text.replace("\r\n", "\n").split("\n"))


def _moment(time_ns: int | None) -> Markup:
    if not time_ns:
        return Markup("no time")
    time = format_time(time_ns)
    return Markup('<time datetime="{}"><span class="day">{}</span> <b>{}</b></time>').format(
        time, time[:10], time[11:23]
    )


def _tick(time_ns: int, step_ns: int) -> Markup:
    """Return a moment below a histogram, as exact as its steps are long."""
    time, is_short = format_time(time_ns), step_ns < 60 * NS_PER_S
    spelled = time[5:16].replace("T", " ") if step_ns >= 3600 * NS_PER_S else time[11 : 19 if is_short else 16]
    return Markup('<time datetime="{}" data-letters="{}">{}</time>').format(time, len(spelled), spelled)


def _path(event: Event) -> str:
    """Return the path that was asked for, where the title has the route instead."""
    path = accessors.text(event, "url.path")
    return "" if path in accessors.title(event) else path


def _other_labels(event: Event, columns: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the labels of an event that have no column of their own."""
    return [(name, value) for name, value in accessors.labels(event) if name not in columns]


def _label(event: Event, name: str) -> str:
    return next((value for label, value in accessors.labels(event) if label == name), "")


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _spark(counts: list[int]) -> list[tuple[int, int, int]]:
    """Return the bars of a small drawing of counts: where each stands, its top and its height, in units of 2 by 20."""
    most = max(counts, default=0) or 1
    heights = [-(-count * 20 // most) for count in counts]
    return [(index * 4, 20 - height, height) for index, height in enumerate(heights) if height]


def _story_url(one: str, **more: str) -> str:
    return f"/story?{urlencode({'id': one, **more})}"


def _event_url(event: Event) -> str:
    return f"{_story_url(story_id(event))}#{row_id(event.id)}"


def _took(event: Event) -> str:
    return format_duration(accessors.duration_ns(event))


def _status(event: Event) -> int | None:
    has_outcome = event.is_span or accessors.is_unended(event)
    return accessors.number(event, "http.response.status_code") if has_outcome else None


def _level_class(event: Event) -> str:
    level = accessors.level(event)
    return level if level in {"debug", "info", "warning", "error", "critical"} else "info"


def _first_labels(event: Event) -> Iterator[tuple[str, str]]:
    return ((shorten(name), shorten(value)) for name, value in islice(accessors.labels(event), MAX_LABELS))


def _length_of(story: Story) -> str:
    span = story.server_span
    return format_duration(story.duration_ns if span is None or span.duration_ns is None else span.duration_ns)


def _asset(name: str) -> str:
    return f"/static/{name}?{hashlib.sha256(read_asset(name).encode()).hexdigest()[:12]}"


@cache
def read_asset(name: str) -> str:
    """One of the viewer's own files."""
    return files("dashcam.show.web").joinpath("static", name).read_text(encoding="utf-8")


_FILTERS: Mapping[str, Callable[..., Any]] = {
    "anchor": anchor,
    "label": _label,
    "other_labels": _other_labels,
    "parts": histogram.parts,
    "share": _share,
    "spark": _spark,
    "histogram_ticks": histogram.ticks,
    "counts": histogram.counts,
    "bar": bar,
    "classes": classes,
    "duration": format_duration,
    "error": accessors.error,
    "event_url": _event_url,
    "first_labels": _first_labels,
    "file_url": lambda one: f"/story.html?{urlencode({'id': one})}",
    "iso": spell_moment,
    "is_error": accessors.is_error,
    "is_unended": accessors.is_unended,
    "compare_url": lambda one, other="": f"/compare?{urlencode({'id': one} | ({'other': other} if other else {}))}",
    "json_url": lambda one: f"/story.json?{urlencode({'id': one})}",
    "labels": accessors.labels,
    "length_of": _length_of,
    "level": accessors.level,
    "level_class": _level_class,
    "lines": _lines,
    "moment": _moment,
    "outcome": accessors.outcome,
    "path": _path,
    "row_id": row_id,
    "service": accessors.service,
    "shorten": shorten,
    "stack": lambda event: accessors.text(event, "error.stack_trace"),
    "status": _status,
    "story_url": _story_url,
    "thousands": "{:,}".format,
    "tick": _tick,
    "time_ns": accessors.time_ns,
    "title": accessors.title,
    "took": _took,
}


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
        "asset": _asset,
        "time_range": TIME_RANGES.get,
        "time_ranges": TIME_RANGES.items(),
        "max_labels": MAX_LABELS,
        "address": Address("/events"),
        "histogram": histogram,
    }
    templates.filters |= _FILTERS
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
        "status": _status(span.event) if span and span.event else None,
        "path": shorten(_path(span.event)) if span and span.event else "",
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
