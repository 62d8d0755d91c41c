"""Sets up a self-hosted stack for the first event: templates, life cycle, streams, keys, Kibana's objects.

All of it may be done again at any time: what is there is brought to the present form, and events stay as they are.
"""

from collections.abc import Iterator
from contextlib import closing

from dashcam.destinations.destination import KeyFile, Step
from dashcam.destinations.elasticsearch import keys, kibana, streams, users
from dashcam.destinations.elasticsearch.client import Client
from dashcam.destinations.elasticsearch.options import Options
from dashcam.destinations.elasticsearch.saved_objects import kibana_pack


def set_up(options: Options, keys_file: KeyFile | None) -> Iterator[Step]:
    """Set up the engine, and Kibana if its address is known; write a writer's and a reader's key into a given file.

    Needs the rights of `logging/elk/roles/installer.json`. Raises `DashcamError` at the first thing that cannot be
    done; what was done stays.
    """
    with closing(Client(options)) as client:
        yield from streams.set_up(client, options.namespace, options.retention_days)
        if options.kibana_system_password:
            yield users.set_up(client, options.kibana_system_password)
        if keys_file:
            yield keys.set_up(client, keys_file)
    if options.kibana_url:
        with closing(Client(options, "KIBANA_URL")) as client:
            yield kibana.set_up(client, kibana_pack())
            yield kibana.add_log_source(client, options.namespace)
