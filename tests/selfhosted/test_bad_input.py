"""What is wrong with the other end is told by `dashcam status`: which hop, what was seen, what to do. Nothing is lost.

Each case runs the shipper's route over a real spool until it is in trouble, asks the command, and has what was wrong
set right: then everything arrives.
"""

import contextlib
import re
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import pytest
import trustme

from dashcam.cli import main
from dashcam.destinations.fluentd.backend import Fluentd
from dashcam.destinations.fluentd.connection import Timeouts
from dashcam.destinations.registry import connect
from dashcam.ship.route import Route
from dashcam.ship.state import checkpoint

from ..destinations.fluentd.server import (
    Guarded,
    Orderly,
    Server,
    acknowledges_another_chunk,
    certified,
    drips,
    never_acknowledges,
    resets,
    says_a_flood,
    says_what_is_no_msgpack,
    talks_http,
    talks_tls,
)
from ..processes import until
from ..scripted import scripted
from ..spool.spools import log_line, write_to

EVENTS = 5
BANNER = {"version": {"number": "9.5.3"}}
KEY, USER, API_KEY = "sesame", "cars:hush-hush@", "b3BlbjpzZXNhbWU="
SECRETS = KEY, "hush-hush", API_KEY
AUTHORITY = trustme.CA()
SOON = Timeouts(connect_s=1, handshake_s=0.3, acknowledge_s=0.3, probe_s=0.3)


class Shipper:
    """One route over a spool of a few events, told by `status` as a person sees it."""

    def __init__(self, folder, name, capsys):
        self.name, self._folder, self._capsys = name, folder, capsys
        writer = write_to(folder / "spool")
        for number in range(EVENTS):
            writer.append(log_line(number))
        writer.close()

    def status_in_trouble(self, backend):
        """Ship until it is in trouble; what `dashcam status` says then."""
        stopping = threading.Event()
        route = self._route(backend, stopping)
        thread = threading.Thread(target=route.run)
        thread.start()
        try:
            until(lambda: self._progress().trouble, "trouble")
        finally:
            stopping.set()
            thread.join()
            self._file.close()
        assert main(["status"]) == 1
        return self._capsys.readouterr().out

    def drain(self, backend):
        self._route(backend, threading.Event()).run(is_drain=True)
        self._file.close()
        progress = self._progress()
        return progress.delivered, progress.dead

    def _route(self, backend, stopping):
        self._file = checkpoint.CheckpointFile(self._folder / "positions", self.name, self._progress())
        self._file.rewrite()
        return Route(self.name, backend, self._folder, self._file, stopping)

    def _progress(self):
        return checkpoint.load(self._folder / "positions").get(self.name, checkpoint.Checkpoint())


