"""The backend `fluentd`: events to one of several forward servers, each batch acknowledged before it counts.

A batch holds log lines and spans, which fluentd routes to different data streams, so it becomes up to two messages,
tagged `dashcam.log` and `dashcam.span`. The acknowledgement says that fluentd's buffer holds the events, not yet that
Elasticsearch does; after a lost one they are sent again, and the `event.id` in each keeps them single.
"""

import ssl
import time
from collections.abc import Callable, Iterator, Sequence

from dashcam.destinations.fluentd.connection import Connection, Reset, Timeouts, dial
from dashcam.destinations.fluentd.message import Message, pack_batch, pack_message
from dashcam.destinations.fluentd.options import Options
from dashcam.destinations.fluentd.peer import Peer
from dashcam.errors import BackendUnavailable, BatchRejected, SettingsError
from dashcam.ship.batch import Batch, Limits, PartialResult

LOG_TAG = "dashcam.log"
SPAN_TAG = "dashcam.span"
SHUN_S = 30.0  # how long a server that failed is asked last
RESETS = 5  # of one batch, while others are acknowledged, before it is taken to be at fault


def connect(options: Options) -> "Fluentd":
    """The backend of FLUENTD_URL; nothing is dialled yet. Raises `SettingsError` for a CA that would not be used."""
    urls = options.fluentd_urls
    tls = None
    if any(url.startswith("forward+tls:") for url in urls):
        try:
            tls = ssl.create_default_context(cafile=options.fluentd_ca)
        except OSError as fault:
            raise SettingsError(f"FLUENTD_CA='{options.fluentd_ca}' cannot be used: {fault}.") from None
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.fluentd_ca and not tls:
        raise SettingsError("FLUENTD_CA is set, but FLUENTD_URL has no forward+tls:// that would use it.")
    return Fluentd([Peer.from_url(url, options.shared_key, tls) for url in urls])


class Fluentd:
    """Connections to the servers; a batch goes to the first one that answers. Thread-safe."""

    # Just one longest line; larger writes were seen to leave torn ones in the buffer of a killed fluentd.
    limits = Limits(events=1000, bytes=256 * 1024 + 1, in_flight=4)

    def __init__(
        self, peers: Sequence[Peer], timeouts: Timeouts | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._idle: dict[Peer, list[Connection]] = {peer: [] for peer in peers}
        self._failed_at_s: dict[Peer, float] = {}
        self._compress = not all(peer.is_near for peer in peers)
        self._timeouts = timeouts or Timeouts()
        self._clock = clock
        self._acknowledged = 0
        self._resets: dict[tuple[str, int], tuple[int, int]] = {}
        self._doubtful = False  # whether a server was seen to drop a message without a word

    def ship(self, batch: Batch) -> PartialResult | None:
        """Send a batch; an event that cannot be packed is refused by its place."""
        messages, refused = pack(batch, compress=self._compress)
        if messages:
            key = (batch[0].id, len(batch))
            try:
                self._deliver(messages)
            except Reset as fault:
                self._blame(key, fault)
            self._acknowledged += 1
            self._resets.pop(key, None)
        return PartialResult(rejected=refused) if refused else None

    def close(self) -> None:
        """Close the connections, which must not be in use."""
        for connections in self._idle.values():
            while connections:
                connections.pop().close()

    def _deliver(self, messages: Sequence[Message]) -> None:
        faults = []
        shunned_since_s = self._clock() - SHUN_S
        by_health = sorted(self._idle, key=lambda peer: self._failed_at_s.get(peer, shunned_since_s) > shunned_since_s)
        for peer in by_health:
            try:
                self._deliver_to(peer, messages)
            except BackendUnavailable as fault:
                self._failed_at_s[peer] = self._clock()
                faults.append(fault)
            else:
                self._failed_at_s.pop(peer, None)
                return
        kind = Reset if all(isinstance(fault, Reset) for fault in faults) else BackendUnavailable
        raise kind(" ".join(map(str, faults)))

    def _deliver_to(self, peer: Peer, messages: Sequence[Message]) -> None:
        for connection in self._idle_connections(peer):
            try:
                return self._deliver_over(connection, messages)
            except Reset:
                continue  # it may have ended while it was idle: no fault of the server, nor of the messages
        return self._deliver_over(dial(peer, self._timeouts), messages)

    def _idle_connections(self, peer: Peer) -> Iterator[Connection]:
        while True:
            try:
                connection = self._idle[peer].pop()
            except IndexError:
                return
            if connection.is_usable():
                yield connection
            else:
                connection.close()

    def _deliver_over(self, connection: Connection, messages: Sequence[Message]) -> None:
        try:
            connection.deliver(messages, doubtful=self._doubtful)
        except BaseException as fault:
            connection.close()  # an answer that comes after all must not be taken for another message's
            self._doubtful = self._doubtful or isinstance(fault, BatchRejected)
            raise
        if connection.keeps_alive:
            self._idle[connection.peer].append(connection)
        else:
            connection.close()

    def _blame(self, key: tuple[str, int], fault: Reset) -> None:
        # A server that is full or restarting resets every batch; one that resets only this one cannot read it.
        resets, acknowledged = self._resets.get(key, (0, self._acknowledged))
        self._resets[key] = (resets + 1, acknowledged)
        if resets + 1 < RESETS or self._acknowledged == acknowledged:
            raise fault
        del self._resets[key]
        raise BatchRejected(f"{fault} This happened {RESETS} times, while it acknowledged other batches.")


def pack(batch: Batch, *, compress: bool) -> tuple[list[Message], dict[int, str]]:
    """The batch as one message of log lines and one of spans, and the events that cannot be sent, by their place."""
    logs, spans, refused = pack_batch(batch)
    tagged = [(tag, entries) for tag, entries in ((LOG_TAG, logs), (SPAN_TAG, spans)) if entries.count]
    return [pack_message(tag, entries, compress=compress) for tag, entries in tagged], refused
