"""The handshake: client and server prove a shared key, and the client a user.

Source: section "Handshake Messages" (HELO, PING, PONG). Nothing secret goes over the wire, only SHA-512 of it.
"""

import hmac
from dataclasses import dataclass
from hashlib import sha512
from typing import Any

from dashcam.destinations.fluentd.peer import Peer
from dashcam.errors import BackendUnavailable


class Refused(BackendUnavailable):
    """One side does not accept the other's proof."""


@dataclass(frozen=True, slots=True)
class Helo:
    """The server's first message: salts for the key and the password, and whether it keeps connections open."""

    nonce: bytes
    auth_salt: bytes
    keeps_alive: bool


def read_helo(peer: Peer, answer: Any) -> Helo:
    """The HELO of a server; raises `BackendUnavailable` when it is something else."""
    match answer:
        case ["HELO", {"nonce": bytes() | str() as nonce, **options}]:
            auth_salt = options.get("auth")
            salt = _bytes(auth_salt) if isinstance(auth_salt, bytes | str) else b""
            return Helo(_bytes(nonce), salt, options.get("keepalive") is not False)
    raise BackendUnavailable(f"{peer} began with {answer!r:.80} instead of HELO: {peer.doubt}")


def make_ping(peer: Peer, helo: Helo, name: str, salt: str) -> list[str]:
    """The client's proof; `name` is the client's, and must differ from the server's."""
    proof = _digest(salt, name, helo.nonce, peer.shared_key)
    # fluentd sends a salt for the password whether or not it wants a user.
    password = _digest(helo.auth_salt, peer.user, peer.password) if helo.auth_salt else ""
    return ["PING", name, salt, proof, peer.user, password]


def check_pong(peer: Peer, helo: Helo, salt: str, answer: Any) -> None:
    """Accept the server's proof; raises `Refused` when it refused ours or cannot give its own."""
    match answer:
        case ["PONG", True, _, str() as name, str() as proof]:
            if not hmac.compare_digest(_bytes(proof), _bytes(_digest(salt, name, helo.nonce, peer.shared_key))):
                raise Refused(f"{peer} cannot prove that it knows the shared key: is it ours? Check FLUENTD_URL.")
        case ["PONG", False, reason, *_]:
            raise Refused(
                f"{peer} refused the handshake: {reason!s:.200}. FLUENTD_SHARED_KEY, and the user and password in "
                "FLUENTD_URL if any, must be those of its <security>."
            )
        case _:
            raise BackendUnavailable(f"{peer} answered PING with {answer!r:.80} instead of PONG: {peer.doubt}")


def _digest(*parts: str | bytes) -> str:
    return sha512(b"".join(map(_bytes, parts))).hexdigest()


def _bytes(part: str | bytes) -> bytes:
    return part.encode(errors="surrogateescape") if isinstance(part, str) else part
