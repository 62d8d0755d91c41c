"""Finds secrets in what is about to be recorded, and puts `***` in their place."""

import re
from typing import Any

from dashcam.event import Event

MASK = "***"

# In letters of ASCII alone, so that a text's lower case shows what the patterns could find.
_NAMES = r"passw(?:or)?d|passwd|passphrase|pwd|secret|token|api[-_]?key|authorization|cookie|credential|private[-_]?key"
_SECRET_NAME = re.compile(rf"(?ia){_NAMES}")

# Each pattern keeps its first group and masks what follows it.
_PATTERNS = (
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).+?(?=-----END|\Z)", re.DOTALL),
    re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s/@]*[^\s/@:]@(?=\S)"),  # userinfo of a URL or DSN
    re.compile(r"(\b(?:[Bb]earer|BEARER|[Bb]asic|BASIC)[ \t\r\n]+)[A-Za-z0-9._~+/=-]{6,}"),
    re.compile(r"()\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?"),  # JSON web token
    re.compile(rf"((?ia:{_NAMES})[\w-]*[\"']?\s*[=:]\s*[\"']?)(?!\*\*\*|(?ia:bearer|basic)\s)[^\s\"'&,;]+"),
)
# What a text that a pattern matches has in it, whatever its case: ten times as fast to look for.
_SUSPECT = re.compile(rf"-----begin|://|bearer|basic|eyj|{_NAMES}")
_KEEPERS = ("", "@", "", "", "")


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret, as `db_password`, `X-Api-Key` or `Cookie` do."""
    return _SECRET_NAME.search(name) is not None


def mask_text(text: str) -> str:
    """The text with passwords in addresses, `key=value` secrets, bearer tokens, JWTs and private keys masked."""
    if not _SUSPECT.search(text.lower()):
        return text
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


def has_secret(text: str) -> bool:
    """Whether masking changes a text."""
    return mask_text(text) != text


def may_hold_secret(text: str, colons: int) -> bool:
    """Whether encoded JSON with this many colons of its own could hold a value that masking changes.

    Costs a fraction of the search itself: each pattern needs a colon in a value, or one of these. Single letters go
    before the words they are rare letters of, and a value's line breaks are backslashes in JSON.
    """
    return (
        "=" in text
        or "@" in text
        or "\\" in text
        or text.count(":") != colons
        or "earer " in text
        or "asic " in text
        or ("J" in text and "eyJ" in text)
        or ("K" in text and "PRIVATE KEY" in text)
        or ("B" in text and ("BEARER " in text or "BASIC " in text))
    )
