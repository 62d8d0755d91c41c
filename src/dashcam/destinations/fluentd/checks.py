"""The checks of fluentd's forward servers, and of the engine behind them."""

import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial

from dashcam.destinations.canary import make_canary, send_canary
from dashcam.destinations.checks import Broken, Check
from dashcam.destinations.elasticsearch.checks import SETUP, canary_checks, engine_checks
from dashcam.destinations.fluentd import backend
from dashcam.destinations.fluentd.connection import Silent, Timeouts, dial
from dashcam.destinations.fluentd.handshake import Refused
from dashcam.destinations.fluentd.options import Options
from dashcam.destinations.fluentd.peer import Peer
from dashcam.destinations.network import reach, resolve, secure
from dashcam.errors import BackendUnavailable
from dashcam.settings import Secret

NOT_FOUND = "Look at fluentd's log and its dead letters, and at dashcam setup elk: the last step is between those two."


def checks(options: Options, wait_s: float) -> Iterator[Check]:
    """Yield the checks of the way through fluentd."""
    yield Check("sending", "configuration", partial(_configured, options))
    tls = ssl.create_default_context(cafile=options.fluentd_ca)
    for url in options.fluentd_urls:
        peer = Peer.from_url(url, options.shared_key, tls)
        yield Check("sending", "name", partial(resolve, peer.host, peer.port, "FLUENTD_URL"))
        yield Check("sending", "connection", partial(reach, peer.host, peer.port, "FLUENTD_URL"))
        if peer.tls:
            yield Check("sending", "TLS", partial(secure, peer.host, peer.port, "FLUENTD_URL", tls))
        if peer.wants_handshake:
            yield Check("sending", "credentials", partial(_greet, peer))
    canary, sent_s = make_canary(), time.monotonic()
    yield Check("sending", "limits", partial(send_canary, partial(backend.connect, options), canary, SETUP))
    yield from engine_checks("finding", options)
    yield from canary_checks(options, canary, sent_s, wait_s, NOT_FOUND)


def _configured(options: Options) -> str:
    backend.connect(options).close()
    return ", ".join(url.rpartition("@")[2] for url in options.fluentd_urls)


def _greet(peer: Peer, timeouts: Timeouts = Timeouts()) -> str:  # noqa: B008 — it cannot be changed
    try:
        dial(peer, timeouts).close()
    except Silent:
        raise _explain_silence(peer, timeouts) from None
    except Refused as fault:
        raise Broken(
            str(fault), "FLUENTD_SHARED_KEY and the user in FLUENTD_URL must be those of its <security>."
        ) from None
    except BackendUnavailable as fault:
        raise Broken(str(fault), "Look at its log. Events wait meanwhile.") from None
    return f"{peer} accepts the key"


def _explain_silence(peer: Peer, timeouts: Timeouts) -> Broken:
    """Find out why a server sent no greeting: an empty message is acknowledged by one that asks for no handshake."""
    plain = replace(peer, shared_key=Secret(), user="", password=Secret())
    try:
        with closing(dial(plain, timeouts)) as connection:
            connection.ask_for_answer("dashcam.log")
    except BackendUnavailable:
        return Broken(
            f"{peer} accepts connections, but does not answer",
            "It hangs, or its buffer is full: look at its log, and whether Elasticsearch accepts what it sends. Events "
            "wait meanwhile.",
        )
    return Broken(
        f"{peer} sends no greeting and accepts messages without a key: it has no <security>",
        "Leave FLUENTD_SHARED_KEY empty and the user out of FLUENTD_URL, or give it a <security>.",
    )
