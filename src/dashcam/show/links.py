"""Where else a story is shown: in the web pages of the stack or service that holds its events."""

import re

from dashcam.destinations.elasticsearch import links as kibana_link
from dashcam.destinations.loggly import links as loggly_link
from dashcam.settings import Settings
from dashcam.show.story import Story

KIBANA_ROUTES = ("elasticsearch", "elk")


def links_of(story: Story, route: str, settings: Settings) -> dict[str, str]:
    """The addresses of a story by what shows it; none where the settings name no such place.

    They are `kibana_dashboard` and `kibana_discover`, or `loggly`; without a user or password. A story without any
    trace or request ID has none.
    """
    if not (story.trace_ids or story.request_ids):
        return {}
    if route == "loggly" and settings.loggly_subdomain:
        return {"loggly": loggly_link.story_link(story, settings.loggly_subdomain)}
    if route in KIBANA_ROUTES and settings.kibana_url:
        links = kibana_link.story_links(story, re.sub(r"(?<=://)[^/]*@", "", settings.kibana_url))
        return {f"kibana_{name}": link for name, link in links.items()}
    return {}
