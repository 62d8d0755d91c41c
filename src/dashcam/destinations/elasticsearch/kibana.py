"""Saved objects into Kibana, or OpenSearch Dashboards.

Source: Kibana API, "Import saved objects". The status is 200 even when objects failed; `success` tells.
"""

from urllib3.filepost import encode_multipart_formdata

from dashcam.destinations.destination import Step
from dashcam.destinations.elasticsearch.client import Client
from dashcam.errors import DashcamError, StoreUnreachable

_PATH = "/api/saved_objects/_import"
_SHOWN_ERRORS = 5


def set_up(client: Client, pack: bytes) -> Step:
    """Import saved objects, one a line; those that are there are replaced."""
    body, kind = encode_multipart_formdata({"file": ("dashcam.ndjson", pack, "application/ndjson")})
    headers = {"Content-Type": kind, "kbn-xsrf": "dashcam", "osd-xsrf": "dashcam"}
    answer = client.ask("POST", _PATH, body, {"overwrite": "true"}, headers)
    if not answer.is_ok:
        raise StoreUnreachable(client.explain(answer, "the Kibana privilege Saved Objects Management"))
    if answer.body.get("success") is not True:
        raise DashcamError(f"{client.address} did not take all objects: {_faults(answer.body)}")
    return Step("Kibana objects", f"imported {answer.body.get('successCount')}")


def _faults(body: dict[str, object]) -> str:
    errors = body.get("errors")
    if not isinstance(errors, list):
        return "without a reason"
    shown = [f"{error.get('type')} {error.get('id')}: {error.get('error', {}).get('type')}" for error in errors]
    more = f" and {len(shown) - _SHOWN_ERRORS} more" if len(shown) > _SHOWN_ERRORS else ""
    return ", ".join(shown[:_SHOWN_ERRORS]) + more
