"""The rules: where the value of a secret stands, given a word that can begin one.

Each rule gets a text as UTF-8 and the place of the word, and looks at a bounded part around it, so that masking takes a
time in proportion to the length of the text. It returns where the value stands, or None where no secret is.
"""

import re
import string
from typing import Final

from dashcam.record.masking import secret_values as values
from dashcam.record.masking.lazy_pattern import lazy_pattern
from dashcam.record.masking.secret_words import MAX_NAME_BYTES, OAUTH_CODES, USER_OPTIONS

Span = tuple[int, int]

_ASSIGNMENT = lazy_pattern(
    rb"(?P<tail>(?:\w|-(?!>)){0,48})(?P<between>(?:[\s\"'`)\]*]|\\.){0,16})"
    rb"(?P<sign>={1,3}>?|:=|:(?!:)|(?<=[\s\"'`])->(?=\s)|,|\()?(?P<blank>(?:\s?[|>][+-]?(?=\s{0,8}\n))?\s{0,8})",
    re.DOTALL,
)
# Up to the quote it began with: `password=…`, `"password": "…"`, `\"password\": \"…`, `b'password': b'…`.
_QUOTED = lazy_pattern(
    rb"[bBrRuUfF]{0,2}(?P<quote>\\*[\"'`])(?P<value>(?:\\.|[^\\\n])*?)(?=(?P=quote)|\n|\Z)", re.DOTALL
)
_BARE = lazy_pattern(rb"(?P<value>(?:(?i:bearer|basic|digest|token|negotiate|apikey)[ \t]+)?[^\s\"'&,;]+)")
_COOKIE = rb"(?:[\w!#$%&*.^|~+-]+=(?:\\*\"[^\"\n\\]*\\*\"|[^\s\"',;]*)|[^\s\"',;=]+)"
_COOKIES = lazy_pattern(rb"(?P<value>%b(?:;[ ]?%b)*)" % (_COOKIE, _COOKIE))
_CREDENTIALS = lazy_pattern(
    rb"(?P<value>(?i:digest|aws4-|oauth|hawk|signature|mac\b|scram)[\w-]*[ \t]+[^\n\"']*(?:\"[^\"\n]*\"[^\n\"']*)*"
    rb"|(?:[A-Za-z][\w-]{1,30}[ \t]+)?[^\s\"',;]+)"
)
_BRACKET = lazy_pattern(rb"[\[\](){}]|(?P<quote>\\*[\"'])(?:\\.|[^\\])*?(?P=quote)", re.DOTALL)
_STRING = lazy_pattern(rb"(?P<quote>\\*[\"'])(?P<value>(?:\\.|[^\\])*?)(?P=quote)", re.DOTALL)
_MAX_CONTAINER_BYTES = 4_000
_MAX_DEPTH = 4  # deeper ones are masked to their limit, so none is looked at more often than that
_COLON = lazy_pattern(rb"\s*:")
_XML = lazy_pattern(rb"[\w.-]{0,48}(?:\s[^<>]{0,200})?>(?:<!\[CDATA\[)?(?P<value>[^<]{1,2000}?)(?=\]\]>|<|\Z)")
_PLIST = lazy_pattern(rb"[\w.-]{0,48}</\w{1,20}>\s{0,20}<(?:string|value)[^<>]{0,80}>(?P<value>[^<]{1,2000})")
_COLUMNS = lazy_pattern(rb"(?:\s?,[\w\" ]{1,200})?\)=\((?P<value>[^()\n]{1,2000})")
_SQL = lazy_pattern(rb"\s{1,4}(?:by\s)?\\*'(?P<value>[^'\n]{1,2000}?)(?=\\*')", re.IGNORECASE)
_SQL_FUNCTION = lazy_pattern(rb"\s?\(\\*'(?P<value>[^'\n]{1,2000}?)(?=\\*')")
_OPTION = lazy_pattern(rb"[\\\"']{0,4}[,\s]{1,4}\\*(?P<value>(?<=[\"'\\])[^\"'\n\\]{1,2000}|[^\s\"'&,;-][^\s\"'&,;]*)")
_OPTION_QUOTED = lazy_pattern(rb"[\\\"']{0,4}[,\s]{1,4}\\*[\"'](?P<value>[^\"'\n\\]{1,2000})")
_PROSE = lazy_pattern(
    rb"\s{1,4}(?P<verb>(?:is|was|code|of|code is):?\s{1,4})?(?P<value>[^\s\"'`,;()]{4,200})", re.IGNORECASE
)
_SAID = lazy_pattern(rb"\s{1,4}(?:is|was):? \\*(?P<quote>[\"'`])(?P<value>[^\"'`\\\n]{1,200})\\*(?P=quote)")
_IN_BRACKETS = lazy_pattern(rb"\s{1,2}\(\\{0,3}[\"'`]?(?P<value>[!#-&*-\[\]-_a-~]{5,60})\\{0,3}[\"'`]?\)")
_USER_OPTION = lazy_pattern(
    rb"(?P<between>[\\\"']{0,4}[=,\s]?\s{0,4}\\{0,3}(?P<quote>[\"'])?)(?:[^\s:\"'\\/=,-][^\s:\"'\\/=,]{0,64})?:"
    rb"(?P<value>(?(quote)[^\"'\\\n]{1,400}|(?!/)[^\s\"'\\]{1,400}))"
)
_CURL = lazy_pattern(rb"(?i:\bcurl\b)")
_OAUTH_CODE = lazy_pattern(rb"(?P<value>[^\s&\"'#<>\\]{6,1000})(?P<rest>[^\s\"'<>]{0,400})")
_CALLBACK = lazy_pattern(rb"(?:callback|/cb)/?\?[^\s?]{0,400}\Z|[?&]state=[^\s?]{0,400}\Z", re.IGNORECASE)
_NAME_VALUE = lazy_pattern(
    rb"\\*[\"']\s{0,4},?\s{0,4}\\*[\"']?value\\*[\"']?\s{0,4}[=:]\s{0,4}\\*[\"'](?P<value>(?:[^\"'\\\n]|\\[^\"'])*)",
    re.IGNORECASE,
)
_USER = lazy_pattern(
    rb"(?P<value>[^\s/?#\"'<>]*[^\s/?#\"'<>:]|[^\s/@:\[\"'<>]*:(?!\d{1,5}(?:[/?#]|\Z))[^\s\"'<>@]{1,400})@(?=\S)"
)
_SCHEME = lazy_pattern(rb"\s{1,8}(?P<value>[\w.~+/=-]{6,})")
_ODD_WORD = lazy_pattern(rb"\d|[a-z][A-Z]|.{20}")
_PEM = lazy_pattern(
    rb"(?i:-{2,5} ?begin)[A-Z0-9 +_]{1,40}PRIVATE[ +_]KEY(?:[ +_]BLOCK)?[ ]?-{4,5}(?P<value>.+?)(?=-{4,5} ?END|\Z)",
    re.DOTALL,
)
_PUTTY = lazy_pattern(
    rb"-file.{0,4000}?private-lines:[ ]?\d{1,3}(?P<value>.+?)(?=private-mac|\Z)", re.IGNORECASE | re.DOTALL
)
_IDENTIFIED = lazy_pattern(
    rb"\s{1,4}(?:with\s{1,4}\S{1,40}\s{1,4})?(?:by|as)\s{1,4}(?:password\s{1,4})?\\*['\"](?P<value>[^'\"\\\n]{1,2000})",
    re.IGNORECASE,
)
_COOKIE_OBJECT = lazy_pattern(rb"\s{1,4}[\w.-]{1,100}=(?P<value>[^\s>;,]{1,4000})")
# What a parser's token is called.
_OF_PARSERS: Final = tuple(
    b"unexpected syntax expected next current last lexer parse eof illegal unknown near invalid".split()
)
_RESOURCE = lazy_pattern(rb"arn:aws[\w-]{0,20}:secretsmanager:[\w-]{0,20}:\d{0,12}:secret\Z")  # its name
_MAX_BEFORE_BYTES = 80
_NAME_BYTES: Final = (string.ascii_letters + string.digits + "_-").encode()
_PLURAL = lazy_pattern(rb"(?i:s(?:[_-].*)?)\Z")
_PATH = lazy_pattern(rb"[/~.]|[A-Za-z]:\\|[A-Za-z]:/|%2[fF]")
_IDENTIFIER = lazy_pattern(rb"[A-Za-z_]+")
_IS_HEADER = lazy_pattern(rb"(?i:-|authorization|cookie)")
_PASSWORD = lazy_pattern(rb"(?i:passw(?:or)?d|pwd|passphrase)\Z")
_SPEAKS = lazy_pattern(rb"(?i:secret|cookie|credential|auth|code)")


