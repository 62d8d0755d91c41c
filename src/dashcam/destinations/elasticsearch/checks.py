"""The checks of Elasticsearch or OpenSearch."""

import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial

from dashcam.destinations.canary import make_canary, send_canary, wait_for
from dashcam.destinations.checks import Broken, Check
from dashcam.destinations.elasticsearch import backend, kibana
from dashcam.destinations.elasticsearch.client import Client, Response, logs_stream, spans_stream
from dashcam.destinations.elasticsearch.options import Options
from dashcam.destinations.elasticsearch.store import open_store
from dashcam.destinations.network import agree, checks_of
from dashcam.event import EncodedEvent

SETUP = "Run dashcam setup elk."
NOT_ALLOWED = "the key has no right to ask"
NOT_FOUND = "Elasticsearch accepted it: try a longer --wait, or renew templates and rights by dashcam setup elk."


def checks(options: Options, wait_s: float) -> Iterator[Check]:
    """Yield the checks of the way straight into the engine, which is also where events are found."""
    yield from engine_checks("sending", options)
    canary, sent_s = make_canary(), time.monotonic()
    yield Check("sending", "canary", partial(send_canary, partial(backend.connect, options), canary, SETUP))
    yield from canary_checks(options, canary, sent_s, wait_s, NOT_FOUND)


def engine_checks(way: str, options: Options) -> Iterator[Check]:
    """Yield the checks of the engine alone."""
    url = options.url
    yield Check(way, "configuration", lambda: Client(options).address)
    yield from checks_of(way, url, "ELASTICSEARCH_URL", options.ca)
    client = Client(options)
    streams = [logs_stream(options.namespace), spans_stream(options.namespace)]
    try:
        yield Check(way, "credentials", partial(_admitted, client))
        yield Check(way, "version", lambda: str(client.product() or NOT_ALLOWED))
        yield Check(way, "template", partial(_has_streams, client, streams))
        yield Check(way, "limits", partial(_is_writable, client, streams))
        yield Check(way, "clock", partial(_tells_time, client))
    finally:
        client.close()


def _admitted(client: Client) -> str:
    answer = client.ask("GET", "/")
    if answer.status == 401:
        raise Broken(client.explain(answer), "Set ELASTICSEARCH_API_KEY, or user:password@ in ELASTICSEARCH_URL.")
    return "accepted"


def _has_streams(client: Client, streams: list[str]) -> str:
    answer = client.ask("GET", f"/_data_stream/{','.join(streams)}")
    if answer.status == 404:
        raise Broken(f"{' or '.join(streams)} is missing", SETUP)
    if not answer.is_ok:
        return _unsaid(client, answer)
    found = client.part(answer.body, "data_streams", kind=list)
    templates = {client.part(stream, "template", kind=str) for stream in found}
    if strange := {template for template in templates if not template.startswith("dashcam-")}:
        raise Broken(f"{' and '.join(streams)} were created by the template {', '.join(strange)}", SETUP)
    return f"{' and '.join(streams)} exist"


def _is_writable(client: Client, streams: list[str]) -> str:
    params = {"flat_settings": "true", "filter_path": "*.settings.index.blocks*"}
    answer = client.ask("GET", f"/{','.join(streams)}/_settings", params=params)
    if not answer.is_ok:
        return _unsaid(client, answer)
    indexes = [client.part(index, "settings", kind=dict) for index in client.part(answer.body, kind=dict).values()]
    settings = [name for index in indexes for name, value in index.items() if value == "true"]
    blocked = {name for name in settings if name.endswith((".read_only", ".read_only_allow_delete", ".write"))}
    if blocked:
        raise Broken(
            f"writing is blocked: {', '.join(sorted(blocked))}", "Free disk space on its nodes, then lift the block."
        )
    return "writing is not blocked"


def _tells_time(client: Client) -> str:
    answer = client.ask("GET", "/_cat/health", params={"format": "json", "h": "epoch"})
    match answer.body:
        case [{"epoch": str() as epoch}, *_] if answer.is_ok and epoch.isdecimal():
            return agree(int(epoch), "the engine")
    return _unsaid(client, answer) if not answer.is_ok else "the engine sends no date"


def _unsaid(client: Client, answer: Response) -> str:
    return NOT_ALLOWED if answer.status == 403 else f"cannot be asked: {client.explain(answer)}"


def canary_checks(options: Options, canary: EncodedEvent, sent_s: float, wait_s: float, fix: str) -> Iterator[Check]:
    """Yield the check that finds a canary again, or says what to do, and that of Kibana, if its address is known."""
    with closing(open_store(options)) as store:
        yield Check("finding", "canary", partial(wait_for, store, canary, sent_s, wait_s, fix))
    if options.kibana_url:
        with closing(Client(options, "KIBANA_URL")) as client:
            yield Check("finding", "Kibana", partial(kibana.check_log_sources, client, options.namespace))
