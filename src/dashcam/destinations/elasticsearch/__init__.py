"""The destination `elasticsearch`: Elasticsearch from 7.17 or OpenSearch from 2.7, straight into its data streams.

All but the backend serves the route `elk` too, where fluentd ships and the events are found here.
"""

from dashcam.destinations.destination import Destination, late
from dashcam.destinations.elasticsearch.options import Options

DESTINATION = Destination(
    "elasticsearch",
    Options,
    backend=late("dashcam.destinations.elasticsearch.backend:connect"),
    store=late("dashcam.destinations.elasticsearch.store:open_store"),
    checks=late("dashcam.destinations.elasticsearch.checks:checks"),
    links=late("dashcam.destinations.elasticsearch.links:links"),
    setup=late("dashcam.destinations.elasticsearch.setup:set_up"),
)
