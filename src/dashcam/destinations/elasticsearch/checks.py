"""The hops to fluentd's forward servers, and to Elasticsearch or OpenSearch."""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

from dashcam.destinations.canary import await_in, hatch
from dashcam.destinations.checks import Broken, Hop
from dashcam.destinations.elasticsearch import backend as elasticsearch
from dashcam.destinations.elasticsearch import store as finding
from dashcam.destinations.elasticsearch.client import Answer, Connection, logs_stream, spans_stream
from dashcam.destinations.fluentd import backend as fluentd
from dashcam.destinations.fluentd.connection import Patience, dial
from dashcam.destinations.fluentd.peer import Peer
from dashcam.destinations.network import agree, hops_to, reach, resolve, secure
from dashcam.errors import BackendUnavailable, BatchRejected
from dashcam.event import EncodedEvent
from dashcam.settings import Settings
from dashcam.ship.batch import Backend

SETUP = "Run dashcam setup elk."
NOT_FOUND = "Look at fluentd's log and its dead letters, and at dashcam setup elk: the last step is between those two."


def elk_hops(settings: Settings, wait_s: float) -> Iterator[Hop]:
    """Through fluentd."""
    yield Hop("sending", "configuration", lambda: _configured(fluentd.connect(settings), settings.fluentd_urls))
    tls = ssl.create_default_context(cafile=settings.fluentd_ca)
    for url in settings.fluentd_urls:
        yield from _forward_hops(Peer.from_url(url, settings.fluentd_shared_key, tls), tls)
    canary, sent_s = hatch(), time.monotonic()
    yield Hop("sending", "limits", partial(_ship, partial(fluentd.connect, settings), canary))
    yield from _engine_hops("finding", settings)
    yield from _canary_hops(settings, canary, sent_s, wait_s)


def elasticsearch_hops(settings: Settings, wait_s: float) -> Iterator[Hop]:
    """Straight into the engine, which is also where events are found."""
    yield from _engine_hops("sending", settings)
    canary, sent_s = hatch(), time.monotonic()
    yield Hop("sending", "canary", partial(_ship, partial(elasticsearch.connect, settings), canary))
    yield from _canary_hops(settings, canary, sent_s, wait_s)


def _configured(backend: Backend, urls: tuple[str, ...]) -> str:
    backend.close()
    return ", ".join(url.rpartition("@")[2] for url in urls)


def _forward_hops(peer: Peer, tls: ssl.SSLContext) -> Iterator[Hop]:
    yield Hop("sending", "name", partial(resolve, peer.host, peer.port, "FLUENTD_URL"))
    yield Hop("sending", "connection", partial(reach, peer.host, peer.port, "FLUENTD_URL"))
    if peer.tls:
        yield Hop("sending", "TLS", partial(secure, peer.host, peer.port, "FLUENTD_URL", tls))
    if peer.wants_handshake:
        yield Hop("sending", "credentials", partial(_greet, peer))


def _greet(peer: Peer) -> str:
    try:
        dial(peer, Patience()).close()
    except BackendUnavailable as fault:
        raise Broken(
            str(fault), "FLUENTD_SHARED_KEY and the user in FLUENTD_URL must be those of its <security>."
        ) from None
    return f"{peer} accepts the key"


def _ship(connect: Callable[[], Backend], canary: EncodedEvent) -> str:
    with closing(connect()) as backend:
        try:
            rest = backend.ship([canary])
        except (BatchRejected, BackendUnavailable) as fault:
            raise Broken(str(fault), "Events wait meanwhile.") from None
    if rest:
        raise Broken("; ".join(rest.rejected.values()) or "it asks to come again", SETUP)
    return "an event is taken"


def _engine_hops(way: str, settings: Settings) -> Iterator[Hop]:
    url = settings.elasticsearch_url
    yield Hop(way, "configuration", lambda: Connection(settings).address)
    yield from hops_to(way, url, "ELASTICSEARCH_URL", settings.elasticsearch_ca)
    connection = Connection(settings)
    streams = [logs_stream(settings.namespace), spans_stream(settings.namespace)]
    try:
        yield Hop(way, "credentials", partial(_admitted, connection))
        yield Hop(way, "version", lambda: str(connection.product() or "may not be asked for"))
        yield Hop(way, "template", partial(_has_streams, connection, streams))
        yield Hop(way, "limits", partial(_is_writable, connection, streams))
        yield Hop(way, "clock", partial(_tells_time, connection))
    finally:
        connection.close()


def _admitted(connection: Connection) -> str:
    answer = connection.ask("GET", "/")
    if answer.status == 401:
        raise Broken(connection.explain(answer), "Set ELASTICSEARCH_API_KEY, or user:password@ in ELASTICSEARCH_URL.")
    return "accepted"


def _has_streams(connection: Connection, streams: list[str]) -> str:
    answer = connection.ask("GET", f"/_data_stream/{','.join(streams)}")
    if answer.status == 404:
        raise Broken(f"{' or '.join(streams)} is missing", SETUP)
    templates = {stream["template"] for stream in answer.body["data_streams"]} if answer.is_ok else set()
    if strange := {template for template in templates if not template.startswith("dashcam-")}:
        raise Broken(f"{' and '.join(streams)} were made by the template {', '.join(strange)}", SETUP)
    return f"{' and '.join(streams)} are there" if answer.is_ok else "may not be asked for"


def _is_writable(connection: Connection, streams: list[str]) -> str:
    params = {"flat_settings": "true", "filter_path": "*.settings.index.blocks*"}
    answer = connection.ask("GET", f"/{','.join(streams)}/_settings", params=params)
    blocked = _blocks(answer)
    if blocked:
        raise Broken(
            f"writing is blocked: {', '.join(sorted(blocked))}", "Free disk space on its nodes, then lift the block."
        )
    return "writing is not blocked" if answer.is_ok else "may not be asked for"


def _blocks(answer: Answer) -> set[str]:
    indexes = answer.body.values() if answer.is_ok else ()
    settings = [name for index in indexes for name, value in index["settings"].items() if value == "true"]
    return {name for name in settings if name.endswith((".read_only", ".read_only_allow_delete", ".write"))}


def _tells_time(connection: Connection) -> str:
    answer = connection.ask("GET", "/_cat/health", params={"format": "json", "h": "epoch"})
    return agree(float(answer.body[0]["epoch"]), "the engine") if answer.is_ok else "may not be asked for"


def _canary_hops(settings: Settings, canary: EncodedEvent, sent_s: float, wait_s: float) -> Iterator[Hop]:
    with closing(finding.open_store(settings)) as store:
        yield Hop("finding", "canary", partial(await_in, store, canary, sent_s, wait_s, NOT_FOUND))