class Name:
    """A name in a text, with what is assigned to it."""

    __slots__ = ("data", "end", "folded", "head", "is_weak", "tail", "text", "word")

    def __init__(self, data: bytes, begin: int, end: int, *, is_weak: bool) -> None:
        before = data[max(0, begin - MAX_NAME_BYTES) : begin]
        after = _ASSIGNMENT.match(data, end)
        self.data, self.is_weak = data, is_weak
        self.head = begin - len(before) + len(before.rstrip(_NAME_BYTES))
        self.tail = after["tail"] if after else b""
        self.end = end + len(self.tail)
        self.word, self.text = data[begin:end].lower(), data[self.head : self.end]
        self.folded = self.text.lower()

    def is_secret(self, value: bytes) -> bool:
        """Return True unless a value is a count of many, a flag, a placeholder, or not shaped as a secret."""
        if values.is_harmless(value) or (value[-1:] in b")]}" and values.is_harmless(value.rstrip(b")]}"))):
            return False
        is_parameter = self.word == b"sig" and self.data[self.head - 1 : self.head] in {b"?", b"&"}
        if self.is_weak and not values.is_shaped(self.word, value) and not (is_parameter and len(value) >= 6):
            return False
        if self.word == b"pw" and value[:1].isdigit() and len(value) < 6:
            return False  # a width in pixels
        if values.is_number(number := value.rstrip(b".,;:)]}")):
            is_few = self.word == b"token" and len(number) < 4
            return self.holds_numbers() and number[-1:].isdigit() and not is_few
        is_folder = self.word == b"pwd" and _PATH.match(value) is not None
        return not is_folder

    def holds_numbers(self) -> bool:
        """Return True if a number can be the secret: of one password, but not of `tokens` or `token_count`."""
        return not self.tail or self.tail.isdigit() or self.tail.lower().endswith(b"code")


