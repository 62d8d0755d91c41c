"""The destination `elk`: fluentd by the forward protocol, version 1, acknowledged; found in Elasticsearch behind it.

Source: Fluentd's "Forward Protocol Specification v1"; Fluent Bit, Vector and others accept it too.
"""

from typing import TYPE_CHECKING

from dashcam.destinations import elasticsearch
from dashcam.destinations.destination import Destination
from dashcam.destinations.fluentd.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dashcam.destinations.checks import Check
    from dashcam.destinations.fluentd.backend import Fluentd


def _backend(options: Options) -> "Fluentd":
    from dashcam.destinations.fluentd.backend import connect

    return connect(options)


def _checks(options: Options, wait_s: float) -> "Iterator[Check]":
    from dashcam.destinations.fluentd.checks import checks

    return checks(options, wait_s)


_ENGINE = elasticsearch.DESTINATION
DESTINATION = Destination("elk", Options, _backend, _ENGINE.store, _checks, _ENGINE.links, _ENGINE.setup)
