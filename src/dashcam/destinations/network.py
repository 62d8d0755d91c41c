"""The hops of any address: its name, a connection, TLS, and whether both clocks agree."""

import os
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from dashcam.destinations.checks import Broken, Check
from dashcam.destinations.exchange import new_session, parse_date

TIMEOUT_S = 10
MAX_DRIFT_S = 60  # spans of two services still lie in each other, and searches for the last minutes find them


def checks_of(way: str, url: str, variable: str, authority: Path | None = None) -> Iterator[Check]:
    """Name, connection and TLS of an HTTP address in a setting; of a proxy, where the environment names one."""
    proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    first, named = (proxy, "the proxy of the environment") if proxy else (url, variable)
    host, port = endpoint(first if "://" in first else f"http://{first}")  # a proxy may be named without a scheme
    yield Check(way, "name", partial(resolve, host, port, named))
    yield Check(way, "connection", partial(reach, host, port, named))
    if proxy is None and urlsplit(url).scheme == "https":
        named_file = authority or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        file = Path(named_file or requests.utils.DEFAULT_CA_BUNDLE_PATH)
        yield Check(way, "TLS", lambda: secure(host, port, variable, _trusting(file)))


def endpoint(url: str) -> tuple[str, int]:
    """Host and port of an address."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80)


def resolve(host: str, port: int, named: str) -> str:
    """Resolve a host name."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as fault:
        raise Broken(
            f"cannot resolve {host} ({fault.strerror or fault})",
            f"Check {named}, and this machine's DNS.",
        ) from None
    return f"{host} is {', '.join(dict.fromkeys(str(address[0]) for *_, address in found))}"


def reach(host: str, port: int, named: str) -> str:
    """Connect to a host and port."""
    try:
        socket.create_connection((host, port), TIMEOUT_S).close()
    except OSError as fault:
        raise Broken(
            f"nothing answers at {host}:{port} ({fault.strerror or fault})",
            f"Check {named}, that the server runs, and that no firewall or proxy blocks the connection.",
        ) from None
    return f"{host}:{port} answers"


def _trusting(file: Path) -> ssl.SSLContext:
    """Return a context that trusts the certificate authorities in a file or a folder."""
    try:
        return ssl.create_default_context(capath=file) if file.is_dir() else ssl.create_default_context(cafile=file)
    except OSError as fault:
        raise Broken(
            f"{file} has no CA certificate ({fault.strerror or fault})",
            "Set ELASTICSEARCH_CA or REQUESTS_CA_BUNDLE to a PEM file.",
        ) from None


def secure(host: str, port: int, named: str, context: ssl.SSLContext) -> str:
    """Check that a host speaks TLS with a certificate that is trusted for its name."""
    try:
        with (
            socket.create_connection((host, port), TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            ends_s = ssl.cert_time_to_seconds(str((wrapped.getpeercert() or {})["notAfter"]))
            return f"{wrapped.version()}, certificate valid until {datetime.fromtimestamp(ends_s, UTC):%Y-%m-%d}"
    except ssl.SSLCertVerificationError as fault:
        raise Broken(
            f"the certificate of {host}:{port} is not trusted: {fault.verify_message}",
            f"It must be valid today, name the host of {named}, and be signed by a CA that this machine trusts.",
        ) from None
    except OSError as fault:
        raise Broken(f"{host}:{port} does not speak TLS ({fault.strerror or fault})", f"Check {named}.") from None


def agree(theirs_s: float, whose: str) -> str:
    """Check that this machine's clock agrees with another host's, in seconds since the epoch."""
    ahead_s = time.time() - theirs_s
    if abs(ahead_s) > MAX_DRIFT_S:
        raise Broken(
            f"this machine's clock is {abs(ahead_s):,.0f} s {'ahead of' if ahead_s > 0 else 'behind'} {whose}'s",
            "Set the clocks by NTP: events are found by their time.",
        )
    return f"agrees with {whose}'s to {abs(ahead_s):.0f} s"


def agree_with_date(url: str, timeout_s: float = TIMEOUT_S) -> str:
    """Check that this machine's clock agrees with the `Date` of an HTTP answer (RFC 9110, section 6.6.1)."""
    host = endpoint(url)[0]
    try:
        # Streamed: the date is in the head, and a body may never end.
        with (
            new_session() as session,
            session.get(url, timeout=timeout_s, allow_redirects=False, stream=True) as answer,
        ):
            moment_s = parse_date(answer.headers.get("Date", ""))
    except (requests.RequestException, HTTPError, OSError) as fault:
        raise Broken(f"{host} did not answer a request ({type(fault).__name__})", "Try again.") from None
    return f"{host} sends no date" if moment_s is None else agree(moment_s, host)