def named(name: Name) -> Span | None:
    """Find the value of a name in any notation: an assignment, a pair, XML, an option, SQL, prose."""
    if values.is_named_harmless(name.text) or _says_otherwise(name):
        return None
    for notation in (_assigned, _in_xml, _paired, _of_option, _in_sql, _said, _in_brackets, _in_prose):
        if span := notation(name):
            return span
    return None


def _says_otherwise(name: Name) -> bool:
    """Return True for a parser's token, a file, and the name of a resource."""
    before = name.data[max(0, name.head - _MAX_BEFORE_BYTES) : name.end].lower()
    if before.endswith(b"token"):
        spoken = before.removesuffix(b"token")
        return (spoken[:-1] if spoken.endswith((b" ", b"_", b"-")) else spoken).endswith(_OF_PARSERS)
    return before.endswith(b"/etc/passwd") or (before.endswith(b":secret") and _RESOURCE.search(before) is not None)


def _assigned(name: Name) -> Span | None:
    match = _ASSIGNMENT.match(name.data, name.end)
    if match is None or not match["sign"] or match["sign"] in b",(":
        return None
    if b")" in match["between"] and (columns := _COLUMNS.match(name.data, name.end)):
        return columns.span("value")
    if match["sign"] == b"->" and b")" in match["between"]:
        return None  # `parse(token) -> Token2`
    at = match.end()
    if name.data[at : at + 1] in {b"[", b"{", b"("}:
        return _container(name, at)
    if quoted := _QUOTED.match(name.data, at):
        value = quoted["value"]
        return quoted.span("value") if name.is_secret(value) and not values.is_message(value) else None
    is_cookie = b"cookie" in name.folded
    pattern = _CREDENTIALS if b"authorization" in name.folded else _COOKIES if is_cookie else _BARE
    bare = pattern.match(name.data, at)
    return bare.span("value") if bare and _is_bare_secret(name, bare, match["sign"], match["blank"]) else None


def _is_bare_secret(name: Name, bare: re.Match[bytes], sign: bytes, blank: bytes) -> bool:
    value = bare["value"]
    first, _, rest = value.partition(b" ")
    if values.is_code(value) or (rest and values.is_harmless(rest)) or not name.is_secret(value):
        return False
    if values.is_prose(first, is_sentence=sign == b":"):
        return False
    is_argument = name.data[bare.end() : bare.end() + 1] in {b",", b""} or value.endswith(b")")
    if is_argument and value.rstrip(b")").lower() == name.folded:
        return False  # `connect(password=password)`
    if sign == b"->" and not values.is_mixed(value):
        return False  # `token -> parsed`
    has_digit = values.has_digit(value)
    is_list = sign == b":" and _PLURAL.match(name.tail) is not None and b"cookie" not in name.folded
    if is_list and b"=" in value:
        return False  # `Tokens: prompt=12, completion=40`
    return has_digit or not (is_list or (sign == b":" and b"\n" in blank))


