"""Values that are not secrets, though their name says so: flags, counts, prose, code."""

from functools import lru_cache
from typing import Final

from dashcam.record.masking.lazy_pattern import lazy_pattern

MAX_KEPT_BYTES: Final = 400  # a longer value is a secret whatever it says: masking reads no value twice to its end
MAX_PLACEHOLDER_BYTES = 200

# Parts of a name that only sound like one of a secret. `is_named_harmless` matches these patterns in lower case.
_SOUNDS_ALIKE = lazy_pattern(rb"secret(?:ar|ion)|tokeni[sz]|passwordless|cookiecutter")
_COUNTED = lazy_pattern(
    rb"(?:^|[_-])(?:max|min|num|total|prompt|completion|input|output|cached|reasoning|remaining|used|n)[_-]?tokens?\Z"
)
# A name that ends in a property of a secret.
_PROPERTY = lazy_pattern(
    rb"""(?x)
    (?:token|secret|password|passwd|passphrase|cookie|credential|authorization|key|pwd|session_?id|csrf|signature|jwt)
    s?[_-]?
    (?:counts?|types?|len|length|sizes?|limits?|ttl|(?:max_?)?age|expiry|expires?(?:_?(?:in|at|on))?|expiration|lifetime
      |ur[li]|endpoint|host|paths?|files?|file_?name|dir|names?|polic(?:y|ies)|version|arn|status|state|enabled
      |disabled|required|valid|verified|exists|present|is_?set|(?:last_?)?(?:changed|updated|created|rotated|reset)(?:_?(?:at|on))?
      |hint|fields?|attempts?|budget|usage|used|rate|algorithm|alg|format|source|providers?|manager|class|domain
      |same_?site|http_?only|secure|consent|errors?|parser|strength|scopes?|issuer|audience|method|methods|index|refs?
      |bucket|rotation|management|validation|authentication|mismatch|handler|store|backend|middleware)\Z
    """
)
_MAX_PROPERTY_BYTES = 40
_CONDITIONS: Final = tuple(
    b"Error Exception Warning Failure Fault Expired Invalid Missing Required Mismatch NotFound".split()
)

# Words that stand for a value.
_FLAGS = "true false yes no on off none null nil undefined nan empty unset n/a na ok optional required missing default"
_TYPES = "str string int integer float number bool boolean bytes text any object array list dict char varchar uuid"
_TYPES += " secretstr file env vault bearer basic digest oauth oauth2 jwt"
_MARKS = "redacted masked hidden filtered removed encrypted sensitive secret"
_WORDS: Final = frozenset(f"{_FLAGS} {_TYPES} {_MARKS}".encode().split())
_PLACEHOLDER = lazy_pattern(
    rb"""(?xi)
    (?: [^0-9a-z\x80-\xff]* | \*{2,}[0-9a-f]{0,32} | x{3,} | \.{2,} | \xe2\x80\xa6 | (?:\xe2\x80\xa2){2,} | -+ | _+ | \?
      | <[a-z][\w\ :.-]*> | \[[a-z\ _-]+\] | ![a-z]+ | (?:var)?char\(\d+\)
      | %%\(?\w*\)?[sdrvq] | %%\w+%% | \{[\w.!:]*\} | \{\{[^{}]*\}\} | [$\#]\{[^{}]*\}
      | (?-i:\$\(?[A-Z_][A-Z0-9_]*\)?) | \$\d{1,2} | :[a-z_]+
      | /(?:etc|home|var|usr|run|opt|tmp|srv|root|mnt|app|data|proc|dev)/[\w./-]*
      | \(?(?:%b)\)?
    )"""
    % b"|".join(sorted(_WORDS, reverse=True))
)
_NUMBER = lazy_pattern(rb"[+-]?\d[\d.,_:/]*(?:[kKmMgG]i?[bB]?|%|ms|s)?")
_CODE = lazy_pattern(
    rb"(?:self|cls|os|settings|config|request|req|res|app|args|env|ctx|process|flask|current_app|kwargs|options|opts"
    rb"|params|data|user|form|body|context|this|secrets|getpass)\b[.\[]|[A-Za-z_][A-Za-z_.]*\(|await |new |lambda\b"
)
_PROSE: Final = frozenset(
    b"""a an and any are as at be been but by can can't cannot could did didn't do does doesn't don't eof expected for
    from
    had has have if illegal in invalid is isn't it its length malformed may minimum missing must no not null of on only
    or parse please required should so that the their there this to too unexpected unknown unsupported until use using
    value was wasn't we when where which will with without won't wrong you your after before again all already also
    incorrect mismatch success successful successfully failure fail ok okay error errors valid ready set unset found
    empty end identifier keyword enter field string number short long weak strong new old never always still now out
    up down about into over under per via both each every other same such than then user users access read write admin
    header headers body request response see check try retry default disabled enabled stale fresh anonymous absent
    present none nothing something ended bad good expired revoked rejected failed rotated refreshed denied accepted
    option flag argument parameter switch""".split()
)
_PARTICIPLE = lazy_pattern(rb"[a-z]{2,}(?:ed|ing)")
_ENCODED = lazy_pattern(rb"[\w.+/=%~-]+")
_ALGORITHM = lazy_pattern(
    rb"(?i)(?:argon2(?:id?|d)?|pbkdf2|scrypt|sha-?\d+|md5|[hrep]s\d{3}|ed25519|aes\d*|rsa\d*|base64|oauth2|v\d)\b.*"
)
_SAYS: Final = frozenset(
    b"is are was must may should cannot has have not no required invalid expired too field please wrong".split()
)
_DIGITS: Final = b"0123456789"
_LETTERS: Final = bytes(byte for byte in range(256) if chr(byte).isalpha())
_SIGNS: Final = b"!@#$%^&*+=?~"  # no word of a language has one
_BETWEEN_WORDS: Final = bytes(byte if chr(byte).isalnum() or byte == 95 else 32 for byte in range(128)) + b" " * 128
_MAX_PROSE_BYTES = 40  # of one word


