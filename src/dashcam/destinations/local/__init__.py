"""The destination `local`: an SQLite file on this machine, for a laptop, tests, one machine."""

from dashcam.destinations.destination import Destination, late
from dashcam.destinations.local.options import Options

DESTINATION = Destination(
    "local",
    Options,
    backend=late("dashcam.destinations.local.backend:connect"),
    store=late("dashcam.destinations.local.search.store:open_store"),
    repair=late("dashcam.destinations.local.store_repair:repair"),
)
