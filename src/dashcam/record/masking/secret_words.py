"""The words at which a secret can begin, and the search for them: names, prefixes of tokens, marks of an address.

`masking` has the rule of each kind. A word counts only where its neighbours allow a secret, so that prose such as "the
password is too short" is passed at the speed of the search. `_words.c` is the same search, compiled.
"""

import re
import string
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, cast

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
MAX_COLUMNS_BYTES = 2_200  # of the table and the columns of an `INSERT`
MAX_ROWS_BYTES = 4_200
MAX_DIGITS = 64  # of an amount
LONG_RUN_BYTES = 20
MIN_RUN_BYTES = 6
MIN_TOKEN_BYTES = 8
_MAX_WORD_BYTES = 32
_NAME_BYTES: Final = (string.ascii_letters + string.digits + "_-").encode()
_BLANKS = frozenset(b" \t\r\n\v\f")
_QUOTES = frozenset(b"\"'`")
_SKIPPED = _BLANKS | _QUOTES | frozenset(b"\\)]*")
_TAIL = re.compile(rb"[\w-]{0,%d}" % MAX_NAME_BYTES)
_RUN = re.compile(rb"[\w.~+/=%%-]{0,%d}" % LONG_RUN_BYTES)
_USER_END = re.compile(rb"[@\s\"'<>]|%(?:25)?40")
_BLANK_WIDTHS = {**dict.fromkeys(b" \t\r\n\v\f+", 1), ord("\\"): 2, ord("%"): 3}  # encoded ones, too
_ODD_WORD = re.compile(rb"[0-9]|[a-z][A-Z]|.{%d}" % LONG_RUN_BYTES)
_VALUES = re.compile(rb"values", re.IGNORECASE)
_VALUES_IN_JSON = re.compile(rb"values|(?<!\\)\"", re.IGNORECASE)  # or the end of the string
_QUOTED_TEXT = re.compile(rb"[\"']|%2")
_IS_SAID = re.compile(rb"(?:is|was)?:? [\"'`\\]")  # `password is 'swordfish'`
_BEFORE_VALUE = re.compile(rb"[=> \t]{0,%d}" % MAX_SKIPPED_SIGNS)
_MASKED = re.compile(rb"(?:\\{0,32}[\"'`])?\*\*\*")
_MASKED_FIELD = re.compile(rb"\"\*\*\*(?:[0-9a-f]{12})?\"")
_LITERAL = re.compile(rb"null|true|false|None|True|False")
_AMOUNT = re.compile(rb"[0-9][0-9.]{0,%d}" % (MAX_DIGITS - 1))
_ENDS_VALUE = frozenset(b" \t\r\n\v\f,;&}])\"'\\")
_DIGIT_IN_TWO_WORDS = re.compile(rb"[^\s\"0-9]*(?:\s[^\s\"0-9]*)?[0-9]")


class WordSearch(Protocol):
    """A search for words."""

    def find(self, text: bytes, start: int, /) -> tuple[int, int, int] | None:
        """Return begin, end and kind of the first word of UTF-8 at or after `start`; None if there is none."""

    def in_json(self, body: bytes, /) -> bool:
        """Return True if a JSON text, as orjson encodes it, has a word in one of its names or texts."""


class PythonSearch:
    """The search without a compiler: one pattern of all words, and the same look at the neighbours of each."""

    def __init__(self, words: Sequence[tuple[str, int]]) -> None:
        known = [(word.encode() if kind == TOKEN else word.encode().lower(), kind) for word, kind in words]
        known.sort(key=lambda word: -len(word[0]))
        folded = {word.lower() for word, _ in known}
        self._pattern = re.compile(_pattern_of(folded))
        # A match is the longest word that is there; each word that it begins with is there, too.
        self._matched = {longest: [each for each in known if longest.startswith(each[0].lower())] for longest in folded}

    def find(self, text: bytes, start: int, /) -> tuple[int, int, int] | None:
        """Return begin, end and kind of the first word of UTF-8 at or after `start`; None if there is none."""
        searched, begin, size = _Text(text, is_json=False), max(0, start), _FIRST_PART_BYTES
        while begin < len(text):  # in parts: the next word is often near
            folded = text[begin : begin + size + _MAX_WORD_BYTES].lower()
            if found := self._first(searched, begin, folded, size):
                return found
            begin, size = begin + size, size * 4
        return None

    def in_json(self, body: bytes, /) -> bool:
        """Return True if a JSON text, as orjson encodes it, has a word in one of its names or texts."""
        return self._first(_Text(body, is_json=True), 0, body.lower(), len(body)) is not None

    def _first(self, text: "_Text", offset: int, folded: bytes, size: int) -> tuple[int, int, int] | None:
        """Return the first word in a part of a text, given in lower case, that begins in the first `size` bytes."""
        at = 0
        while (match := self._pattern.search(folded, at)) and (at := match.start()) < size:
            begin = offset + at
            for word, kind in self._matched[match[0]]:
                end = begin + len(word)
                if (kind != TOKEN or text.data.startswith(word, begin)) and _is_allowed(text, begin, end, kind):
                    return begin, end, kind
            at += 1
        return None


