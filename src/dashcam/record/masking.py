"""Finds secrets in what is about to be recorded, and puts `***` in their place."""

import re
from typing import Any
from urllib.parse import unquote

from dashcam.event import Event

MASK = "***"

# In letters of ASCII alone, so that a text's lower case shows what the patterns could find.
_NAMES = r"passw(?:or)?d|passphrase|pwd|secret(?!ar)|token(?!i[sz])|api[-_]?key|authorization|cookie|credential"
_NAMES += r"|private[-_]?key"
_SECRET_NAME = re.compile(rf"(?ia){_NAMES}")
_NAME_OF_ONE = re.compile(rf"(?ia)(?:{_NAMES})\Z")
_SCHEMES = r"bearer|basic|digest|token|negotiate|apikey"

# What stands between a name and its value: `password=…`, `"password": "…"`, `\"password\": \"…`, `b'password': b'…`.
_IS = r"[\\\"']*\s*(?:=>?|:)\s*(?:b(?=[\"']))?"
# Up to the quote it began with; else up to a blank, a quote, or what parts it from the next one.
_VALUE = rf"(?P<quote>\\*[\"'])?(?(quote)(?:\\.|[^\\\n])*?(?=(?P=quote)|\n|\Z)|(?:(?:{_SCHEMES})\s+)?[^\s\"'&,;]+)"

# Whatever the text, each takes a time in proportion to its length: no two repetitions can share what they match.
# What a new one matches, `looks_plain` and `_speedups.c` have to see; tests/record/test_gate.py has an example of each.
_PATTERNS = (
    (re.compile(r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----).+?(?=-----END|\Z)", re.DOTALL), rf"\1{MASK}"),
    (re.compile(r"(://)[^\s/?#\"'<>]*[^\s/?#\"'<>:]@(?=\S)"), rf"\1{MASK}@"),  # userinfo of a URL or DSN
    # Words may follow, too; a token has a digit, capitals in the middle, or is longer than a word.
    (
        re.compile(
            r"(\b(?:[Bb]earer|BEARER|[Bb]asic|BASIC)[ \t\r\n]+)(?=\S{0,99}(?:\d|[a-z][A-Z])|\S{20})[\w.~+/=-]{6,}",
            re.ASCII,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?<![\w-])eyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*)?", re.ASCII), MASK),  # JSON web token
    (re.compile(rf"(?ia)(cookie{_IS}\\*[\"']?)[^\s\"',;]+(?:;[ ]?[^\s\"',;]+)*"), rf"\1{MASK}"),
    (re.compile(r"(?ia)((?:authorization|cookie)[\"'],\s*b?[\"'])[^\"']+"), rf"\1{MASK}"),  # a header as a pair
    (re.compile(rf"(?ia)((?:{_NAMES})[\w-]{{0,40}}{_IS}){_VALUE}"), rf"\1\g<quote>{MASK}"),
)
# What a text that a pattern matches has in it, whatever its case: ten times as fast to look for.
_SUSPECT = re.compile(rf"-----begin|://[^\s/?#]*@|%3a%2f%2f|bearer|basic|eyj|{_NAMES}")
_ENCODINGS = 2  # of a URL within a URL within a URL


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret, as `db_password`, `X-Api-Key` or `Cookie` do."""
    return _SECRET_NAME.search(name) is not None


def is_secret(name: str, value: object) -> bool:
    """Whether a value is a secret by its name. Flags never are, and numbers only of one: `max_tokens` is a count."""
    if value is None or isinstance(value, bool) or not is_secret_name(name):
        return False
    return not isinstance(value, int | float) or _NAME_OF_ONE.search(name) is not None


def mask_text(text: str) -> str:
    """The text with passwords in addresses, `key=value` secrets, bearer tokens, JWTs and private keys masked.

    A text with a secret that is percent-encoded comes back decoded.
    """
    if not _SUSPECT.search(text.lower()):
        return text
    masked = _mask(text)
    plain = masked
    for _ in range(_ENCODINGS if "%" in masked else 0):
        plain = unquote(plain)
        if (found := _mask(plain)) != plain:
            masked = plain = found
    return masked


def _mask(text: str) -> str:
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def mask_event(event: Event) -> Event:
    """The event with every secret masked, as when it is recorded: for what is handed on to others."""
    return Event(_masked(event.fields))


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: MASK if is_secret(name, inner) else _masked(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_masked(one) for one in value]
    return mask_text(value) if isinstance(value, str) else value


def has_secret(text: str) -> bool:
    """Whether masking changes a text."""
    return mask_text(text) != text


def looks_plain(body: bytes, colons: int) -> bool:
    """Whether encoded JSON with this many colons of its own holds nothing that masking or mending could change.

    Costs a fraction of the search itself: each pattern needs a colon in a value, or one of these; a value's line breaks
    are backslashes in JSON. What holds a list or a null, which is also what becomes of a number that is none, is not
    plain either.
    """
    text = body.decode()
    return not (
        "=" in text
        or "%" in text
        or "@" in text
        or "\\" in text
        or "[" in text
        or text.count(":") != colons
        or ":n" in text
        or "earer " in text
        or "asic " in text
        # Single letters go before the words they are rare letters of.
        or ("'" in text and "'," in text)
        or ("J" in text and "eyJ" in text)
        or ("K" in text and "PRIVATE KEY" in text)
        or ("B" in text and ("BEARER " in text or "BASIC " in text))
    )


try:
    from dashcam.record._speedups import is_plain
except ImportError:  # there was no compiler to make it
    is_plain = looks_plain

__all__ = ["MASK", "has_secret", "is_plain", "is_secret", "is_secret_name", "looks_plain", "mask_event", "mask_text"]