@lru_cache(maxsize=1024)
def is_named_harmless(name: bytes) -> bool:
    """Return True if a name only speaks of a secret: `token_count`, `PASSWORD_FILE`, `InvalidTokenError`."""
    folded = name.lower()
    return (
        name.endswith(_CONDITIONS)
        or (
            folded.endswith((b"token", b"tokens"))
            and _COUNTED.search(folded, max(0, len(folded) - _MAX_PROPERTY_BYTES))
        )
        or _PROPERTY.search(folded, max(0, len(folded) - _MAX_PROPERTY_BYTES))
        or _SOUNDS_ALIKE.search(folded)
    ) not in (None, False)


def is_number(value: bytes) -> bool:
    """Return True for a number, with its unit."""
    return _NUMBER.fullmatch(value) is not None


def is_harmless(value: bytes) -> bool:
    """Return True if a value stands for none: a flag, a placeholder, a type, nothing at all."""
    if len(value) >= MAX_PLACEHOLDER_BYTES:
        return False
    value = value.strip().rstrip(b".,:;!")
    if value.isalnum() and has_digit(value):
        return value.lower() == b"oauth2"  # the common case first: no other placeholder looks like this
    return _PLACEHOLDER.fullmatch(value) is not None


def is_code(value: bytes) -> bool:
    """Return True if a value is an expression of a programming language: `os.environ["X"]`, `get_token(user)`."""
    return _CODE.match(value) is not None


def is_prose(value: bytes, *, is_sentence: bool) -> bool:
    """Return True if the word after a name goes on with a sentence, or says how it went: `token: expired`."""
    word = value.rstrip(b".,:;!?)\"'").lower()
    if len(word) > _MAX_PROSE_BYTES:
        return False
    return word in _PROSE or (
        is_sentence and word.endswith((b"ed", b"ing")) and _PARTICIPLE.fullmatch(word) is not None
    )


def has_digit(value: bytes) -> bool:
    """Return True if one of the bytes is a digit."""
    return _has_one_of(_DIGITS, value)


def is_mixed(value: bytes) -> bool:
    """Return True if a word has letters and digits, or signs that no word has: it is no word of a language."""
    if len(value) < 5:
        return False
    return (has_digit(value) and _has_one_of(_LETTERS, value)) or _has_one_of(_SIGNS, value.rstrip(b"!?"))


def _has_one_of(signs: bytes, value: bytes) -> bool:
    return len(value.translate(None, signs)) < len(value)


def is_algorithm(value: bytes) -> bool:
    """Return True for the name of an algorithm or a version, which is mixed as a secret is."""
    return _ALGORITHM.fullmatch(value) is not None


def is_message(value: bytes) -> bool:
    """Return True if a text is a sentence about a field: "This field is required."."""
    if len(value) > MAX_KEPT_BYTES or value.count(b" ") < 2 or has_digit(value):
        return False
    folded = value.lower()
    return b"can't" in folded or not _SAYS.isdisjoint(folded.translate(_BETWEEN_WORDS).split())


def is_shaped(name: bytes, value: bytes) -> bool:
    """Return True if a value looks like the secret that a short name can mean: a code, a key, an id of a session."""
    name, value = name.lower(), value.strip(b"\"'`.,;:!?)")
    if b"sig" in name:
        return len(value) >= 20 and b"hmac" not in value.lower()
    digits = value.isdigit()
    if name in {b"assertion", b"samlresponse"} or b"verifier" in name:
        return _ENCODED.fullmatch(value) is not None and len(value) >= (12 if has_digit(value) else 20)
    if name == b"pin":
        return digits and 4 <= len(value) <= 10  # `pin: GPIO17` is a wire
    if b"otp" in name:
        return b"=" not in value and ((digits and 4 <= len(value) <= 10) or (len(value) >= 6 and not value.isalpha()))
    if b"cv" in name:
        return digits and 3 <= len(value) <= 4
    if b"sid" in name and value.startswith(b"S-1-"):
        return False  # a security identifier of Windows names an account
    if b"auth" in name:
        return False
    return (has_digit(value) and not digits and len(value) >= 5) or len(value) >= 12
