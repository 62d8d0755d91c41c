"""A forward server, as the configuration names it."""

import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from dashcam.settings import Secret

PORT = 24224


@dataclass(frozen=True, slots=True)
class Peer:
    """One forward server; `str` gives its URL without user and password."""

    host: str
    port: int = PORT
    user: str = ""
    password: Secret = Secret()
    shared_key: Secret = Secret()
    tls: ssl.SSLContext | None = None

    @classmethod
    def from_url(cls, url: str, shared_key: Secret, tls: ssl.SSLContext | None) -> "Peer":
        """The server of `forward://user:password@host:port`; `tls` is taken for `forward+tls://` alone."""
        parts = urlsplit(url)
        return cls(
            host=parts.hostname or "",
            port=parts.port or PORT,
            user=unquote(parts.username or ""),
            password=Secret(unquote(parts.password or "")),
            shared_key=shared_key,
            tls=tls if parts.scheme == "forward+tls" else None,
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"forward{'+tls' if self.tls else ''}://{host}:{self.port}"

    @property
    def is_near(self) -> bool:
        """True if the server is on this machine, where compressing costs more than it saves."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def wants_handshake(self) -> bool:
        """True if the server greets first: a client cannot see it, so a key or a user in the configuration says it."""
        return bool(self.shared_key or self.user)

    @property
    def doubt(self) -> str:
        """Advice for a server that speaks another protocol."""
        return f"check that a forward server {'with' if self.tls else 'without'} TLS listens at {self}."
