"""The address that shows a story in Loggly's own search page.

Source: links that repositories keep: `https://NAME.loggly.com/search#terms=…&from=…&until=…&source_group=`.
"""

from urllib.parse import quote

from dashcam.destinations.destination import StoryReference
from dashcam.destinations.loggly.options import Options
from dashcam.event import NS_PER_S, format_time

_BEFORE_S = 600  # a host's clock may have been ahead of Loggly's
_MAX_IDS = 20  # a link of more than 2,000 characters is cut by some programs


def links(options: Options, story: StoryReference) -> dict[str, str]:
    """Return the link of a story; none without LOGGLY_SUBDOMAIN, whose page it leads to."""
    return {"loggly": story_link(story, options.subdomain)} if options.subdomain else {}


def story_link(story: StoryReference, subdomain: str) -> str:
    """Return the address that shows a story's events, by its traces or else its request IDs.

    Up to now, because Loggly may have stamped events that came late with the time they came.
    """
    since = format_time(story.start_ns - _BEFORE_S * NS_PER_S)
    name, ids = ("trace", story.trace_ids) if story.trace_ids else ("http.request", story.request_ids)
    escaped = (one.replace("\\", "\\\\").replace('"', '\\"') for one in ids[:_MAX_IDS])
    query = " OR ".join(f'json.{name}.id:"{one}"' for one in escaped)
    return search_link(subdomain, query, f"{since[:23]}Z")


def search_link(subdomain: str, terms: str, since: str, until: str = "now") -> str:
    """Return the address that shows a query's events; times are ISO 8601 with ms, or relative, such as `-1h`."""
    return (
        f"https://{subdomain}.loggly.com/search#terms={quote(terms, safe='')}"
        f"&from={quote(since, safe='')}&until={quote(until, safe='')}&source_group="
    )
