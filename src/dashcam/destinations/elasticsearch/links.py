"""Addresses in Kibana that show one story: its events in Discover, its waterfall on the dashboard.

Source: the state that Kibana keeps in its own addresses, `_g` and `_a`, written in Rison.
"""

import re
from typing import Any
from urllib.parse import quote

from dashcam.destinations.destination import StoryReference
from dashcam.destinations.elasticsearch.options import Options
from dashcam.event import NS_PER_S, format_time

EVENTS_VIEW = "dashcam-events"
STORY_DASHBOARD = "dashcam-request-story"
COLUMNS = ("service.name", "log.level", "message", "span.name", "event.duration")

_MARGIN_NS = 5 * NS_PER_S  # events a little earlier or later may belong to it
_MAX_IDS = 20  # an address of more than 2,000 characters is cut by some programs
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./~-]*")


def links(options: Options, story: StoryReference) -> dict[str, str]:
    """Return the links of a story; none without KIBANA_URL, whose pages they lead to."""
    return story_links(story, options.kibana_url) if options.kibana_url else {}


def story_links(story: StoryReference, kibana_url: str) -> dict[str, str]:
    """Return `kibana_dashboard` and `kibana_discover` of a story's traces, or else of its request IDs, at its time.

    The addresses hold no user or password. The dashboard draws one trace: of several it says how to choose.
    """
    name, ids = ("trace.id", story.trace_ids) if story.trace_ids else ("http.request.id", story.request_ids)
    query = {"language": "kuery", "query": f"{name}:({' or '.join(map(_quoted, ids[:_MAX_IDS]))})"}
    since, until = story.start_ns - _MARGIN_NS, story.start_ns + story.duration_ns + _MARGIN_NS
    period = {"from": format_time(since), "to": format_time(until)}
    at_its_time = _state({"filters": [], "refreshInterval": {"pause": True, "value": 0}, "time": period})
    # Kibana before 8.14 looks for `index`, later ones for `dataSource`.
    events = {"dataSource": {"dataViewId": EVENTS_VIEW, "type": "dataView"}, "index": EVENTS_VIEW}
    listed = _state({"columns": list(COLUMNS), **events, "query": query, "sort": [["@timestamp", "asc"]]})
    drawn = _state({"query": query})
    kibana_url = re.sub(r"(?<=://)[^/]*@", "", kibana_url)
    return {
        "kibana_dashboard": f"{kibana_url}/app/dashboards#/view/{STORY_DASHBOARD}?_g={at_its_time}&_a={drawn}",
        "kibana_discover": f"{kibana_url}/app/discover#/?_g={at_its_time}&_a={listed}",
    }


def _quoted(value: str) -> str:
    """A phrase of the Kibana Query Language that means just this text."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _state(value: Any) -> str:
    return quote(rison(value), safe="!'()*,:@~.-_")


def rison(value: Any) -> str:
    """A JSON value in Rison, the notation of Kibana's addresses; floats are not needed there."""
    match value:
        case bool():
            return "!t" if value else "!f"
        case None:
            return "!n"
        case int():
            return str(value)
        case str():
            return value if _PLAIN.fullmatch(value) else "'" + value.replace("!", "!!").replace("'", "!'") + "'"
        case list():
            return f"!({','.join(map(rison, value))})"
        case dict():
            return f"({','.join(f'{rison(key)}:{rison(item)}' for key, item in value.items())})"
    raise TypeError(f"{type(value).__name__} has no form in Rison")
