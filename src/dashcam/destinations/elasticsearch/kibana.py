"""Saved objects into Kibana, or OpenSearch Dashboards, and where Kibana looks for log lines.

Sources: Kibana API, "Import saved objects": the status is 200 even when objects failed; `success` tells. Elastic's
documentation, "Configure log data sources": `observability:logSources`, a list of index patterns. It is read and
written as the page Advanced Settings does it, and has no public API.
"""

from fnmatch import fnmatchcase
from typing import Any

from urllib3.filepost import encode_multipart_formdata

from dashcam.destinations.checks import Broken, Note
from dashcam.destinations.destination import Step
from dashcam.destinations.elasticsearch.client import Client, logs_stream
from dashcam.errors import DashcamError, StoreUnreachable

_PATH = "/api/saved_objects/_import"
_SETTINGS = "/internal/kibana/settings"
_HEADERS = {"kbn-xsrf": "dashcam", "osd-xsrf": "dashcam", "x-elastic-internal-origin": "dashcam"}
_SHOWN_ERRORS = 5

LOG_SOURCES = "observability:logSources"
DEFAULT_SOURCES = ["logs-*-*", "logs-*", "filebeat-*"]


def set_up(client: Client, pack: bytes) -> Step:
    """Import saved objects, one a line; those that are there are replaced."""
    body, kind = encode_multipart_formdata({"file": ("dashcam.ndjson", pack, "application/ndjson")})
    answer = client.ask("POST", _PATH, body, {"overwrite": "true"}, {**_HEADERS, "Content-Type": kind})
    if not answer.is_ok:
        raise StoreUnreachable(client.explain(answer, "the Kibana privilege Saved Objects Management"))
    result = client.part(answer.body, kind=dict)
    if result.get("success") is not True:
        raise DashcamError(f"{client.address} did not accept all objects: {_faults(client, result)}")
    return Step("Kibana objects", f"imported {result.get('successCount')}")


def _faults(client: Client, result: dict[str, Any]) -> str:
    if "errors" not in result:
        return "without a reason"
    errors = [client.part(error, kind=dict) for error in client.part(result, "errors", kind=list)]
    shown = [f"{one.get('type')} {one.get('id')}: {client.part(one, 'error', 'type', kind=str)}" for one in errors]
    more = f" and {len(shown) - _SHOWN_ERRORS} more" if len(shown) > _SHOWN_ERRORS else ""
    return ", ".join(shown[:_SHOWN_ERRORS]) + more


def add_log_source(client: Client, namespace: str) -> Step:
    """Add our stream to Kibana's log sources if they were changed from the default; keep the other sources."""
    stream, sources = logs_stream(namespace), _log_sources(client)
    if sources is None or _covers(sources, stream):
        return Step("Kibana log sources", "need no setting" if sources is None else f"have {stream}")
    answer = client.ask("POST", _SETTINGS, {"changes": {LOG_SOURCES: [*sources, stream]}}, headers=_HEADERS)
    if not answer.is_ok:
        raise StoreUnreachable(client.explain(answer, "the Kibana privilege Advanced Settings"))
    return Step("Kibana log sources", f"{stream} added to {', '.join(sources)}")


def check_log_sources(client: Client, namespace: str) -> str | Note:
    """Return what is right about Kibana's log sources; raises `Broken` when our log lines are in none of them.

    No event passes through Kibana, so a Kibana that does not answer here is a note.
    """
    stream = logs_stream(namespace)
    try:
        sources = _log_sources(client)
    except StoreUnreachable as fault:
        return Note(str(fault), "Open KIBANA_URL in a browser: in a container it may be for browsers alone.")
    if sources is None:
        return "Kibana's settings may not be read"
    if not _covers(sources, stream):
        raise Broken(
            f"{LOG_SOURCES} is {', '.join(sources)}: Kibana shows no log lines of {stream} beside a trace",
            f"Run dashcam setup elk, or add {stream} in Kibana's Advanced Settings.",
        )
    return f"have {stream}"


def _log_sources(client: Client) -> list[str] | None:
    """Return the index patterns of log lines; `None` where they may not be asked for, as in OpenSearch Dashboards."""
    answer = client.ask("GET", _SETTINGS, headers=_HEADERS)
    if answer.status in {400, 401, 403, 404}:
        return None
    if not answer.is_ok:
        raise StoreUnreachable(client.explain(answer))
    settings = client.part(answer.body, "settings", kind=dict)
    chosen = client.part(settings.get(LOG_SOURCES, {}), kind=dict)
    if "userValue" not in chosen:
        return DEFAULT_SOURCES
    return [str(pattern) for pattern in client.part(chosen, "userValue", kind=list)]


def _covers(sources: list[str], stream: str) -> bool:
    return any(fnmatchcase(stream, pattern.strip()) for source in sources for pattern in source.split(","))
