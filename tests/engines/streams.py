"""Dashcam's data streams in a real engine: set up, looked into, waited for."""

import uuid

import requests

from dashcam.destinations.elasticsearch import streams
from dashcam.destinations.elasticsearch.client import Client, logs_stream, spans_stream
from dashcam.destinations.elasticsearch.options import Options
from dashcam.settings import load


def settings_for(url: str, namespace: str) -> Options:
    """The settings of someone who uses this engine and this namespace."""
    return load(Options, {"ELASTICSEARCH_URL": url, "DASHCAM_NAMESPACE": namespace})


def new_namespace() -> str:
    """A namespace nobody else uses: streams of one engine stay apart by it."""
    return f"t{uuid.uuid4().hex[:12]}"


def set_up(settings: Options) -> None:
    """What `dashcam setup elk` does."""
    connection = Client(settings)
    list(streams.set_up(connection, settings.namespace, settings.retention_days))
    connection.close()


def documents(settings: Options) -> list[dict]:
    """Every document of both streams as a reader finds them, at most 10,000, in no order."""
    names = f"{logs_stream(settings.namespace)},{spans_stream(settings.namespace)}"
    url, optional = settings.url, {"ignore_unavailable": "true"}
    requests.post(f"{url}/{names}/_refresh", params=optional, timeout=30).raise_for_status()
    found = requests.post(f"{url}/{names}/_search", params=optional, json={"size": 10_000}, timeout=30)
    found.raise_for_status()
    return found.json()["hits"]["hits"]
