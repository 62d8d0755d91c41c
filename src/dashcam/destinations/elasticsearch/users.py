"""The password of the user that Kibana itself logs in as.

Source: Elasticsearch API, "Change passwords"; Kibana, "Manually connect to Elasticsearch", the user kibana_system.
"""

from dashcam.destinations.destination import Step
from dashcam.destinations.elasticsearch.client import Client
from dashcam.errors import DashcamError, StoreUnreachable
from dashcam.settings import Secret

_PATH = "/_security/user/kibana_system/_password"


def set_up(client: Client, password: Secret) -> Step:
    """Give Kibana's user its password; who sets it again with the same one changes nothing."""
    answer = client.ask("POST", _PATH, {"password": password})
    if answer.has_no_handler:
        raise DashcamError(f"{client.address} has no user kibana_system: its security is off, or it is OpenSearch.")
    if not answer.is_ok:
        raise StoreUnreachable(client.explain(answer, "the cluster privilege manage_security"))
    return Step("user kibana_system", "has its password")
