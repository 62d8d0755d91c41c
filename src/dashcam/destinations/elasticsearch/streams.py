"""Templates, life cycle and data streams of Elasticsearch or OpenSearch.

Sources: Elasticsearch API, "Create or update an index template", "Create a data stream", "Update data stream
lifecycles", "Create or update a lifecycle policy"; OpenSearch, "Index State Management API".
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dashcam.destinations.destination import Step
from dashcam.destinations.elasticsearch.client import (
    Client,
    Product,
    dead_letters_stream,
    logs_stream,
    spans_stream,
)
from dashcam.destinations.elasticsearch.data import read_json
from dashcam.errors import StoreUnreachable

_POLICY = "dashcam"

_RIGHT = {
    "/_component_template": "the cluster privilege manage_index_templates",
    "/_index_template": "the cluster privilege manage_index_templates",
    "/_ilm": "the cluster privilege manage_ilm",
}


def set_up(client: Client, namespace: str, retention_days: int) -> Iterator[Step]:
    """Bring templates, life cycle and a namespace's streams to their present form.

    Raises `StoreUnreachable` at the first thing that cannot be done; what was done stays.
    """
    product = client.product()
    if product is None:
        raise StoreUnreachable(f"{client.address} does not show its version: the set-up needs the privilege monitor.")
    retention = f"{retention_days}d"
    yield from _set_up_policy(client, product, retention)
    for name in ("settings", "fields"):
        path = f"/_component_template/dashcam-{name}"
        yield _put(client, path, _fitted(read_json(f"templates/{name}.json"), product))
    for name in ("logs", "spans"):
        path = f"/_index_template/dashcam-{name}"
        yield _put(client, path, read_json(f"templates/{name}.json") | _kept(product, retention))
    for stream in (logs_stream(namespace), spans_stream(namespace), dead_letters_stream(namespace)):
        yield from _set_up_stream(client, product, stream, retention)


def _fitted(component: dict[str, Any], product: Product) -> dict[str, Any]:
    """A component template without the settings that a product does not know."""
    template = component["template"]
    if "mappings" in template and product.is_opensearch:
        template["mappings"]["properties"]["labels"] = {"type": "flat_object"}
    if "settings" in template and not product.is_at_least(8, 17):
        del template["settings"]["index"]["mode"]
    if "settings" in template and _has_ilm(product):
        template["settings"]["index"]["lifecycle"] = {"name": _POLICY}
    return component


def _has_ilm(product: Product) -> bool:
    """Return whether a policy deletes old events; data streams of later versions do it themselves."""
    return not product.is_opensearch and not product.is_at_least(8, 14)


def _kept(product: Product, retention: str) -> dict[str, Any]:
    """Return an index template's retention, and that the engine keeps no rejected event.

    The shipper has a place of its own for those, with the reason.
    """
    template: dict[str, Any] = {}
    if product.is_at_least(8, 14):
        template["lifecycle"] = {"data_retention": retention}
    if product.is_at_least(9, 1):
        template["data_stream_options"] = {"failure_store": {"enabled": False}}
    return {"template": template}


def _set_up_policy(client: Client, product: Product, retention: str) -> Iterator[Step]:
    if product.is_opensearch:
        path = f"/_plugins/_ism/policies/{_POLICY}"
        policy = read_json("lifecycle/ism.json")
        policy["policy"]["states"][0]["transitions"][0]["conditions"]["min_rollover_age"] = retention
        seen = client.ask("GET", path)
        if seen.has_no_handler:
            yield Step(f"policy {_POLICY}", "left out: no Index State Management here, so old events stay")
        else:
            # A policy is replaced only for one who names the state it was seen in.
            params = {"if_seq_no": "_seq_no", "if_primary_term": "_primary_term"} if seen.is_ok else {}
            yield _put(
                client, path, policy, {name: str(client.part(seen.body, key, kind=int)) for name, key in params.items()}
            )
    elif _has_ilm(product):
        policy = read_json("lifecycle/ilm.json")
        policy["policy"]["phases"]["delete"]["min_age"] = retention
        yield _put(client, f"/_ilm/policy/{_POLICY}", policy)


def _set_up_stream(client: Client, product: Product, stream: str, retention: str) -> Iterator[Step]:
    what = f"stream {stream}"
    answer = client.ask("PUT", f"/_data_stream/{stream}")
    if answer.is_ok:
        yield Step(what, "made")
        return
    if answer.has_no_handler:
        yield Step(what, "left out: made by its first event here")
    elif answer.status != 400 or "already exists" not in answer.reason:
        raise StoreUnreachable(f"{what}: {client.explain(answer, 'manage on the streams')}")
    else:
        yield Step(what, "exists")
        if product.is_at_least(8, 14):
            yield _put(client, f"/_data_stream/{stream}/_lifecycle", {"data_retention": retention})
    answer = client.ask("GET", f"/{stream}/_mapping")
    version = read_json("templates/fields.json")["template"]["mappings"]["_meta"]
    indices = client.part(answer.body, kind=dict).values() if answer.is_ok else []
    # None of them has the present fields, not even the one that is written to.
    if indices and all(client.part(index, "mappings", kind=dict).get("_meta") != version for index in indices):
        _must(client, "POST", f"/{stream}/_rollover")
        yield Step(what, "continues in a new index with the current fields")


def _put(client: Client, path: str, body: Any, params: Mapping[str, str] | None = None) -> Step:
    _must(client, "PUT", path, body, params)
    return Step(path.lstrip("/_"), "set")


def _must(client: Client, method: str, path: str, body: Any = None, params: Mapping[str, str] | None = None) -> None:
    answer = client.ask(method, path, body, params)
    if not answer.is_ok:
        right = next((right for start, right in _RIGHT.items() if path.startswith(start)), "manage on the streams")
        raise StoreUnreachable(f"{method} {path}: {client.explain(answer, right)}")
