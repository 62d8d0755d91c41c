"""The checks of fluentd's forward servers, and of the engine behind them."""

import ssl
import time
from collections.abc import Iterator
from functools import partial

from dashcam.destinations.canary import make_canary, send_canary
from dashcam.destinations.checks import Broken, Check
from dashcam.destinations.elasticsearch.checks import SETUP, canary_checks, engine_checks
from dashcam.destinations.fluentd import backend
from dashcam.destinations.fluentd.connection import Timeouts, dial
from dashcam.destinations.fluentd.options import Options
from dashcam.destinations.fluentd.peer import Peer
from dashcam.destinations.network import reach, resolve, secure
from dashcam.errors import BackendUnavailable


def checks(options: Options, wait_s: float) -> Iterator[Check]:
    """Yield the checks of the way through fluentd."""
    yield Check("sending", "configuration", partial(_configured, options))
    tls = ssl.create_default_context(cafile=options.fluentd_ca)
    for url in options.fluentd_urls:
        yield from _forward_checks(Peer.from_url(url, options.shared_key, tls), tls)
    canary, sent_s = make_canary(), time.monotonic()
    yield Check("sending", "limits", partial(send_canary, partial(backend.connect, options), canary, SETUP))
    yield from engine_checks("finding", options)
    yield from canary_checks(options, canary, sent_s, wait_s)


def _configured(options: Options) -> str:
    backend.connect(options).close()
    return ", ".join(url.rpartition("@")[2] for url in options.fluentd_urls)


def _forward_checks(peer: Peer, tls: ssl.SSLContext) -> Iterator[Check]:
    yield Check("sending", "name", partial(resolve, peer.host, peer.port, "FLUENTD_URL"))
    yield Check("sending", "connection", partial(reach, peer.host, peer.port, "FLUENTD_URL"))
    if peer.tls:
        yield Check("sending", "TLS", partial(secure, peer.host, peer.port, "FLUENTD_URL", tls))
    if peer.wants_handshake:
        yield Check("sending", "credentials", partial(_greet, peer))


def _greet(peer: Peer) -> str:
    try:
        dial(peer, Timeouts()).close()
    except BackendUnavailable as fault:
        raise Broken(
            str(fault), "FLUENTD_SHARED_KEY and the user in FLUENTD_URL must be those of its <security>."
        ) from None
    return f"{peer} accepts the key"
