"""The rules: where the value of a secret stands, given a word that can begin one.

Each rule gets a text as UTF-8 and the place of the word. It returns where the value stands, or None where no secret is.

A rule reads a value to its end only if it is a secret, and the search goes on behind it. Of everything else it reads a
bounded part, and `Name.reach` says how much that was where it can be more than a few hundred bytes. So masking takes a
time in proportion to the length of the text. The patterns keep to this: no repetition stands within another one or
beside one that could take the same bytes, unless it is possessive or bounded.
"""

import re
import string
from collections.abc import Callable, Container
from typing import Final, cast

from dashcam.record.masking import secret_values as values
from dashcam.record.masking.lazy_pattern import lazy_pattern
from dashcam.record.masking.secret_words import MAX_ADDRESS_BYTES, MAX_NAME_BYTES, OAUTH_CODES, USER_OPTIONS

Span = tuple[int, int]

_ASSIGNMENT = lazy_pattern(
    rb"(?P<tail>(?:\w|-(?!>)){0,48})(?P<between>(?:[\s\"'`)\]*]|\\.){0,16})"
    rb"(?P<sign>={1,3}>?|:=|:(?!:)|(?<=[\s\"'`])->(?=\s)|,|\()?(?P<blank>(?:\s?[|>][+-]?(?=\s{0,8}\n))?\s{0,8})",
    re.DOTALL,
)
# Up to the quote it began with: `password=…`, `"password": "…"`, `\"password\": \"…`, `b'password': b'…`.
_QUOTED = lazy_pattern(
    rb"[bBrRuUfF]{0,2}(?P<quote>\\{0,32}[\"'`])(?P<value>(?:[^\\\n\"'`]+|(?!(?P=quote))(?:\\(?:.|\Z)|[\"'`]))*)",
    re.DOTALL,
)
_BARE = lazy_pattern(rb"(?P<value>(?:(?i:bearer|basic|digest|token|negotiate|apikey)[ \t]+)?[^\s\"'&,;]+)")
_COOKIE = rb"(?:[\w!#$%&*.^|~+-]+=(?:\\*\"[^\"\n\\]*\\*\"|[^\s\"',;]*)|[^\s\"',;=]+)"
_COOKIES = lazy_pattern(rb"(?P<value>%b(?:;[ ]?%b)*)" % (_COOKIE, _COOKIE))
_CREDENTIALS = lazy_pattern(
    rb"(?P<value>(?i:digest|aws4-|oauth|hawk|signature|mac\b|scram)[\w-]*[ \t]+[^\n\"']*(?:\"[^\"\n]*\"[^\n\"']*)*"
    rb"|(?:[A-Za-z][\w-]{1,30}[ \t]+)?[^\s\"',;]+)"
)
_MASK: Final = b"***"  # a value that begins with it is not read to its end
_READ_BYTES = values.MAX_KEPT_BYTES + 160  # of a value and what stands before it
_OPENERS: Final = frozenset({b"[", b"{", b"("})
_PART = lazy_pattern(
    rb"[\[\](){}]|(?P<quote>\\{0,32}[\"'])(?P<value>(?:[^\\\"']++|(?!(?P=quote))(?:\\.|[\"']))*+)(?P=quote)(?P<colon>\s*+:)?",
    re.DOTALL,
)
_SEPARATORS = lazy_pattern(rb"[\s,=:()\[\]{}]+")
_MAX_CONTAINER_BYTES = 4_000
_MAX_DEPTH = 4  # deeper ones are masked to their limit, so none is looked at more often than that
_XML = lazy_pattern(
    rb"[\w.-]{0,48}(?:\s[^<>]{0,200})?>(?:<!\[CDATA\[)?(?P<value>(?:[^<\]]+|\](?!\]>))+)"  # up to `<` or `]]>`
)
_PLIST = lazy_pattern(rb"[\w.-]{0,48}</\w{1,20}>\s{0,20}<(?:string|value)[^<>]{0,80}>(?P<value>[^<]{1,2000})")
_COLUMNS = lazy_pattern(rb"(?:\s?,[\w\" ]{1,200})?\)=\((?P<value>[^()\n]{1,2000})")
_SQL = lazy_pattern(rb"\s{1,4}(?:by\s)?\\{0,32}'", re.IGNORECASE)
_SQL_FUNCTION = lazy_pattern(rb"\s?\(\\{0,32}'")
_MAX_TEXT_BYTES = 2_000  # of XML and SQL
_OPTION = lazy_pattern(
    rb"[\\\"']{0,4}[,\s]{1,4}\\{0,32}(?P<value>(?<=[\"'\\])[^\"'\n\\]{1,2000}|[^\s\"'&,;-][^\s\"'&,;]*)"
)
_OPTION_QUOTED = lazy_pattern(rb"[\\\"']{0,4}[,\s]{1,4}\\{0,32}[\"'](?P<value>[^\"'\n\\]{1,2000})")
_PROSE = lazy_pattern(
    rb"\s{1,4}(?P<verb>(?:is|was|code|of|code is):?\s{1,4})?(?P<value>[^\s\"'`,;()]{4,200})", re.IGNORECASE
)
_SAID = lazy_pattern(rb"\s{1,4}(?:is|was):? \\{0,32}(?P<quote>[\"'`])(?P<value>[^\"'`\\\n]{1,200})\\{0,32}(?P=quote)")
_IN_BRACKETS = lazy_pattern(rb"\s{1,2}\(\\{0,3}[\"'`]?(?P<value>[!#-&*-\[\]-_a-~]{5,60})\\{0,3}[\"'`]?\)")
_USER_OPTION = lazy_pattern(
    rb"(?P<between>[\\\"']{0,4}[=,\s]?\s{0,4}\\{0,3}(?P<quote>[\"'])?)(?:[^\s:\"'\\/=,-][^\s:\"'\\/=,]{0,64})?:"
    rb"(?P<value>(?(quote)[^\"'\\\n]{1,400}|(?!/)[^\s\"'\\]{1,400}))"
)
_CURL = lazy_pattern(rb"\bcurl\b")
_OAUTH_CODE = lazy_pattern(rb"(?P<value>[^\s&\"'#<>\\]{6,1000})(?P<rest>[^\s\"'<>]{0,400})")
_CALLBACKS: Final = (b"callback", b"callback/", b"/cb", b"/cb/")
_NAME_VALUE = lazy_pattern(
    rb"\\{0,32}[\"']\s{0,4},?\s{0,4}\\{0,32}[\"']?value\\{0,32}[\"']?\s{0,4}[=:]\s{0,4}\\{0,32}[\"']"
    rb"(?P<value>(?:[^\"'\\\n]+|\\[^\"'])*)",
    re.IGNORECASE,
)
_USER = lazy_pattern(rb"(?P<user>[^\s/?#\"'<>]*)(?P<next>\S)?")
_USER_AND_PASSWORD = lazy_pattern(rb"(?P<value>[^\s/@:\[\"'<>]*:(?!\d{1,5}(?:[/?#]|\Z))[^\s\"'<>@]{1,400})@(?=\S)")
_SCHEME = lazy_pattern(rb"\s{1,8}(?P<value>[\w.~+/=-]{6,})")
_ODD_WORD = lazy_pattern(rb"\d|[a-z][A-Z]|.{20}")
_PEM = lazy_pattern(
    rb"(?i:-{2,5} ?begin)[A-Z0-9 +_]{1,40}PRIVATE[ +_]KEY(?:[ +_]BLOCK)?[ ]?-{4,5}(?P<value>.)", re.DOTALL
)
_PEM_END = lazy_pattern(rb"-{4,5} ?END")
_PUTTY = lazy_pattern(rb"private-lines:[ ]?\d{1,3}(?P<value>.)", re.DOTALL)  # in lower case
_PUTTY_END = lazy_pattern(rb"private-mac", re.IGNORECASE)
_MAX_PUTTY_BYTES = 4_000
_IDENTIFIED = lazy_pattern(
    rb"\s{1,4}(?:with\s{1,4}\S{1,40}\s{1,4})?(?:by|as)\s{1,4}(?:password\s{1,4})?\\{0,32}['\"](?P<value>[^'\"\\\n]{1,2000})",
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
    """A name in a text, with what is assigned to it; `reach` is how far its rules have read."""

    __slots__ = ("assignment", "data", "end", "folded", "head", "is_weak", "reach", "tail", "text", "word")

    def __init__(self, data: bytes, begin: int, end: int, *, is_weak: bool) -> None:
        before = data[max(0, begin - MAX_NAME_BYTES) : begin]
        self.data, self.is_weak = data, is_weak
        self.head = begin - len(before) + len(before.rstrip(_NAME_BYTES))
        self.assignment = cast("re.Match[bytes]", _ASSIGNMENT.match(data, end))  # each of its parts may be empty
        self.tail = self.assignment["tail"]
        self.end = self.reach = end + len(self.tail)
        self.word, self.text = data[begin:end].lower(), data[self.head : self.end]
        self.folded = self.text.lower()

    def is_secret(self, value: bytes) -> bool:
        """Return True unless a value is a count of many, a flag, a placeholder, or not shaped as a secret."""
        if len(value) > values.MAX_KEPT_BYTES:
            return self.is_long_secret(value)
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
        return not self._is_folder(value)

    def is_long_secret(self, value: bytes) -> bool:
        """Return True for a value longer than `MAX_KEPT_BYTES`, unless it begins as no secret of this name can."""
        begin = value[: values.MAX_KEPT_BYTES]
        return not (self.is_weak and not values.is_shaped(self.word, begin)) and not self._is_folder(begin)

    def _is_folder(self, value: bytes) -> bool:
        return self.word == b"pwd" and _PATH.match(value) is not None

    def holds_numbers(self) -> bool:
        """Return True if a number can be the secret: of one password, but not of `tokens` or `token_count`."""
        return not self.tail or self.tail.isdigit() or self.tail.lower().endswith(b"code")


def named(name: Name) -> Span | None:
    """Find the value of a name in any notation: an assignment, a pair, XML, an option, SQL, prose."""
    if values.is_named_harmless(name.text) or _says_otherwise(name):
        return None
    for notation in _NOTATIONS.get(name.data[name.end : name.end + 1], ()):
        if span := notation(name):
            return span
    return None


def _says_otherwise(name: Name) -> bool:
    """Return True for a parser's token, a file, and the name of a resource."""
    if not name.folded.endswith((b"token", b"passwd", b"secret")):
        return False
    before = name.data[max(0, name.head - _MAX_BEFORE_BYTES) : name.end].lower()
    if before.endswith(b"token"):
        spoken = before.removesuffix(b"token")
        return (spoken[:-1] if spoken.endswith((b" ", b"_", b"-")) else spoken).endswith(_OF_PARSERS)
    return before.endswith(b"/etc/passwd") or (before.endswith(b":secret") and _RESOURCE.search(before) is not None)


def _assigned(name: Name) -> Span | None:
    match = name.assignment
    sign, at = match["sign"], match.end()
    if not sign or sign in b",(":
        return None
    if b")" in match["between"] and (columns := _COLUMNS.match(name.data, name.end)):
        return columns.span("value")
    if sign == b"->" and b")" in match["between"]:
        return None  # `parse(token) -> Token2`
    if name.data[at : at + 1] in _OPENERS:
        return _container(name, at)
    if name.data.startswith(_MASK, at):
        return at, at + len(_MASK)
    if quoted := _read_value(name, _QUOTED, at):
        return (
            quoted.span("value") if name.is_secret(value := quoted["value"]) and not values.is_message(value) else None
        )
    if b"authorization" in name.folded:
        bare = _CREDENTIALS.match(name.data, at)
    elif b"cookie" in name.folded:
        bare = _COOKIES.match(name.data, at)
    else:
        bare = _read_value(name, _BARE, at)
    return bare.span("value") if bare and _is_bare_secret(name, bare) else None


def _read_value(name: Name, pattern: re.Pattern[bytes], at: int) -> re.Match[bytes] | None:
    """Return the match of a value; only of the begin of a long one that is not a secret."""
    match = pattern.match(name.data, at, at + _READ_BYTES)
    if match is None or match.end() < at + _READ_BYTES or match["value"].startswith(_MASK):
        return match
    if not name.is_long_secret(match["value"]):
        return match
    return pattern.match(name.data, at)


def _is_bare_secret(name: Name, bare: re.Match[bytes]) -> bool:
    value, sign = bare["value"], name.assignment["sign"]
    if len(value) > values.MAX_KEPT_BYTES:
        return name.is_long_secret(value)
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
    is_list = sign == b":" and _PLURAL.match(name.tail) is not None and b"cookie" not in name.folded
    if is_list and b"=" in value:
        return False  # `Tokens: prompt=12, completion=40`
    is_below = sign == b":" and b"\n" in name.assignment["blank"]
    return not (is_list or is_below) or values.has_digit(value)


def _container(name: Name, at: int) -> Span | None:
    """Return where a list or an object stands, unless it holds only numbers, types or messages."""
    limit = min(len(name.data), at + _MAX_CONTAINER_BYTES)
    name.reach, is_closed, texts = _read_container(name.data, at, limit)
    if texts:
        is_secret = any(not (values.is_harmless(text) or values.is_message(text)) for text in texts)
    else:
        is_secret = any(map(values.is_mixed, _SEPARATORS.split(name.data[at : name.reach])))
    return (at, name.reach if is_closed else limit) if is_secret else None


def _read_container(data: bytes, at: int, limit: int) -> tuple[int, bool, list[bytes]]:
    """Return where reading ended, True if that is the container's end, and its texts but for the names of fields."""
    depth, texts = 0, []
    for part in _PART.finditer(data, at, limit):
        if part["quote"]:
            if not part["colon"]:
                texts.append(part["value"])
            continue
        depth += 1 if part[0] in _OPENERS else -1
        if not 0 < depth <= _MAX_DEPTH:
            return part.end(), depth == 0, texts
    return limit, False, texts


def _paired(name: Name) -> Span | None:
    """Find the value in `('X-Api-Key', '…')`, `["--password", "…"]`, `{"name": "API_KEY", "value": "…"}`."""
    if match := _read_value(name, _NAME_VALUE, name.end):
        return match.span("value") if name.is_secret(match["value"]) else None
    comma = name.assignment
    if comma["sign"] != b"," or not any(quote in comma["between"] for quote in (b'"', b"'", b"`")):
        return None
    quoted = _read_value(name, _QUOTED, comma.end())
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
    before = name.data[name.head - 1 : name.head] if name.head else b""
    is_prefixed = before == b":" and b"<" in name.data[max(0, name.head - MAX_NAME_BYTES) : name.head]
    is_element = is_prefixed or before in {b"<", b"."}
    limit = name.end + _MAX_TEXT_BYTES
    match = _XML.match(name.data, name.end, limit) if is_element else None
    if match is None or limit <= match.end() < len(name.data):
        match = _PLIST.match(name.data, name.end) if name.data[name.end : name.end + 1] in {b"<", b"."} else None
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
    function = _SQL_FUNCTION.match(name.data, name.end)
    opened = function or _SQL.match(name.data, name.end)
    if opened is None or (span := _quoted_in_sql(name.data, opened.end())) is None:
        return None
    if not name.is_secret(value := name.data[slice(*span)]):
        return None
    return span if function or _PASSWORD.search(name.text) or values.is_mixed(value) else None


def _quoted_in_sql(data: bytes, begin: int) -> Span | None:
    """Return where a text stands that ends at a quote, with the backslashes before that."""
    end = data.find(b"'", begin, begin + _MAX_TEXT_BYTES + 1)
    if end <= begin or data.find(b"\n", begin, end) >= 0:
        return None
    return begin, begin + max(1, len(data[begin:end].rstrip(b"\\")))


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


def _in_words(name: Name) -> Span | None:
    """Find a value behind a blank, in the notations that its first byte allows."""
    first = name.data[name.end : name.end + 5].lstrip()[:1].lower()
    for notation in _BY_FIRST_BYTE.get(first, (_in_prose,)):
        if span := notation(name):
            return span
    return None


_Notations = dict[bytes, tuple[Callable[[Name], Span | None], ...]]
_BY_FIRST_BYTE: Final[_Notations] = {
    **dict.fromkeys((b"'", b"\\"), (_in_sql, _in_prose)),
    b"(": (_in_sql, _in_brackets),
    b"b": (_in_sql, _in_prose),
    **dict.fromkeys((b"i", b"w"), (_said, _in_prose)),
}
# By the byte that follows a name, in the order in which they are tried.
_NOTATIONS: Final[_Notations] = {
    **dict.fromkeys((b"=", b":"), (_assigned,)),
    **dict.fromkeys((b'"', b"'", b"\\", b"`", b")", b"]", b"*"), (_assigned, _paired, _of_option)),
    **dict.fromkeys((b" ", b"\t", b"\n", b"\r", b"\v", b"\f"), (_assigned, _in_xml, _paired, _of_option, _in_words)),
    **dict.fromkeys((b"<", b">", b".", b"-"), (_in_xml,)),
    b"(": (_in_sql,),
    b",": (_of_option,),
}


def address(data: bytes, _: int, end: int) -> Span | None:
    """Find user and password in an address."""
    limit = end + MAX_ADDRESS_BYTES
    if data.find(b"@", end, limit) < 0:
        return None
    user = cast("re.Match[bytes]", _USER.match(data, end, limit))
    before = user["user"] if user["next"] else user["user"].removesuffix(b"@")
    if (at := before.replace(b":@", b"::").rfind(b"@")) > 0:
        return end, end + at
    match = _USER_AND_PASSWORD.match(data, end, limit)
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
    before = data[max(0, begin - 300) : begin].lower()
    if b"curl" in before and _CURL.search(before):
        return match.span("value")
    is_one = match["between"] and values.is_mixed(value) and not any(sign in value for sign in b":/")
    return match.span("value") if is_one and not values.is_number(value) else None


def oauth_code(data: bytes, begin: int, end: int) -> Span | None:
    """Find the code of OAuth in the query of a URL: beside `state=`, or where the path ends in `callback`."""
    is_callback = _is_callback(data[max(0, begin - 400) : begin + 1].lower())
    if not is_callback and data.find(b"&state=", end, end + 1_400) < 0:
        return None
    match = _OAUTH_CODE.match(data, end)
    if match is None or values.is_harmless(match["value"]):
        return None
    return match.span("value") if is_callback or b"&state=" in match["rest"] else None


def _is_callback(before: bytes) -> bool:
    path, mark, query = before.rsplit(maxsplit=1)[-1].rpartition(b"?")
    return (mark != b"" and path.endswith(_CALLBACKS)) or b"&state=" in (b"&" + query if mark else query)


_INSERT = lazy_pattern(
    rb"\s{1,8}[\w.\"`\[\]\\]{1,100}\s{0,8}\((?P<columns>[^()]{1,2000})\)\s{0,8}VALUES\s{0,8}(?=\()", re.IGNORECASE
)
_SQL_PART = lazy_pattern(
    rb"[eEnN]?\\{0,32}'(?P<value>(?:[^'\\\n]++|''|\\[^'\n])*)\\{0,32}'|\\{0,32}\"(?P<other>[^\"\\\n]*)\\{0,32}\""
    rb"|[(),;]|(?i:insert|replace) "  # of the next statement
)


def inserted_columns(data: bytes, end: int) -> tuple[list[str], int]:
    """Return the columns of an `INSERT`, and where its rows begin; no columns if it is another statement."""
    statement = _INSERT.match(data, end)
    if statement is None:
        return [], end
    columns = statement["columns"].decode("utf-8", "replace").split(",")
    return [column.strip(" \n\t\"'`[]\\") for column in columns], statement.end()


def inserted_texts(data: bytes, at: int, columns: Container[int]) -> tuple[list[tuple[int, Span]], int]:
    """Return the texts that the rows of an `INSERT` have in some columns, and how far was read."""
    found: list[tuple[int, Span]] = []
    depth = column = 0
    limit = min(len(data), at + _MAX_CONTAINER_BYTES)
    for part in _SQL_PART.finditer(data, at, limit):
        sign = part[0]
        depth += (sign == b"(") - (sign == b")")
        if sign == b";" or sign[-1:] == b" " or depth > _MAX_DEPTH:
            return found, part.end()
        column = column + 1 if sign == b"," and depth == 1 else 0 if depth == 0 else column
        if sign[-1:] in {b"'", b'"'} and depth == 1 and column in columns:
            found.append((column, part.span("value" if part["value"] is not None else "other")))
    return found, limit


def private_key(data: bytes, begin: int, _: int) -> Span | None:
    """Find a private key in PEM up to its end, or to that of the text."""
    match = _PEM.match(data, begin)
    return _up_to(_PEM_END, data, match.start("value")) if match else None


def putty_key(data: bytes, _: int, end: int) -> Span | None:
    """Find the private lines of a PuTTY key up to their end, or to that of the text."""
    follows = data[end : end + _MAX_PUTTY_BYTES].lower()
    if not follows.startswith(b"-file") or (match := _PUTTY.search(follows)) is None:
        return None
    return _up_to(_PUTTY_END, data, end + match.start("value"))


def _up_to(pattern: re.Pattern[bytes], data: bytes, begin: int) -> Span:
    if data.startswith(_MASK, begin):
        return begin, begin + len(_MASK)
    end = pattern.search(data, begin + 1)
    return begin, end.start() if end else len(data)


def _by_pattern(pattern: re.Pattern[bytes]) -> Callable[[bytes, int, int], Span | None]:
    def find(data: bytes, _: int, end: int) -> Span | None:
        match = pattern.match(data, end)
        return match.span("value") if match else None

    return find


_ANYWHERE: Final = {
    b"---begin": private_key,
    b"-- begin": private_key,
    b"putty-user-key": putty_key,
    b"identified": _by_pattern(_IDENTIFIED),
    b"<cookie": _by_pattern(_COOKIE_OBJECT),
    b"morsel:": _by_pattern(_COOKIE_OBJECT),
    **dict.fromkeys((word.encode() for word in USER_OPTIONS), user_option),
    **dict.fromkeys((word.encode() for word in OAUTH_CODES), oauth_code),
}


def anywhere(data: bytes, begin: int, end: int) -> Span | None:
    """Find a private key, a password of SQL or an option, a code of OAuth, or the value of a cookie in Python."""
    rule = _ANYWHERE.get(data[begin:end].lower())
    return rule(data, begin, end) if rule else None  # a longer word that ends in `pw`
