"""Finds secrets in what is about to be recorded, and puts `***` in their place.

`secret_words` finds the words at which a secret can begin, `secret_rules` decides and says where its value stands.
"""

import hmac
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, cast
from urllib.parse import unquote_to_bytes

from dashcam.event import Event
from dashcam.patterns import OwnSecrets
from dashcam.record.masking import secret_rules
from dashcam.record.masking import secret_values as values
from dashcam.record.masking.lazy_pattern import lazy_pattern
from dashcam.record.masking.personal_data import mask_personal_data
from dashcam.record.masking.secret_tokens import PREFIXES, token_at
from dashcam.record.masking.secret_words import (
    ADDRESS,
    ADDRESSES,
    ANYWHERE,
    ANYWHERES,
    INSERT,
    INSERTS,
    NAME,
    NAMES,
    OAUTH_CODES,
    PW,
    SCHEME,
    SCHEMES,
    TOKEN,
    USER_OPTIONS,
    WEAK_NAME,
    WEAK_NAMES,
    begins_part,
    compile_words,
)

MASK: Final = "***"
_CONTAINERS = frozenset({dict, list, tuple, set, frozenset})
_MAX_DEPTH = 10
MAX_CACHED_CHARACTERS = 1_000
_ENCODED = lazy_pattern(rb"%[0-9A-Fa-f]{2}")
_ENCODINGS = 2  # of a URL within a URL within a URL

MASKED_REST: Final = "masked-rest"  # the tag of an event with a text that is masked from some place on
_MIN_LOOKS = 64
_BYTES_PER_LOOK = 16
_LOOKS_AT_NAME = 3
_MAX_NAME_CHARACTERS = 256  # of the end of a field's name, which says of what it is the name


class Looks:
    """The looks at words that masking may take in the texts of one event, so that no text makes it slow.

    A look takes up to four microseconds, and a name three looks. Each text adds one look per 16 bytes: no text that a
    program writes has more words of secrets. One that has is masked from the first word that is not looked at, and
    `ran_out` becomes true: the event then gets the tag `masked-rest`.
    """

    __slots__ = ("left", "ran_out")

    def __init__(self) -> None:
        self.left, self.ran_out = _MIN_LOOKS, False

    def take(self, count: int) -> bool:
        """Return True if so many looks are left, and take them."""
        self.left -= count
        self.ran_out = self.ran_out or self.left < 0
        return self.left >= 0


WORDS: Final = (
    *((word, NAME) for word in NAMES),
    *((word, WEAK_NAME) for word in WEAK_NAMES),
    *((word, TOKEN) for word in PREFIXES),
    *((word, ADDRESS) for word in ADDRESSES),
    *((word, SCHEME) for word in SCHEMES),
    *((word, ANYWHERE) for word in (*ANYWHERES, *USER_OPTIONS, *OAUTH_CODES, *PW)),
    *((word, INSERT) for word in INSERTS),
)
_search = compile_words(WORDS)
has_word: Callable[[bytes], bool] = _search.in_json
"""Return True if JSON, as orjson writes it, can hold a secret: all that a log call without one has to ask."""
_mask, _allow, _key = OwnSecrets(), OwnSecrets(), b""


def configure(mask: OwnSecrets, allow: OwnSecrets, key: str = "") -> None:
    """Set what else is a secret in this process, what never is, and the key of the hash that takes a secret's place."""
    global _mask, _allow, _key, _search, has_word
    _mask, _allow, _key = mask, allow, key.encode()
    _search = compile_words([*WORDS, *((name, WEAK_NAME) for name in sorted(mask.names))])
    is_everywhere = mask.patterns or mask.has_personal_data  # a pattern of one's own may match anywhere
    has_word = (lambda _: True) if is_everywhere else _search.in_json
    secret_name.cache_clear()
    _mask_cached.cache_clear()


def replacement_of(value: object) -> str:
    """Return what takes the place of a secret: `***`, and with a key a hash that is the same for equal values."""
    if not _key:
        return MASK
    data = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
    return MASK + hmac.digest(_key, data, "sha256").hex()[:12]


