"""The destination `elk`: fluentd by the forward protocol, version 1, acknowledged; found in Elasticsearch behind it.

Source: Fluentd's "Forward Protocol Specification v1"; Fluent Bit, Vector and others accept it too.
"""

from dashcam.destinations import elasticsearch
from dashcam.destinations.destination import Destination, late
from dashcam.destinations.fluentd.options import Options

DESTINATION = Destination(
    "elk",
    Options,
    backend=late("dashcam.destinations.fluentd.backend:connect"),
    store=elasticsearch.DESTINATION.store,
    checks=late("dashcam.destinations.fluentd.checks:checks"),
    links=elasticsearch.DESTINATION.links,
    setup=elasticsearch.DESTINATION.setup,
)