_FIRST_PART_BYTES = 256


def _pattern_of(words: Iterable[bytes]) -> bytes:
    """Return a regular expression for the longest of some words, with their common beginnings only once."""
    by_first: dict[bytes, list[bytes]] = {}
    for word in words:
        by_first.setdefault(word[:1], []).append(word[1:])
    is_end = by_first.pop(b"", None) is not None
    ways = [re.escape(first) + _pattern_of(rest) for first, rest in sorted(by_first.items())]
    if is_end and not ways:
        return b""
    pattern = b"(?:%b)" % b"|".join(ways) if is_end or len(ways) > 1 else ways[0]
    return pattern + b"?" if is_end else pattern


class _Text:
    """A text that is searched; what is looked for behind many words is looked for once."""

    __slots__ = ("data", "is_json", "no_text", "values")

    def __init__(self, data: bytes, *, is_json: bool) -> None:
        self.data, self.is_json = data, is_json
        self.values = self.no_text = (0, -1)  # from where on it was looked for, and where it is

    def at(self, index: int) -> int:
        return self.data[index] if 0 <= index < len(self.data) else 0

    def is_end(self, index: int) -> bool:
        """Return True for the end of a text, or of a string of JSON."""
        is_quote = self.is_json and self.at(index) == ord('"') and self.at(index - 1) != ord("\\")
        return is_quote or index >= len(self.data)


def _is_allowed(text: _Text, begin: int, end: int, kind: int) -> bool:
    match kind:
        case 0:
            return _is_assigned(text, begin, end)
        case 1:
            is_part = begins_part(text.data, begin) and not text.data[end : end + 1].isalpha()
            return is_part and _is_assigned(text, begin, end)
        case 2:
            return begins_part(text.data, begin) and len(_run(text.data, end)) >= MIN_TOKEN_BYTES
        case 3:
            return _has_user(text.data, end)
        case 4:
            return _has_credentials(text, end)
        case 6:
            return _has_row(text, end)
    return True


def begins_part(data: bytes, begin: int) -> bool:
    """Return True if no part of a name or a token goes on into the word: an escape before it is none."""
    before = data[max(0, begin - 6) : begin]
    last = before[-1:]
    return (
        not last.isalnum()
        or before[-2:-1] == b"\\"
        or before[-3:-2] == b"%"
        or (len(before) == 6 and before.startswith(b"\\u"))
        or (last.islower() and data[begin : begin + 1].isupper())
    )


def _run(data: bytes, at: int) -> bytes:
    return cast("re.Match[bytes]", _RUN.match(data, at))[0]


def _has_user(data: bytes, at: int) -> bool:
    end = _USER_END.search(data, at, at + MAX_ADDRESS_BYTES + 4)
    return end is not None and end.start() < at + MAX_ADDRESS_BYTES and end[0][:1] in {b"@", b"%"}


def _has_credentials(text: _Text, at: int) -> bool:
    """Return True if a blank, or an encoded one, and a word that is none of prose follow."""
    begin = at
    while begin < at + MAX_SKIPPED_SIGNS and (width := _BLANK_WIDTHS.get(text.at(begin))):
        begin += width
    word = _run(text.data, begin)
    return begin > at and len(word) >= MIN_RUN_BYTES and _ODD_WORD.search(word) is not None


def _has_row(text: _Text, end: int) -> bool:
    """Return True if rows of an `INSERT` follow, and in them or behind them a quoted text, or `%27`.

    Rows of placeholders and numbers have none: a statement is not looked at more closely each time that it is logged.
    """
    limit = len(text.data) if text.is_json else min(len(text.data), end + MAX_COLUMNS_BYTES)
    at = _place_of(_VALUES_IN_JSON if text.is_json else _VALUES, text, text.values, end, limit)
    text.values = end, at
    if at >= limit or text.is_end(at):
        return False
    begin = at + len("values")
    limit = len(text.data) if text.is_json else min(len(text.data), begin + MAX_ROWS_BYTES)
    at = _place_of(_QUOTED_TEXT, text, text.no_text, begin, limit)
    text.no_text = begin, at
    return at < limit and not text.is_end(at)


def _place_of(pattern: re.Pattern[bytes], text: _Text, known: tuple[int, int], begin: int, limit: int) -> int:
    """Return where a pattern matches first at or behind a place; the limit, or more, if it does not before that."""
    match = pattern.search(text.data, known[1] if known[0] <= begin <= known[1] else begin, limit + 5)
    return match.start() if match else limit