def mask_text(text: str, looks: Looks | None = None) -> str:
    """Return a text with its secrets masked; one with a secret that is percent-encoded comes back decoded.

    The texts of one event share their `looks`, which say afterwards if the rest of a text was masked for want of them.
    """
    data = text.encode("utf-8", "surrogatepass")
    masked = data if _search.find(data, 0) is None else _masked_encodings(data, looks or Looks())
    if masked is data and not (_mask.patterns or _mask.has_personal_data):
        return text
    for pattern in _mask.patterns:
        masked = pattern.sub(lambda match: _replaced(match[0]), masked)
    if _mask.has_personal_data:
        masked = mask_personal_data(masked, _replaced)
    try:
        return text if masked == data else masked.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # what was percent-encoded is no UTF-8
        return masked.decode("utf-8", "replace")


def mask_repeated(text: str, looks: Looks | None = None) -> str:
    """Return as `mask_text` a text that comes again and again; a long one is not worth the memory."""
    if len(text) >= MAX_CACHED_CHARACTERS:
        return mask_text(text, looks)
    masked, ran_out = _mask_cached(text)
    if ran_out and looks:
        looks.ran_out = True
    return masked


@lru_cache(maxsize=1024)
def _mask_cached(text: str) -> tuple[str, bool]:
    looks = Looks()
    return mask_text(text, looks), looks.ran_out


def _masked_encodings(data: bytes, looks: Looks) -> bytes:
    looks.left = max(0, looks.left) + len(data) // _BYTES_PER_LOOK
    masked = plain = _masked(data, looks)
    for _ in range(_ENCODINGS if _ENCODED.search(masked) else 0):
        if (decoded := unquote_to_bytes(plain)) == plain:
            break
        plain = _masked(decoded, looks)
        masked = masked if plain == decoded else plain
    return masked


def _masked(data: bytes, looks: Looks) -> bytes:
    parts: list[bytes] = []
    done = start = 0
    while found := _search.find(data, start):
        begin, end, kind = _short_name(data, *found)
        if not looks.take(_LOOKS_AT_NAME if kind <= WEAK_NAME else 1):
            return b"".join([*parts, data[done : max(done, begin)], MASK.encode()])
        start = begin + 1
        spans, read = _spans(data, begin, end, kind)
        looks.left -= read // _BYTES_PER_LOOK
        for span in spans:
            if span[1] > done and not data.startswith(b"***", span[0]):
                parts += [data[done : max(done, span[0])], _replaced(data[slice(*span)])]
                done = start = max(span[1], start)
    return b"".join([*parts, data[done:]]) if parts else data


def _replaced(secret: bytes) -> bytes:
    return secret if _is_allowed_value(secret) else replacement_of(secret).encode()


def _is_allowed_value(value: bytes) -> bool:
    return any(pattern.fullmatch(value) for pattern in _allow.patterns)


def _name_at(data: bytes, begin: int, end: int, kind: int) -> secret_rules.Name | None:
    """Return the name that a word is part of; None if this process says that it names no secret."""
    is_own = kind == WEAK_NAME and _mask.names and data[begin:end].decode().lower() in _mask.names
    name = secret_rules.Name(data, begin, end, is_weak=kind == WEAK_NAME and not is_own)
    return None if _allow.names and name.folded.decode() in _allow.names else name


def _spans(data: bytes, begin: int, end: int, kind: int) -> tuple[list[secret_rules.Span], int]:
    """Return where the values of a word stand, and how many bytes were read that may be read again."""
    if kind == INSERT:
        return _inserted(data, end)
    if kind > WEAK_NAME:
        span = _RULES[kind](data, begin, end)
        return [span] if span else [], 0
    name = _name_at(data, begin, end, kind)
    span = secret_rules.named(name) if name else None
    if span:
        return [span], 0
    return [], name.reach - name.end if name else 0


def _inserted(data: bytes, end: int) -> tuple[list[secret_rules.Span], int]:
    columns, rows = secret_rules.inserted_columns(data, end)
    named = {index: name for index, name in enumerate(columns) if secret_name(name)}
    if not named:
        return [], rows - end
    texts, reach = secret_rules.inserted_texts(data, rows, named)
    spans = [at for column, at in texts if is_secret(named[column], data[slice(*at)].decode("utf-8", "replace"))]
    return spans, reach - end


def _short_name(data: bytes, begin: int, end: int, kind: int) -> tuple[int, int, int]:
    """Return the name alone of a name of two letters, which is searched for with what follows it."""
    if kind == ANYWHERE and data[begin : begin + 2].lower() == b"pw" and begins_part(data, begin):
        return begin, begin + 2, NAME
    return begin, end, kind


_RULES: Final = {
    TOKEN: token_at,
    ADDRESS: secret_rules.address,
    SCHEME: secret_rules.scheme,
    ANYWHERE: secret_rules.anywhere,
}


