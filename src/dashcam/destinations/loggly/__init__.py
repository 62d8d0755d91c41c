"""The destination `loggly`: Loggly's bulk endpoint, and its search API."""

from typing import TYPE_CHECKING

from dashcam.destinations.destination import Destination, StoryReference
from dashcam.destinations.loggly.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dashcam.destinations.checks import Check
    from dashcam.destinations.loggly.backend import Loggly
    from dashcam.destinations.loggly.store import LogglyStore


def _backend(options: Options) -> "Loggly":
    from dashcam.destinations.loggly.backend import connect

    return connect(options)


def _store(options: Options) -> "LogglyStore":
    from dashcam.destinations.loggly.store import open_store

    return open_store(options)


def _checks(options: Options, wait_s: float) -> "Iterator[Check]":
    from dashcam.destinations.loggly.checks import checks

    return checks(options, wait_s)


def _links(options: Options, reference: StoryReference) -> dict[str, str]:
    from dashcam.destinations.loggly.links import story_link

    return {"loggly": story_link(reference, options.subdomain)} if options.subdomain else {}


DESTINATION = Destination("loggly", Options, _backend, _store, _checks, _links, found_within_s=120.0)
