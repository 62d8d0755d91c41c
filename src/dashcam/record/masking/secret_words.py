"""The words at which a secret can begin, and the search for them: names, prefixes of tokens, marks of an address.

`masking` has the rule of each kind. A word counts only where its neighbours allow a secret, so that prose such as "the
password is too short" is passed at the speed of the search. `_words.c` is the same search, compiled.
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, Protocol

# The kinds of words; `_words.c` has the same numbers.
NAME, WEAK_NAME, TOKEN, ADDRESS, SCHEME, ANYWHERE, INSERT = range(7)

_SEPARATORS = ("", "-", "_", " ")
_KEYS = "api access private signing encryption account shared master auth hmac ssh deploy service storage admin app"
_KEYS += " application consumer subscription functions license crypto client integration root server webhook"
_CODES = "mfa security verification recovery backup auth pin otp access confirmation activation reset invite login"
_PASSES = (
    "db user usr mysql pg postgres smtp ftp mail email redis mongo admin root ldap rabbitmq amqp sql imap vpn wifi"
)

# A name that holds one of these names a secret, whatever stands around it: `DB_PASSWORD`, `accessToken`, `Set-Cookie`.
NAMES: Final = (
    *("password", "passwd", "passphrase", "passcode", "passwort", "pwd", "secret", "token", "credential", "jwt"),
    *("authorization", "cookie", "sessionid", "session_id", "session-id", "sessid", "session_key", "session-key"),
    *("amz-signature", "goog-signature", "sharedaccesssignature"),
    *(f"{first}{separator}key" for first in _KEYS.split() for separator in _SEPARATORS),
    *(f"{first}{separator}code" for first in _CODES.split() for separator in "_-"),
    *(f"{first}{separator}pass" for first in _PASSES.split() for separator in ("", "-", "_")),
)
# These are a whole part of a name, and the value must look like a secret too: `sid=k3jd8f2`, `userPin: 4821`.
WEAK_NAMES: Final = (
    *("sid", "otp", "totp", "pin", "cvv", "cvc", "cvv2", "cvc2", "pass", "passw", "sig", "signature", "psk"),
    *("csrf", "xsrf", "auth", "assertion", "samlresponse", "code_verifier", "codeverifier"),
)
ADDRESSES: Final = ("://", "%2f%2f", "%3a//", "%252f%252f", "%253a//", ":\\/\\/", ":\\\\/\\\\/")
SCHEMES: Final = ("bearer", "basic")
ANYWHERES: Final = ("---begin", "-- begin", "identified", "putty-user-key", "<cookie", "morsel:")
INSERTS: Final = ("insert into", "insert ignore into", "replace into")
USER_OPTIONS: Final = (" -u", "'-u", '"-u', "--user", "--proxy-user")
OAUTH_CODES: Final = ("?code=", "&code=", "%3fcode%3d", "%26code%3d")
PW: Final = ("pw=", "pw:", "pw'", 'pw"', "pw\\", "pw =", "pw :")  # a word has at least three bytes

MAX_NAME_BYTES = 48  # of the rest of a name, to either side of the word
MAX_SKIPPED_SIGNS = 16  # quotes and blanks between a name and what assigns its value
MAX_ADDRESS_BYTES = 512  # of a user and a password
MAX_PROSE_BYTES = 64
MAX_COLUMNS_SIGNS = 2_200  # of the table and the columns of an `INSERT`
MAX_RUN_BYTES = 100
MIN_RUN_BYTES = 6
MIN_TOKEN_BYTES = 8
_DIGITS = frozenset(b"0123456789")
_LOWER = frozenset(b"abcdefghijklmnopqrstuvwxyz")
_UPPER = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LETTERS = _LOWER | _UPPER
_ALPHANUMERIC = _LETTERS | _DIGITS
_NAME_BYTES = _ALPHANUMERIC | frozenset(b"_-")
_RUN = _NAME_BYTES | frozenset(b".~+/=%")
_BLANKS = frozenset(b" \t\r\n\v\f")
_QUOTES = frozenset(b"\"'`")
_SKIPPED = _BLANKS | _QUOTES | frozenset(b"\\)]*")
_ENDS_VALUE = _BLANKS | frozenset(b",;&}])\"'\\")
_LITERALS = (b"null", b"true", b"false", b"None", b"True", b"False", b'"***"')


class WordSearch(Protocol):
    """A search for words."""

    def find(self, text: bytes, start: int, /) -> tuple[int, int, int] | None:
        """Return begin, end and kind of the first word of UTF-8 at or after `start`; None if there is none."""

    def in_json(self, body: bytes, /) -> bool:
        """Return True if a JSON text, as orjson encodes it, has a word in one of its names or texts."""


_Found = dict["_Words", tuple[int, tuple[int, int, int] | None]]  # where the search began, and what it found


class PythonSearch:
    """The search without a compiler: a word is looked for only if its stem, a few of its letters, is in the text."""

    def __init__(self, words: Sequence[tuple[str, int]]) -> None:
        by_stem: dict[bytes, list[tuple[bytes, int]]] = {}
        for word, kind in words:
            folded = word.encode().lower()
            stem = next((stem for stem in by_stem if stem in folded), folded[:4])
            by_stem.setdefault(stem, []).append((word.encode() if kind == TOKEN else folded, kind))
        self._stems = [(stem, _Words(known)) for stem, known in by_stem.items()]
        self._last: tuple[bytes, _Found] | None = None

    def find(self, text: bytes, start: int, /) -> tuple[int, int, int] | None:
        """Return begin, end and kind of the first word of UTF-8 at or after `start`; None if there is none."""
        last = self._last
        if last is None or last[0] is not text:
            folded = text.lower()
            last = self._last = text, {words: (0, (-1, 0, 0)) for stem, words in self._stems if stem in folded}
        known, first = last[1], None
        for words, (since, word) in list(known.items()):
            # The text is asked for one word after another: what was found behind `start` is not looked for again.
            if since > start or (word and word[0] < start):
                word = words.first(text, max(0, start), is_json=False)  # noqa: PLW2901
                known[words] = start, word
            if word and (first is None or (word[0], -word[1]) < (first[0], -first[1])):
                first = word
        if first is None:
            self._last = None
        return first

    def in_json(self, body: bytes, /) -> bool:
        """Return True if a JSON text, as orjson encodes it, has a word in one of its names or texts."""
        folded = body.lower()
        return any(stem in folded and words.first(body, 0, is_json=True) for stem, words in self._stems)


class _Words:
    """The words of one stem."""

    def __init__(self, words: list[tuple[bytes, int]]) -> None:
        self._longest = sorted(words, key=lambda word: -len(word[0]))
        self._pattern = re.compile(b"(?i)(?=%b)" % b"|".join(re.escape(word) for word, _ in words))

    def first(self, data: bytes, start: int, *, is_json: bool) -> tuple[int, int, int] | None:
        for match in self._pattern.finditer(data, start):
            begin = match.start()
            for word, kind in self._longest:
                end = begin + len(word)
                is_word = (data[begin:end] if kind == TOKEN else data[begin:end].lower()) == word
                if is_word and _is_allowed(data, begin, end, kind, is_json=is_json):
                    return begin, end, kind
        return None


def _at(data: bytes, index: int) -> int:
    return data[index] if 0 <= index < len(data) else 0


def _is_allowed(data: bytes, begin: int, end: int, kind: int, *, is_json: bool) -> bool:
    match kind:
        case 0:
            return _is_assigned(data, begin, end, is_json=is_json)
        case 1:
            is_part = begins_part(data, begin) and _at(data, end) not in _LETTERS
            return is_part and _is_assigned(data, begin, end, is_json=is_json)
        case 2:
            return begins_part(data, begin) and _run(data, end) >= MIN_TOKEN_BYTES
        case 3:
            return _has_user(data, end)
        case 4:
            return _has_credentials(data, end)
        case 6:
            return _has_row(data, end, is_json=is_json)
    return True


def begins_part(data: bytes, begin: int) -> bool:
    """Return True if no part of a name or a token goes on into the word: an escape before it is none."""
    before = _at(data, begin - 1)
    return (
        before not in _ALPHANUMERIC
        or _at(data, begin - 2) == ord("\\")
        or _at(data, begin - 3) == ord("%")
        or (_at(data, begin - 6) == ord("\\") and _at(data, begin - 5) == ord("u"))
        or (before in _LOWER and _at(data, begin) in _UPPER)
    )


def _run(data: bytes, at: int) -> int:
    end = at
    while end < at + MAX_RUN_BYTES and _at(data, end) in _RUN:
        end += 1
    return end - at


def _has_user(data: bytes, at: int) -> bool:
    for index in range(at, min(at + MAX_ADDRESS_BYTES, len(data))):
        byte = data[index]
        if byte == ord("@") or (byte == ord("%") and data[index + 1 : index + 3] == b"40"):
            return True
        if byte == ord("%") and data[index + 1 : index + 5] == b"2540":
            return True
        if byte in _BLANKS or byte in b"\"'<>":
            return False
    return False


def _has_credentials(data: bytes, at: int) -> bool:
    """Return True if a blank, or an encoded one, and a word that is none of prose follow."""
    begin = at
    while begin < at + MAX_SKIPPED_SIGNS:
        byte = _at(data, begin)
        if byte in _BLANKS or byte == ord("+"):
            begin += 1
        elif byte == ord("\\"):
            begin += 2
        elif byte == ord("%"):
            begin += 3
        else:
            break
    length = _run(data, begin)
    word = data[begin : begin + length]
    is_odd = length >= 20 or any(byte in _DIGITS for byte in word)
    is_odd = is_odd or any(a in _LOWER and b in _UPPER for a, b in pairwise(word))
    return begin > at and length >= MIN_RUN_BYTES and is_odd


def _has_row(data: bytes, end: int, *, is_json: bool) -> bool:
    """Return True if rows of an `INSERT` follow, and in them or behind them a quoted text, or `%27`.

    Rows of placeholders and numbers have none: a statement is not looked at more closely each time that it is logged.
    """
    at = end
    for _ in range(MAX_COLUMNS_SIGNS):
        if at >= len(data) or (is_json and data[at] == ord('"')):
            return False
        if data[at : at + 6].lower() == b"values":
            break
        is_escape = is_json and data[at] == ord("\\")
        at += 6 if is_escape and _at(data, at + 1) == ord("u") else 1 + is_escape
    else:
        return False
    quote = data.find(b'"', at + 6)
    if quote >= 0 and (not is_json or data[quote - 1] == ord("\\")):
        return True
    rest = data[at + 6 : quote if quote >= 0 else len(data)]
    return b"'" in rest or b"%2" in rest


def _name_around(data: bytes, begin: int, end: int, *, is_json: bool) -> tuple[int, int]:
    """Return where the name that a word is part of begins and ends; the letter of an escape is no part of it."""
    tail_end = end
    while tail_end < end + MAX_NAME_BYTES and _at(data, tail_end) in _NAME_BYTES:
        tail_end += 1
    head = begin
    while head > max(0, begin - MAX_NAME_BYTES) and data[head - 1] in _NAME_BYTES:
        head -= 1
    if is_json and _at(data, head - 1) == ord("\\") and data[head] in b"nrtbfu":
        letters = 5 if data[head] == ord("u") else 1
        head += letters if head + letters <= begin else 0
    return head, tail_end


def _is_assigned(data: bytes, begin: int, end: int, *, is_json: bool) -> bool:  # noqa: C901, PLR0912 — as in C
    """Return True if what follows a name can be its value."""
    head, tail_end = _name_around(data, begin, end, is_json=is_json)
    before = _at(data, head - 1)
    if data[head : head + 2] == b"--" or before == ord("<") or (before == ord(":") and _is_in_tag(data, head - 1)):
        return True
    at, is_blank, is_quoted = tail_end, False, False
    for _ in range(MAX_SKIPPED_SIGNS):
        byte = _at(data, at)
        if byte not in _SKIPPED:
            break
        if byte == ord("\\"):
            at = _escaped_at(data, at, is_json=is_json)
            if _at(data, at) == ord("u"):
                return True
            is_blank = is_blank or _at(data, at) in b"nrtbf"
            is_quoted = is_quoted or _at(data, at) == ord('"')
        elif is_json and byte == ord('"'):
            if before == ord('"') and data[at + 1 : at + 2] == b",":
                return _at(data, head - 2) == ord("[") or data[at + 2 : at + 9] == b'"value"'
            at += 1
            if _at(data, at) == ord(":"):
                break
            return False
        elif byte in _BLANKS:
            is_blank = True
        elif byte in _QUOTES:
            if is_blank:
                return True
            is_quoted = True
        at += 1
    byte = _at(data, at)
    if data[at : at + 2] == b"</" or data[at : at + 5].lower() == b"value":
        return True
    if byte in b"=:":
        return not _is_harmless_value(data, at, data[end:tail_end], is_json=is_json)
    if byte == ord(","):
        return is_quoted
    if byte == ord("("):
        return _at(data, at + 1) in b"\"'\\" or _has_digit(data, at)
    return byte in b">%" or data[at : at + 2] == b"->" or _is_said(data, at) or (is_blank and _has_digit(data, at))


def _escaped_at(data: bytes, at: int, *, is_json: bool) -> int:
    """Return where the sign is that a backslash escapes; in JSON, two are one of the text, which escapes, too."""
    at += 1
    if is_json and _at(data, at) == ord("\\") and _at(data, at + 1) != ord('"'):
        at += 2 if _at(data, at + 1) == ord("\\") else 1
    return at


def _is_said(data: bytes, at: int) -> bool:
    """Return True if a quoted text follows a verb: `password is 'swordfish'`."""
    at += 2 if data.startswith(b"is", at) else 3 if data.startswith(b"was", at) else 0
    at += _at(data, at) == ord(":")
    return _at(data, at) == ord(" ") and _at(data, at + 1) in b"\"'`\\"


def _is_in_tag(data: bytes, at: int) -> bool:
    """Return True if a name space of XML stands before a colon: `<ns:password`."""
    begin = at
    while begin > max(0, at - MAX_NAME_BYTES) and data[begin - 1] in _NAME_BYTES:
        begin -= 1
    return _at(data, begin - 1) == ord("<")


def _is_harmless_value(data: bytes, at: int, tail: bytes, *, is_json: bool) -> bool:
    """Return True if a number of many, a flag, nothing or a mask is assigned: `max_tokens=512`, `"password":null`."""
    if data[at : at + 2] == b"::":
        return True
    at += 1
    while _at(data, at) in b"=> \t":
        at += 1
    if literal := next((literal for literal in _LITERALS if data.startswith(literal, at)), b""):
        return _ends_value(data, at + len(literal), is_json=is_json)
    if not tail or tail.isdigit() or tail.lower().endswith(b"code") or _at(data, at) not in _DIGITS:
        return False
    while _at(data, at) in b"0123456789.":
        at += 1
    return _ends_value(data, at, is_json=is_json)


def _ends_value(data: bytes, at: int, *, is_json: bool) -> bool:
    """Return True if a value ends here: an escape that JSON has for a control character goes on with it."""
    return at >= len(data) or (data[at] in _ENDS_VALUE and not (is_json and data.startswith(b"\\u", at)))


def _has_digit(data: bytes, at: int) -> bool:
    """Return True if one of the next two words has a digit."""
    words = 0
    for byte in data[at : at + MAX_PROSE_BYTES]:
        if byte in _DIGITS:
            return True
        if byte in _BLANKS:
            words += 1
        if words == 2 or byte == ord('"'):
            return False
    return False


try:
    from dashcam.record._words import Search as _Search
except ImportError:  # there was no compiler to build it
    _Search = PythonSearch  # type: ignore[assignment, misc]

compile_words: Final[Callable[[Sequence[tuple[str, int]]], WordSearch]] = _Search
"""Return the search for words and their kinds."""