def is_secret(name: str, value: object) -> bool:
    """Return True if a value is a secret by the name of its field.

    A flag is not, a number only under a name of one secret: `max_tokens` is a count. Nor is a list or an object of
    messages, as of a form's errors.

    >>> is_secret("db_password", "hunter2"), is_secret("max_tokens", 512)
    (True, False)
    """
    if (named := secret_name(name[-_MAX_NAME_CHARACTERS:])) is None or value is None or isinstance(value, bool):
        return False
    if _allow.patterns and isinstance(value, str) and _is_allowed_value(value.encode("utf-8", "replace")):
        return False
    if isinstance(value, str):
        if value.isalnum() and not (value.isalpha() or value.isdigit() or named.is_weak):
            return value.lower() != "oauth2"  # the common case first: no placeholder and no message looks like this
        text = value.encode("utf-8", "replace")
        return named.is_secret(text) and not values.is_message(text)
    if isinstance(value, int | float):
        return named.is_secret(str(value).encode())
    return _holds_secret(value, 0)


def masked_by_name(name: str, value: str) -> str:
    """Return a text, or what takes its place if it is a secret by the name of its field."""
    return replacement_of(value) if is_secret(name, value) else value


def _holds_secret(value: object, depth: int) -> bool:
    """Return True for a value that is no number, flag or message, and for a list or an object that holds one."""
    if isinstance(value, str):
        text = value.encode("utf-8", "replace")
        return not values.is_harmless(text) and not values.is_message(text)
    # Another class's own methods may raise anything; a circle has no end.
    if type(value) in _CONTAINERS and depth < _MAX_DEPTH:
        inner = value.values() if isinstance(value, dict) else cast("list[object]", value)
        return any(_holds_secret(each, depth + 1) for each in inner)
    return value is not None and not isinstance(value, int | float)


@lru_cache(maxsize=4096)
def secret_name(name: str) -> secret_rules.Name | None:
    """Return the part of a field's name that says that it holds a secret, as `X-Api-Key` or `Cookie` do."""
    name = name[-_MAX_NAME_CHARACTERS:]
    data, start = name.encode("utf-8", "replace") + b"=x", 0
    while found := _search.find(data, start):
        begin, end, kind = _short_name(data, *found)
        start = begin + 1
        if kind <= WEAK_NAME:
            named = _name_at(data, begin, end, kind)
            is_last = named and len(data) - named.end <= 8 and not data[named.end : -2].strip(b" )]*")
            if named and is_last and not values.is_named_harmless(named.text):
                return named
    return None


def mask_event(event: Event) -> Event:
    """Return an event with every secret masked, as when it is recorded: for what is handed on to others."""
    return Event(mask_value(event.fields))


def mask_value(value: Any, looks: Looks | None = None) -> Any:
    """Return a value of JSON with every secret in it masked; its texts share their `looks`, as in `mask_text`.

    Raises `TypeError` for a value that can hold others.
    """
    looks = looks or Looks()
    if isinstance(value, str):
        return mask_text(value, looks)
    if isinstance(value, dict):
        masked = {
            mask_repeated(name, looks): replacement_of(inner) if is_secret(name, inner) else mask_value(inner, looks)
            for name, inner in value.items()
        }
        return mask_named_value(masked)
    if isinstance(value, list | tuple):
        return mask_pair([mask_value(item, looks) for item in value])
    if value is None or isinstance(value, int | float):
        return value
    raise TypeError(f"{type(value).__name__} is not a value of JSON")


def mask_pair(items: list[Any]) -> list[Any]:
    """Return a list; if it is a name and its value, such as `["X-Api-Key", "…"]`, the value is masked."""
    if len(items) == 2 and isinstance(items[0], str) and isinstance(items[1], str) and is_secret(*items):
        is_word = items[1].isidentifier() and items[1].isalpha()  # of a list of names
        if not is_word or secret_rules.is_header(items[0].encode("utf-8", "replace")):
            return [items[0], replacement_of(items[1])]
    return items


def mask_named_value(fields: dict[str, Any]) -> dict[str, Any]:
    """Return an object; if it is a name and its value, such as `{"name": "API_KEY", "value": "…"}`, it is masked."""
    if "value" in fields:
        name = fields.get("name") or fields.get("key")
        if isinstance(name, str) and is_secret(name, fields["value"]):
            return fields | {"value": replacement_of(fields["value"])}
    return fields
