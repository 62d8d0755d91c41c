"""Finds secrets in what is about to be recorded, and puts `***` in their place."""

import re
from typing import Any

from dashcam.event import Event

MASK = "***"

_NAMES = r"passw(?:or)?d|passwd|passphrase|pwd|secret|token|api[-_]?key|authorization|cookie|credential|private[-_]?key"
_SECRET_NAME = re.compile(rf"(?i){_NAMES}")

# Each pattern keeps its first group and masks what follows it.
_PATTERNS = (
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).+?(?=-----END|\Z)", re.DOTALL),
    re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s/@]*[^\s/@:]@(?=\S)"),  # userinfo of a URL or DSN
    re.compile(r"((?i:\bbearer|\bbasic)\s+)[A-Za-z0-9._~+/=-]{6,}"),
    re.compile(r"()\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?"),  # JSON web token
    re.compile(rf"(?i)((?:{_NAMES})[\w-]*[\"']?\s*[=:]\s*[\"']?)(?!\*\*\*|bearer\s|basic\s)[^\s\"'&,;]+"),
)
_KEEPERS = ("", "@", "", "", "")


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret, as `db_password`, `X-Api-Key` or `Cookie` do."""
    return _SECRET_NAME.search(name) is not None


def mask_text(text: str) -> str:
    """The text with passwords in addresses, `key=value` secrets, bearer tokens, JWTs and private keys masked."""
    for pattern, keeper in zip(_PATTERNS, _KEEPERS, strict=True):
        text = pattern.sub(rf"\g<1>{MASK}{keeper}", text)
    return text


def mask_event(event: Event) -> Event:
    """The event with every secret masked, as when it is recorded: for what is handed on to others."""
    return Event(_masked(event.fields))


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: MASK if is_secret_name(name) else _masked(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_masked(one) for one in value]
    return mask_text(value) if isinstance(value, str) else value


def may_hold_secret(text: str, colons: int) -> bool:
    """Whether encoded JSON with this many colons of its own could hold anything that masking changes.

    Costs a fraction of the search itself: each pattern needs one of these characters, or a colon in a value.
    """
    return "=" in text or "@" in text or "\\" in text or text.count(":") != colons or "eyJ" in text or "earer" in text


def has_secret(text: str) -> bool:
    """Whether masking changes a text."""
    return any(pattern.search(text) for pattern in _PATTERNS)