def _container(name: Name, at: int) -> Span | None:
    """Return where a list or an object stands, unless it holds only numbers, types or messages."""
    depth, limit = 0, min(len(name.data), at + _MAX_CONTAINER_BYTES)
    end = limit
    for bracket in _BRACKET.finditer(name.data, at, limit):
        depth += (bracket[0] in b"[({") - (bracket[0] in b"])}")
        if not 0 < depth <= _MAX_DEPTH:
            end = bracket.end()
            break
    inside = name.data[at:end]
    # The names of an object are followed by a colon; what it holds is not.
    texts = [string["value"] for string in _STRING.finditer(inside) if not _COLON.match(inside, string.end())]
    is_secret = any(not (values.is_harmless(text) or values.is_message(text)) for text in texts)
    if not texts:
        is_secret = any(values.is_mixed(word) for word in re.split(rb"[\s,=:()\[\]{}]+", inside))
    return (at, end if depth == 0 else limit) if is_secret else None


def _paired(name: Name) -> Span | None:
    """Find the value in `('X-Api-Key', '…')`, `["--password", "…"]`, `{"name": "API_KEY", "value": "…"}`."""
    if match := _NAME_VALUE.match(name.data, name.end):
        return match.span("value") if name.is_secret(match["value"]) else None
    comma = _ASSIGNMENT.match(name.data, name.end)
    if comma is None or comma["sign"] != b"," or not any(quote in comma["between"] for quote in (b'"', b"'", b"`")):
        return None
    quoted = _QUOTED.match(name.data, comma.end())
    if quoted is None or not name.is_secret(quoted["value"]):
        return None
    opener = name.data[max(0, name.head - 8) : name.head].rstrip(b"\\\"'`").rstrip(b"bB")[-1:]
    if _IDENTIFIER.fullmatch(quoted["value"]):
        is_secret = opener == b"(" and is_header(name.text)
    else:
        is_secret = opener in {b"(", b"["} or values.is_mixed(quoted["value"])
    return quoted.span("value") if is_secret or name.text.startswith(b"--") else None


def is_header(name: bytes) -> bool:
    """Return True if a name is that of an HTTP header, not of a field."""
    return _IS_HEADER.search(name) is not None


def _in_xml(name: Name) -> Span | None:
    before = name.data[max(0, name.head - MAX_NAME_BYTES) : name.head]
    is_element = before.endswith((b"<", b".")) or (before.endswith(b":") and b"<" in before)
    match = (_XML.match(name.data, name.end) if is_element else None) or _PLIST.match(name.data, name.end)
    return match.span("value") if match and name.is_secret(match["value"]) else None


def _of_option(name: Name) -> Span | None:
    if not name.text.startswith(b"--"):
        return None
    match = _OPTION_QUOTED.match(name.data, name.end) or _OPTION.match(name.data, name.end)
    if match is None or not name.is_secret(match["value"]) or values.is_prose(match["value"], is_sentence=True):
        return None
    is_example = match["value"].rstrip(b"].,)").replace(b"_", b"").isalpha() and match["value"].isupper()
    return None if is_example else match.span("value")  # `[--password PASSWORD]`


def _in_sql(name: Name) -> Span | None:
    if match := _SQL_FUNCTION.match(name.data, name.end):
        return match.span("value") if name.is_secret(match["value"]) else None
    match = _SQL.match(name.data, name.end)
    if match is None or not name.is_secret(match["value"]):
        return None
    return match.span("value") if _PASSWORD.search(name.text) or values.is_mixed(match["value"]) else None


def _said(name: Name) -> Span | None:
    """Find the value in "password is 'swordfish'"."""
    match = _SAID.match(name.data, name.end)
    if match is None or not name.is_secret(value := match["value"]):
        return None
    is_word = values.is_prose(value.split(b" ")[0], is_sentence=True) or values.is_message(value)
    is_secret = _PASSWORD.search(name.text) or values.is_mixed(value)
    return match.span("value") if is_secret and not is_word else None


def _in_brackets(name: Name) -> Span | None:
    """Find the value in "wrong password (hunter2)"."""
    match = _IN_BRACKETS.match(name.data, name.end)
    if match is None or name.is_weak or not name.is_secret(value := match["value"]):
        return None
    is_long = len(value) >= 8 or _PASSWORD.search(name.text) is not None
    is_one = values.has_digit(value) and is_long and values.is_mixed(value) and not values.is_algorithm(value)
    return match.span("value") if is_one and not any(sign in value for sign in b"=:/") else None


def _in_prose(name: Name) -> Span | None:
    """Find the value in "the password is k3jd8f2" and "token 7f0c1d2e expired"."""
    match = _PROSE.match(name.data, name.end)
    if match is None or not name.is_secret(match["value"]):
        return None
    value = match["value"].rstrip(b".:!?")
    if name.is_weak:
        return match.span("value") if value.isdigit() else None
    if match["verb"]:
        return match.span("value") if values.is_mixed(value) else None
    is_one = values.is_mixed(value) and len(value) >= 8 and not any(sign in value for sign in (b"=", b":", b"/", b"."))
    return match.span("value") if is_one and not _SPEAKS.search(name.text) else None