@pytest.fixture
def make_shipper(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DASHCAM_DIR", str(tmp_path))
    return lambda name: Shipper(tmp_path, name, capsys)


@pytest.fixture
def ca(tmp_path):
    """The file of the authority we trust."""
    AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


def certificate(name="127.0.0.1", authority=AUTHORITY, **options):
    return certified(authority.issue_cert(name, **options))


STRANGE = certificate(authority=trustme.CA()), "unable to get local issuer certificate"
EXPIRED = certificate(not_after=datetime(2020, 1, 1, tzinfo=UTC)), "certificate has expired"
ANOTHERS = certificate("other.example"), "certificate is not valid for '127.0.0.1'"


class Case(NamedTuple):
    """Another end that is not as it should be, and what has to be said of it."""

    answers: Callable[..., Any]
    says: tuple[str, ...]
    tls: ssl.SSLContext | None = None
    key: str = ""
    user: str = ""


def fluentd_with(tls, reason):
    return Case(Orderly(), ("a certificate that is not trusted", reason, "the CA in FLUENTD_CA"), tls)


MENDED = Case(Orderly(), ())
FORWARD = {
    "wrong shared key": Case(
        Guarded(Orderly(), key="open"), ("refused the handshake: shared_key mismatch", "FLUENTD_SHARED_KEY"), key=KEY
    ),
    "wrong password": Case(
        Guarded(Orderly(), users={"cars": "another"}),
        ("refused the handshake: username/password mismatch", "FLUENTD_URL"),
        key=KEY,
        user=USER,
    ),
    "key not proven": Case(Guarded(Orderly(), proves=False), ("cannot prove that it knows", "FLUENTD_URL"), key=KEY),
    "no HELO": Case(Orderly(), ("sent no HELO in 0.3 s", "leave FLUENTD_SHARED_KEY empty"), key=KEY),
    "handshake not expected": Case(Guarded(Orderly()), ("asks for a handshake", "set FLUENTD_SHARED_KEY")),
    "unknown authority": fluentd_with(*STRANGE),
    "expired": fluentd_with(*EXPIRED),
    "another host's": fluentd_with(*ANOTHERS),
    "TLS not expected": Case(talks_tls, ("instead of an acknowledgement", "check that a forward server without TLS")),
    "never acknowledges": Case(never_acknowledges, ("gave no answer in time", "see its log")),
    "acknowledges another chunk": Case(
        acknowledges_another_chunk, ("a chunk that is not in flight", "check that a forward server")
    ),
    "garbage": Case(says_what_is_no_msgpack, ("not msgpack", "check that a forward server")),
    "a flood": Case(says_a_flood, ("not msgpack", "check that a forward server")),
    "HTTP": Case(talks_http, ("instead of an acknowledgement", "check that a forward server")),
    "one byte a second": Case(partial(drips, pause_s=0.5), ("gave no answer in time", "see its log")),
    "resets": Case(resets, ("broke off", "see its log")),
}


@pytest.mark.parametrize("name", FORWARD)
def test_a_forward_server(name, make_shipper, ca, caplog):
    """Its address, what it did, what to do; no key and no password; then all arrives."""
    case, shipper = FORWARD[name], make_shipper("elk")
    with Server(quietly(case.answers), tls=case.tls) as server:
        address = f"forward{'+tls' if case.tls else ''}://127.0.0.1:{server.port}"
        told = shipper.status_in_trouble(forward_backend(address, ca, case))

    assert_told(told, f"trouble since 20.*Z: {re.escape(address)}", case)
    assert not any(secret in told + caplog.text for secret in SECRETS)
    with Server(Orderly()) as server:
        assert shipper.drain(forward_backend(f"forward://127.0.0.1:{server.port}", ca, MENDED)) == (EVENTS, 0)
        assert len(server.handle.records) == EVENTS


def assert_told(told, hop, case):
    assert re.search(hop, told)
    assert all(words in told for words in (f"waiting {EVENTS}", "dead-lettered 0", *case.says)), told


def quietly(handle):
    """A handler that does not mind a client that goes away before it said anything."""

    def quiet(sock):
        with contextlib.suppress(StopIteration):
            handle(sock)

    return quiet


def forward_backend(address, ca, case):
    """The backend of the settings, but less patient than those allow."""
    environment = {"FLUENTD_URL": address.replace("//", f"//{case.user}"), "FLUENTD_SHARED_KEY": case.key}
    backend = connect("elk", environment | ({"FLUENTD_CA": ca} if case.tls else {}))
    return Fluentd(list(backend._idle), SOON)


def refusing(status, kind, reason="so it is"):
    """Elasticsearch refuses each item."""
    item = {"create": {"status": status, "error": {"type": kind, "reason": reason}}}
    return lambda asked: (200, {"items": [item] * asked.body.count(b'"create"')} if asked.path == "/_bulk" else BANNER)


def taking(asked):
    return refusing(201, "")(asked)


def engine_with(tls, reason):
    return Case(taking, ("a certificate that is not trusted", reason, "ELASTICSEARCH_CA"), tls)


ELASTICSEARCH = {
    "wrong key": Case(
        lambda _: (401, {"error": {"type": "security_exception", "reason": "unable to authenticate"}}),
        ("answered 401", "the key in ELASTICSEARCH_API_KEY is wrong, has expired, or was withdrawn"),
    ),
    "a key without the right": Case(
        lambda asked: (403, {"error": {"type": "security_exception", "reason": "unauthorized"}}),
        ("answered 403", "It needs create_doc on logs-dashcam-default and traces-apm.dashcam-default"),
    ),
    "a read-only index": Case(
        refusing(403, "cluster_block_exception", "index [x] blocked by: [FORBIDDEN/8/index write (api)];"),
        ("answered 403, it is blocked", "FORBIDDEN/8/index write", "Lift the block"),
    ),
    "no template": Case(
        refusing(404, "index_not_found_exception", "no such index"),
        ("has no template for logs-dashcam-default", "run `dashcam setup elk`"),
    ),
    "a version too old": Case(
        lambda _: (200, {"version": {"number": "6.8.23"}}),
        ("Elasticsearch 6.8", "too old: Dashcam needs 7.17 or later"),
    ),
    "not Elasticsearch": Case(
        lambda _: (200, {"hello": "world"}), ("neither Elasticsearch nor OpenSearch", "check ELASTICSEARCH_URL")
    ),
    "HTML": Case(
        lambda _: (502, b"<html>"), ("answered 502 with something that is not JSON", "check ELASTICSEARCH_URL")
    ),
    "unknown authority": engine_with(*STRANGE),
    "expired": engine_with(*EXPIRED),
    "another host's": engine_with(*ANOTHERS),
}


@pytest.mark.parametrize("name", ELASTICSEARCH)
def test_an_elasticsearch(name, make_shipper, ca, caplog):
    """Its address, what it answered, what to do; neither the key nor an event; then all arrives."""
    case, shipper = ELASTICSEARCH[name], make_shipper("elasticsearch")
    with scripted(case.answers, case.tls) as (url, _):
        told = shipper.status_in_trouble(engine_backend(url, ca))

    assert_told(told, f"trouble since 20.*Z: .*{re.escape(url)}", case)
    assert not any(secret in told + caplog.text for secret in SECRETS)
    with scripted(taking) as (url, asked):
        assert shipper.drain(engine_backend(url, ca)) == (EVENTS, 0)
        assert sum(request.body.count(b'"create"') for request in asked) == EVENTS


def engine_backend(url, ca):
    environment = {"ELASTICSEARCH_URL": url, "ELASTICSEARCH_API_KEY": API_KEY, "ELASTICSEARCH_CA": ca}
    return connect("elasticsearch", environment)