def _name_around(text: _Text, begin: int, end: int) -> tuple[int, int]:
    """Return where the name that a word is part of begins and ends; the letter of an escape is no part of it."""
    tail_end = cast("re.Match[bytes]", _TAIL.match(text.data, end)).end()
    before = text.data[max(0, begin - MAX_NAME_BYTES) : begin]
    head = begin - len(before) + len(before.rstrip(_NAME_BYTES))
    if text.is_json and text.at(head - 1) == ord("\\") and text.at(head) in b"nrtbfu":
        letters = 5 if text.at(head) == ord("u") else 1
        head += letters if head + letters <= begin else 0
    return head, tail_end


def _is_assigned(text: _Text, begin: int, end: int) -> bool:  # noqa: C901 — as in C
    """Return True if what follows a name can be its value."""
    data = text.data
    head, tail_end = _name_around(text, begin, end)
    before = text.at(head - 1)
    if data.startswith(b"--", head) or before == ord("<") or (before == ord(":") and _is_in_tag(data, head - 1)):
        return True
    at, has_blank, has_quote = tail_end, False, False
    for _ in range(MAX_SKIPPED_SIGNS):
        byte = text.at(at)
        if byte not in _SKIPPED:
            break
        if byte == ord("\\"):
            at = _escaped_at(text, at)
            if text.at(at) == ord("u"):
                return True
            has_blank = has_blank or text.at(at) in b"nrtbf"
            has_quote = has_quote or text.at(at) == ord('"')
        elif text.is_json and byte == ord('"'):  # the end of a name, or of a text
            if before == ord('"') and text.at(at + 1) == ord(","):
                return text.at(head - 2) == ord("[") or data.startswith(b'"value"', at + 2)
            at += 1
            if text.at(at) != ord(":"):
                return False
            break
        elif byte in _BLANKS:
            has_blank = True
        elif byte in _QUOTES:
            if has_blank:
                return True
            has_quote = True
        at += 1
    return _begins_value(text, at, data[end:tail_end], has_blank=has_blank, has_quote=has_quote)


def _begins_value(text: _Text, at: int, tail: bytes, *, has_blank: bool, has_quote: bool) -> bool:
    """Return True if a value begins, or a sign that assigns one, behind a name and what could be skipped."""
    data, byte = text.data, text.at(at)
    if data.startswith(b"</", at) or data[at : at + 5].lower() == b"value":
        return True
    if byte in b"=:":
        return not _is_harmless_value(text, at, tail)
    if byte == ord(","):
        return has_quote
    if byte == ord("("):
        return text.at(at + 1) in b"\"'\\" or _has_digit(data, at)
    is_sign = byte in b">%" or data.startswith(b"->", at) or _IS_SAID.match(data, at) is not None
    return is_sign or (has_blank and _has_digit(data, at))


def _escaped_at(text: _Text, at: int) -> int:
    """Return where the sign is that a backslash escapes; in JSON, two are one of the text, which escapes, too."""
    at += 1
    if text.is_json and text.at(at) == ord("\\") and text.at(at + 1) != ord('"'):
        at += 2 if text.at(at + 1) == ord("\\") else 1
    return at


def _is_in_tag(data: bytes, colon: int) -> bool:
    """Return True if a name space of XML stands before a colon: `<ns:password`."""
    return data[max(0, colon - MAX_NAME_BYTES - 1) : colon].rstrip(_NAME_BYTES).endswith(b"<")


def _is_harmless_value(text: _Text, sign: int, tail: bytes) -> bool:
    """Return True if a number of many, a flag, nothing or a mask is assigned: `max_tokens=512`, `"password":null`."""
    data = text.data
    if data.startswith(b"::", sign):
        return True
    begin = cast("re.Match[bytes]", _BEFORE_VALUE.match(data, sign + 1)).end()
    is_field = text.is_json and text.at(begin) == ord('"')
    if (_MASKED_FIELD if is_field else _MASKED).match(data, begin):
        return True
    is_count = tail != b"" and not tail.isdigit() and not tail.lower().endswith(b"code")
    value = _LITERAL.match(data, begin) or (_AMOUNT.match(data, begin) if is_count else None)
    if value is None or (text.is_json and data.startswith(b"\\u", value.end())):
        return False  # an escape that JSON has for a control character goes on with the value
    return value.end() >= len(data) or data[value.end()] in _ENDS_VALUE


def _has_digit(data: bytes, at: int) -> bool:
    """Return True if one of the next two words has a digit."""
    return _DIGIT_IN_TWO_WORDS.match(data, at, at + MAX_PROSE_BYTES) is not None


try:
    from dashcam.record._words import Search as _Search
except ImportError:  # there was no compiler to build it
    _Search = PythonSearch  # type: ignore[assignment, misc]

compile_words: Final[Callable[[Sequence[tuple[str, int]]], WordSearch]] = _Search
"""Return the search for words and their kinds."""
