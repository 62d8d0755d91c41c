"""The destination `loggly`: Loggly's bulk endpoint, and its search API."""

from dashcam.destinations.destination import Destination, late
from dashcam.destinations.loggly.options import Options

DESTINATION = Destination(
    "loggly",
    Options,
    backend=late("dashcam.destinations.loggly.backend:connect"),
    store=late("dashcam.destinations.loggly.store:open_store"),
    checks=late("dashcam.destinations.loggly.checks:checks"),
    links=late("dashcam.destinations.loggly.links:links"),
    found_within_s=120.0,
)
