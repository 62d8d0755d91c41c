"""API keys with the least rights: one to write events, one to read them.

Source: Elasticsearch API, "Create an API key". OpenSearch has users instead; `logging/elk/roles` says their rights.
"""

import os
from pathlib import Path

from dashcam.destinations.destination import Step
from dashcam.destinations.elasticsearch.client import Client
from dashcam.destinations.elasticsearch.data import read_json
from dashcam.errors import DashcamError, StoreUnreachable
from dashcam.settings import Secret

ROLES = ("writer", "reader")


def set_up(client: Client, path: Path) -> Step:
    """Make both keys and write them into a file that only its owner can read; a file that is there stays.

    Its lines are `ELASTICSEARCH_WRITER_KEY=…` and `ELASTICSEARCH_READER_KEY=…`.
    """
    what = f"keys in {path}"
    try:
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
    except FileExistsError:
        return Step(what, "kept: the file is there")
    except OSError as fault:
        raise DashcamError(f"{path} cannot be written: {fault.strerror}.") from fault
    try:
        with file:
            keys = {role: _make(client, role) for role in ROLES}
            file.writelines(f"ELASTICSEARCH_{role.upper()}_KEY={key}\n" for role, key in keys.items())
    except DashcamError:
        path.unlink()
        raise
    return Step(what, "made")


def _make(client: Client, role: str) -> Secret:
    """A new key in its encoded form."""
    name = f"dashcam-{role}"
    body = {"name": name, "role_descriptors": {name: read_json(f"roles/{role}.json")}}
    answer = client.ask("POST", "/_security/api_key", body)
    if answer.has_no_handler:
        raise DashcamError(f"{client.address} makes no API keys: its security is off, or it is OpenSearch.")
    if answer.status == 400 and "derived" in answer.reason:
        raise StoreUnreachable(
            f"{client.address} makes keys for a user, not for another key: leave ELASTICSEARCH_API_KEY out and put "
            "user:password@ into ELASTICSEARCH_URL."
        )
    if not answer.is_ok:
        raise StoreUnreachable(client.explain(answer, "the cluster privilege manage_own_api_key"))
    return Secret(answer.body["encoded"])
