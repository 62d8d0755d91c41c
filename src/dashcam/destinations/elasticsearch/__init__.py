"""The destination `elasticsearch`: Elasticsearch from 7.17 or OpenSearch from 2.7, straight into its data streams.

The functions serve the route `elk` too, where fluentd ships and the events are found here.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dashcam.destinations.destination import Destination, KeyFile, Step, StoryReference
from dashcam.destinations.elasticsearch.options import Options

if TYPE_CHECKING:
    from dashcam.destinations.checks import Check
    from dashcam.destinations.elasticsearch.backend import Elasticsearch
    from dashcam.destinations.elasticsearch.store import ElasticsearchStore


def _backend(options: Options) -> "Elasticsearch":
    from dashcam.destinations.elasticsearch.backend import connect

    return connect(options)


def _store(options: Options) -> "ElasticsearchStore":
    from dashcam.destinations.elasticsearch.store import open_store

    return open_store(options)


def _checks(options: Options, wait_s: float) -> "Iterator[Check]":
    from dashcam.destinations.elasticsearch.checks import checks

    return checks(options, wait_s)


def _links(options: Options, reference: StoryReference) -> dict[str, str]:
    from dashcam.destinations.elasticsearch.links import story_links

    return story_links(reference, options.kibana_url) if options.kibana_url else {}


def _setup(options: Options, keys: KeyFile | None) -> Iterator[Step]:
    from dashcam.destinations.elasticsearch.setup import set_up

    return set_up(options, keys)


DESTINATION = Destination("elasticsearch", Options, _backend, _store, _checks, _links, _setup)
