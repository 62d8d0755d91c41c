"""The options of Loggly."""

import re
from dataclasses import dataclass

from dashcam.settings import Address, Secret, read_address, read_choice, read_text, setting


def _read_tags(value: str) -> tuple[str, ...]:
    tags = tuple(tag.strip() for tag in value.split(",") if tag.strip())
    if not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", tag) for tag in tags):
        raise ValueError("tags of letters, digits, '_', '.', '-', at most 64 characters each, with commas")
    return tags


@dataclass(frozen=True, slots=True)
class Options:
    """The account, its tokens, and how events are sent and searched."""

    token: Secret = setting("LOGGLY_TOKEN", "", Secret, "The customer token, for sending.")
    tags: tuple[str, ...] = setting(
        "LOGGLY_TAGS", "dashcam", _read_tags, "Tags of every event sent to Loggly, in addition to dashcam."
    )
    url: Address = setting("LOGGLY_URL", "https://logs-01.loggly.com", read_address, "Where events are sent.")
    subdomain: str = setting("LOGGLY_SUBDOMAIN", "", read_text, "The account's name: the host before .loggly.com.")
    api_token: Secret = setting("LOGGLY_API_TOKEN", "", Secret, "The API token, for searching.")
    api_url: Address = setting(
        "LOGGLY_API_URL", "", read_address, "Where events are searched, if not at https://SUBDOMAIN.loggly.com."
    )
    search: str = setting(
        "LOGGLY_SEARCH",
        "complete",
        read_choice("complete", "quick"),
        "complete: fetch more events and filter them; quick: use Loggly's index for words, patterns and existence.",
    )
