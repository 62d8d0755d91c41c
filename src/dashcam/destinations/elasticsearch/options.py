"""The options of Elasticsearch or OpenSearch, and of Kibana over it."""

import re
from dataclasses import dataclass
from pathlib import Path

from dashcam.settings import Address, Secret, read_address, read_file, retention, setting


def _read_namespace(value: str) -> str:
    # The last part of a data stream's name: Elasticsearch allows neither capitals nor a minus sign in it.
    if not re.fullmatch(r"[a-z0-9_.]{1,100}", value) or value.startswith("."):
        raise ValueError("lowercase letters, digits, '_' and '.', at most 100")
    return value


@dataclass(frozen=True, slots=True)
class Options:
    """The addresses of the engine and Kibana, the credentials, and the streams' namespace."""

    namespace: str = setting(
        "DASHCAM_NAMESPACE", "default", _read_namespace, "The last part of the data streams' names."
    )
    retention_days: int = retention()
    url: Address = setting(
        "ELASTICSEARCH_URL",
        "http://127.0.0.1:9200",
        read_address,
        "Elasticsearch or OpenSearch, with user:password@ if needed.",
    )
    api_key: Secret = setting("ELASTICSEARCH_API_KEY", "", Secret, "An API key, in the encoded form that Kibana shows.")
    ca: Path | None = setting(
        "ELASTICSEARCH_CA", "", read_file, "A PEM file with the CA of Elasticsearch's certificate."
    )
    kibana_url: Address = setting("KIBANA_URL", "", read_address, "Kibana, for links and the import of dashboards.")
    kibana_system_password: Secret = setting(
        "KIBANA_SYSTEM_PASSWORD", "", Secret, "The password that `dashcam setup elk` gives Kibana's own user."
    )