def address(data: bytes, _: int, end: int) -> Span | None:
    """Find user and password in an address."""
    match = _USER.match(data, end)
    return match.span("value") if match else None


def scheme(data: bytes, begin: int, end: int) -> Span | None:
    """Find what follows `Bearer` or `Basic`; a token has a digit, capitals in the middle, or is longer than a word."""
    match = _SCHEME.match(data, end)
    is_word = data[begin - 1 : begin].isalnum() if begin else False
    return match.span("value") if match and not is_word and _ODD_WORD.search(match["value"]) else None


def user_option(data: bytes, begin: int, end: int) -> Span | None:
    """Find the password in `curl -u ann:hunter2`; without `curl`, only one that is no word or number."""
    match = _USER_OPTION.match(data, end)
    if match is None or (not match["between"] and b"--" in data[begin:end]):
        return None
    value = match["value"]
    if values.is_harmless(value) or value.startswith(b"***"):
        return None
    if _CURL.search(data, max(0, begin - 300), begin):
        return match.span("value")
    is_one = match["between"] and values.is_mixed(value) and not any(sign in value for sign in b":/")
    return match.span("value") if is_one and not values.is_number(value) else None


def oauth_code(data: bytes, begin: int, end: int) -> Span | None:
    """Find the code of OAuth in the query of a URL: beside `state=`, or where the path ends in `callback`."""
    match = _OAUTH_CODE.match(data, end)
    if match is None or values.is_harmless(match["value"]):
        return None
    is_code = b"&state=" in match["rest"] or _CALLBACK.search(data, max(0, begin - 400), begin + 1)
    return match.span("value") if is_code else None


_INSERT = lazy_pattern(
    rb"\s{1,8}[\w.\"`\[\]\\]{1,100}\s{0,8}\((?P<columns>[^()]{1,2000})\)\s{0,8}VALUES\s{0,8}(?=\()", re.IGNORECASE
)
_SQL_PART = lazy_pattern(
    rb"[eEnN]?\\*'(?P<value>(?:[^'\\\n]|''|\\[^'\n])*)\\*'|\\*\"(?P<other>[^\"\\\n]*)\\*\""
    rb"|[(),;]|(?i:insert|replace) "  # of the next statement
)


def inserted(data: bytes, end: int) -> list[tuple[str, Span]]:
    """Return the texts that an `INSERT` has in its rows, each with the name of its column."""
    statement = _INSERT.match(data, end)
    if statement is None:
        return []
    columns = [name.strip(b" \n\t\"'`[]\\").decode("utf-8", "replace") for name in statement["columns"].split(b",")]
    found: list[tuple[str, Span]] = []
    depth = column = 0
    for part in _SQL_PART.finditer(data, statement.end(), statement.end() + _MAX_CONTAINER_BYTES):
        sign = part[0]
        depth += (sign == b"(") - (sign == b")")
        if sign == b";" or sign[-1:] == b" " or depth > _MAX_DEPTH:
            break
        column = column + 1 if sign == b"," and depth == 1 else 0 if depth == 0 else column
        if sign[-1:] in {b"'", b'"'} and depth == 1 and column < len(columns):
            found.append((columns[column], part.span("value" if part["value"] is not None else "other")))
    return found


_ANYWHERE: Final = {
    b"---begin": _PEM,
    b"-- begin": _PEM,
    b"putty-user-key": _PUTTY,
    b"identified": _IDENTIFIED,
    b"<cookie": _COOKIE_OBJECT,
    b"morsel:": _COOKIE_OBJECT,
}


_USER_OPTIONS = frozenset(word.encode() for word in USER_OPTIONS)
_OAUTH_CODES = frozenset(word.encode() for word in OAUTH_CODES)


def anywhere(data: bytes, begin: int, end: int) -> Span | None:
    """Find a private key, a password of SQL or an option, a code of OAuth, or the value of a cookie in Python."""
    word = data[begin:end].lower()
    if word in _USER_OPTIONS:
        return user_option(data, begin, end)
    if word in _OAUTH_CODES:
        return oauth_code(data, begin, end)
    pattern = _ANYWHERE.get(word)
    if pattern is None:
        return None  # a longer word that ends in `pw`
    match = pattern.match(data, begin if pattern is _PEM else end)
    return match.span("value") if match else None
