"""The filters of the templates: what a page shows of an event, a story and a figure."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup, escape

from dashcam.event import NS_PER_S, Event, format_time
from dashcam.show import accessors, ansi
from dashcam.show.accessors import format_duration, format_rate, format_share
from dashcam.show.recent import story_id
from dashcam.show.story import Story
from dashcam.show.web import histogram
from dashcam.show.web.address import spell_moment
from dashcam.show.web.waterfall import MAX_LABELS, anchor, bar, classes, row_id, shorten


def lines(text: str) -> Markup:
    """Return a text with its line breaks, each line escaped."""
    return Markup("\n").join(escape(ansi.escape(line)) for line in text.replace("\r\n", "\n").split("\n"))


def moment(time_ns: int | None) -> Markup:
    """Return a time as a browser shows it, the day apart."""
    if not time_ns:
        return Markup("no time")
    time = format_time(time_ns)
    return Markup('<time datetime="{}"><span class="day">{}</span> <b>{}</b></time>').format(
        time, time[:10], time[11:23]
    )


def tick(time_ns: int, step_ns: int) -> Markup:
    """Return a moment below a histogram, as exact as its steps are long."""
    time, is_short = format_time(time_ns), step_ns < 60 * NS_PER_S
    spelled = time[5:16].replace("T", " ") if step_ns >= 3600 * NS_PER_S else time[11 : 19 if is_short else 16]
    return Markup('<time datetime="{}" data-letters="{}">{}</time>').format(time, len(spelled), spelled)


def path(event: Event) -> str:
    """Return the path that was asked for, where the title has the route instead."""
    path = accessors.text(event, "url.path")
    return "" if path in accessors.title(event) else path


def other_labels(event: Event, columns: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the labels of an event that have no column of their own."""
    return [(name, value) for name, value in accessors.labels(event) if name not in columns]


def label(event: Event, name: str) -> str:
    """Return the value of one label; empty where there is none."""
    return next((value for label, value in accessors.labels(event) if label == name), "")


def share(part: int, whole: int) -> str:
    """Return a part as a percentage; empty where there is no whole."""
    return format_share(part, whole) if whole else ""


def spark(counts: list[int]) -> list[tuple[int, int, int]]:
    """Return the bars of a small drawing of counts: where each stands, its top and its height, in units of 2 by 20."""
    most = max(counts, default=0) or 1
    heights = [-(-count * 20 // most) for count in counts]
    return [(index * 4, 20 - height, height) for index, height in enumerate(heights) if height]


def story_url(one: str, **more: str) -> str:
    """Return the address of a story."""
    return f"/story?{urlencode({'id': one, **more})}"


def event_url(event: Event) -> str:
    """Return the address of an event within its story."""
    return f"{story_url(story_id(event))}#{row_id(event.id)}"


def took(event: Event) -> str:
    """Return how long a span took; of a request without an end the least, marked so."""
    return f"{'≥ ' if accessors.is_unended(event) else ''}{format_duration(accessors.duration_ns(event))}"


def status(event: Event) -> int | None:
    """Return the HTTP status of what has ended, or is known to be unended."""
    has_outcome = event.is_span or accessors.is_unended(event)
    return accessors.number(event, "http.response.status_code") if has_outcome else None


def level_class(event: Event) -> str:
    """Return the style class of a level."""
    level = accessors.level(event)
    return level if level in {"debug", "info", "warning", "error", "critical"} else "info"


def first_labels(event: Event) -> Iterator[tuple[str, str]]:
    """Yield the labels that have room in a row."""
    return ((shorten(name), shorten(value)) for name, value in islice(accessors.labels(event), MAX_LABELS))


def length_of(story: Story) -> str:
    """Return how long a request took; of a story without one, how long all of it did."""
    span = story.server_span
    return format_duration(story.duration_ns if span is None or span.duration_ns is None else span.duration_ns)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "anchor": anchor,
    "label": label,
    "other_labels": other_labels,
    "parts": histogram.parts,
    "share": share,
    "rate": format_rate,
    "spark": spark,
    "histogram_ticks": histogram.ticks,
    "counts": histogram.counts,
    "bar": bar,
    "classes": classes,
    "duration": format_duration,
    "error": accessors.error,
    "event_url": event_url,
    "first_labels": first_labels,
    "file_url": lambda one: f"/story.html?{urlencode({'id': one})}",
    "iso": spell_moment,
    "is_error": accessors.is_error,
    "is_unended": accessors.is_unended,
    "compare_url": lambda one, other="": f"/compare?{urlencode({'id': one} | ({'other': other} if other else {}))}",
    "json_url": lambda one: f"/story.json?{urlencode({'id': one})}",
    "labels": accessors.labels,
    "length_of": length_of,
    "level": accessors.level,
    "level_class": level_class,
    "lines": lines,
    "moment": moment,
    "outcome": accessors.outcome,
    "path": path,
    "row_id": row_id,
    "service": accessors.service,
    "shorten": shorten,
    "stack": lambda event: accessors.text(event, "error.stack_trace"),
    "status": status,
    "story_url": story_url,
    "thousands": "{:,}".format,
    "tick": tick,
    "time_ns": accessors.time_ns,
    "title": accessors.title,
    "took": took,
}
