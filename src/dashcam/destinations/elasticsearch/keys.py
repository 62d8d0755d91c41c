"""API keys with the least rights and a life of their own: one to write events, one to read them.

Source: Elasticsearch API, "Create an API key", "Get API key information", "Invalidate API keys". OpenSearch has users
instead; `logging/elk/roles` says their rights.
"""

import binascii
import os
import re
import time
from base64 import b64decode

from dashcam.destinations.destination import KeyFile, Step
from dashcam.destinations.elasticsearch.client import Client, Response
from dashcam.destinations.elasticsearch.data import read_json
from dashcam.errors import DashcamError, StoreUnreachable
from dashcam.settings import Secret

ROLES = ("writer", "reader")
MS_PER_DAY = 24 * 60 * 60 * 1000

_LINE = "ELASTICSEARCH_{}_KEY={}\n"
_FORMER = "# replaced by these, and valid until the next rotation: "


def set_up(client: Client, wanted: KeyFile) -> Step:
    """Write both keys into a file that only its owner can read, unless those in it hold for a third of their life.

    Its lines are `ELASTICSEARCH_WRITER_KEY=…` and `ELASTICSEARCH_READER_KEY=…`. It is replaced in one step, so that
    nobody reads half of it. With `is_rotation` there are new keys in any case; those that they replace stay valid until
    the next rotation, so that whoever uses them has the time to take the new ones.
    """
    what = f"keys in {wanted.path}"
    try:
        text = wanted.path.read_text() if wanted.path.exists() else ""
    except UnicodeDecodeError:
        raise DashcamError(f"{wanted.path} is not a text file: choose another file for the keys.") from None
    ids = [_id_of(text, role) for role in ROLES]
    ends_ms = min(_end_ms(client, id_) for id_ in ids)
    if not wanted.is_rotation and ends_ms > _now_ms() + wanted.life_days * MS_PER_DAY / 3:
        return Step(what, f"kept, valid until {_date(ends_ms)}")
    _replace(client, wanted, [id_ for id_ in ids if id_])
    ids = [id_ for each in re.findall(rf"^{_FORMER}(.*)$", text, re.MULTILINE) for id_ in each.split(",")]
    if ids:
        answer = client.ask("DELETE", "/_security/api_key", {"ids": ids, "owner": True})
        if not answer.is_ok and answer.status != 404:
            raise StoreUnreachable(_explain(client, answer))
    return Step(
        what,
        f"made, valid until {_date(_now_ms() + wanted.life_days * MS_PER_DAY)}; restart the programs that use them",
    )


def _replace(client: Client, wanted: KeyFile, former: list[str]) -> None:
    new = wanted.path.with_name(f".{wanted.path.name}.new")
    try:
        new.unlink(missing_ok=True)
        # Opened before keys are made, because a key is shown once, and never one that was there, which others may read.
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            keys = {role: _make(client, role, wanted.life_days) for role in ROLES}
            file.write("".join(_LINE.format(role.upper(), key) for role, key in keys.items()))
            file.write(f"{_FORMER}{','.join(former)}\n" if former else "")
            file.flush()
            os.fsync(file.fileno())
        new.replace(wanted.path)
    except OSError as fault:
        raise DashcamError(f"{wanted.path} cannot be written: {fault.strerror}.") from fault
    finally:
        new.unlink(missing_ok=True)


def _id_of(text: str, role: str) -> str:
    """Return the id of a key in a file, empty where there is none: an encoded key is base64 of `id:key`."""
    match = re.search(rf"^ELASTICSEARCH_{role.upper()}_KEY=(\S+)$", text, re.MULTILINE)
    try:
        return b64decode(match[1], validate=True).decode().partition(":")[0] if match else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _end_ms(client: Client, id_: str) -> float:
    """Return when a key ends, in milliseconds since the epoch; 0 where Elasticsearch does not know it, or no more."""
    if not id_:
        return 0
    answer = client.ask("GET", "/_security/api_key", params={"id": id_, "owner": "true"})
    if answer.status == 404:
        return 0
    if not answer.is_ok:
        raise StoreUnreachable(_explain(client, answer))
    known = client.part(answer.body, "api_keys", kind=list)
    key = client.part(known[0], kind=dict) if known else {}
    end_ms = 0 if key.get("invalidated") else key.get("expiration")
    return end_ms if isinstance(end_ms, int | float) else 0  # one without an end is replaced too


def _make(client: Client, role: str, life_days: int) -> Secret:
    """Return a new key in its encoded form."""
    name = f"dashcam-{role}"
    rights = {name: read_json(f"roles/{role}.json")}
    body = {"name": name, "expiration": f"{life_days}d", "role_descriptors": rights}
    answer = client.ask("POST", "/_security/api_key", body)
    if answer.has_no_handler:
        raise DashcamError(f"{client.address} does not create API keys: its security is off, or it is OpenSearch.")
    if answer.status == 400 and "derived" in answer.reason:
        raise StoreUnreachable(
            f"{client.address} creates keys for users, not for other keys: unset ELASTICSEARCH_API_KEY, and put "
            "user:password@ into ELASTICSEARCH_URL."
        )
    if not answer.is_ok:
        raise StoreUnreachable(_explain(client, answer))
    return Secret(client.part(answer.body, "encoded", kind=str))


def _explain(client: Client, answer: Response) -> str:
    return client.explain(answer, "the cluster privilege manage_own_api_key")


def _now_ms() -> float:
    return time.time() * 1000


def _date(end_ms: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(end_ms / 1000))
