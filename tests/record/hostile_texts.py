"""Texts that could make masking slow: what a stranger could send as a path, a header or a body that is logged.

A shape is a name and what a text is made of: a head, a piece that is repeated, and a tail. `text_of` makes a text of
any length of it.
"""

import random
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from dashcam.record.masking.mask import WORDS


class Shape(NamedTuple):
    """A head, a piece that fills a share of the text, another that fills the rest, and a tail."""

    head: str
    piece: str
    share: float = 1.0
    rest: str = ""
    tail: str = ""


def text_of(shape: Shape, length: int) -> str:
    """Return a text of a shape; it has the length in ASCII."""
    room = length - len(shape.head) - len(shape.tail)
    count = int(room * shape.share)
    begin = (shape.piece * (count // len(shape.piece) + 1))[:count] if shape.piece else ""
    end = (shape.rest * ((room - count) // len(shape.rest) + 1))[: room - count] if shape.rest else ""
    return (shape.head + begin + end + shape.tail)[:length]


SIGNS = (
    "",
    " ",
    "=",
    "=x ",
    "=x7q2 ",
    "=x7q2&",
    ":",
    ": ",
    ": x",
    "='",
    '="',
    "=\\'",
    "='x' ",
    "=`",
    "\n",
    "\t",
    "\\",
    "\\\\",
)
SIGNS += (
    "\\n",
    "\\u0020",
    "'",
    '"',
    "`",
    "\\'",
    '\\"',
    "','",
    '","',
    "', '",
    '":"',
    '": "',
    "[",
    "(",
    "{",
    "<",
    ">",
    "=[",
)
SIGNS += (
    "=(",
    "={",
    "=['",
    "={'a':",
    "=[(",
    "('",
    "('x7",
    " (x7q2k)",
    "](",
    ")=(",
    ")=(a) ",
    ")",
    "]",
    "*",
    "**",
    "***",
)
SIGNS += (
    "1",
    "1 ",
    "12345678",
    "a",
    "aB3456789",
    "aaaaaaaa",
    "A",
    "-",
    "--",
    "_",
    ".",
    "/",
    "//",
    "@",
    "@a",
    "a@",
    "#",
    "$",
)
SIGNS += (
    "%",
    "%2",
    "%25",
    "%2525",
    "%3D",
    "%253D",
    "%20",
    "%40",
    "+",
    "~",
    "!",
    "?",
    "&",
    ";",
    ",",
    "|",
    ">x<",
    "></",
    "</a>",
)
SIGNS += (
    " is ",
    " is 'x'",
    " was x7q2",
    " -> ",
    " -> x7",
    "=>",
    ":=",
    "::",
    "==",
    "= ",
    " = ",
    " a",
    " 1",
    " x7q2k3",
    "€",
    "é",
)
SIGNS += (
    ": Digest a=",
    ": Bearer x ",
    ": a=1; ",
    "=a; ",
    ",value='",
    '", "value": "',
    " by 'x'",
    " values ('",
    " a:b7 ",
    " a:",
)
SIGNS += (
    "?",
    "?state=",
    "&state=",
    "a.b.",
    ".a",
    "aaaa.bbbb.",
    "0/",
    "0:",
    "---",
    "-----",
    "\r",
    "\v",
    "\x00",
    "=\\",
    "=\n",
)

# One word of each way through the rules; the test's long form has all.
CHOSEN = (
    "password",
    "token",
    "secret",
    "cookie",
    "authorization",
    "api_key",
    "auth_code",
    "jwt",
    "pwd",
    "sid",
    "sig",
    "pin",
)
CHOSEN += ("otp", "pass", "auth", "pw=", "pw'", "://", "%2f%2f", "%252f%252f", ":\\/\\/", "bearer", "basic", "---begin")
CHOSEN += ("identified", "putty-user-key", "<cookie", "morsel:", "insert into", " -u", "--user", "?code=", "&code=")
CHOSEN += ("sk-", "pypi-", "eyJ", "SG.", "AKIA", "A3T", "xoxb-", "xoxe", "ghp_", "key-", "dt0c01.", "hooks.slack.com/")
CHOSEN += ("api.telegram.org/bot", "webhook.office.com/", "dapi", "glpat-", "EAAA", "PMAK-", "1//0", "%3fcode%3d")

# What follows once, or is repeated, after many starts.
FILLS = (
    "a",
    " ",
    "0",
    "-",
    "_",
    ".",
    "a ",
    "a.",
    "a-",
    "a1",
    "A",
    "'",
    '"',
    "\\",
    "\\\\'",
    "[",
    "(",
    "{",
    "[(",
    "<",
    "%",
    "%25",
)
FILLS += (
    "\n",
    "a\n",
    "/",
    ":",
    "@",
    "=",
    "=;",
    "a=1;",
    ",",
    "a,",
    "(),",
    "'',",
    "é",
    "*",
    " -",
    "---",
    "a@",
    "a:",
    "\t",
    "b=",
)
FILLS += ("'a'", "{'a':", "['a',", '"a":', "\\n", "%2f", "<a ", "x='", "must be a ")

# Statements, blocks and notations whose end never comes.
BEGUN = (
    "insert into a (password) values (",
    "insert into a (password) values ('",
    "insert into a (password) values ('x'),",
    "insert into a (password,",
    "insert into a (",
    "insert into a values (",
    "insert into ",
    "insert ignore into a (b) values (",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----\nMII",
    "-----BEGIN A PRIVATE KEY",
    "-- begin a",
    "putty-user-key-file",
    "putty-user-key-file-2: a private-lines:",
    "putty-user-key-file-2: a private-lines: 1 ",
    "<password>",
    "<password a='",
    "<password ",
    "<a:password>",
    "<key>password</key>",
    "<key>password</key><string>",
    "password</key> <string ",
    "postgresql://",
    "postgresql://a:",
    "http://a:1/",
    "http://a b@",
    "http%3A%2F%2Fa",
    "http%253A%252F%252Fa%2540",
    'Authorization: Digest a="',
    'Authorization: Digest a="b", ',
    "Authorization: Bearer ",
    "Authorization: ",
    "Cookie: a=",
    'Cookie: a="',
    "Cookie: a=1; ",
    "cookie=;",
    "curl -u ",
    "curl -u a:",
    "curl --user 'a:",
    "curl ",
    "--password ",
    "--password '",
    "'--password', ",
    "('X-Api-Key', '",
    '["password",',
    '{"name": "api_key", "value": "',
    'name="password" value="',
    "password='must be a ",
    "password='\\",
    'password=\\\\"',
    "password: |\n ",
    "password := ",
    "password -> ",
    "password is '",
    "the password is ",
    "(password)=(",
    "(password, a, b)=(",
    "identified by '",
    "identified with a by ",
    "identified with ",
    "<Cookie a=",
    "<Morsel: a=",
    "?code=aaaaaa",
    "/callback?code=aaaaaa",
    "?state=a&code=aaaaaa",
    "?code=aaaaaa&state=",
    "token=[",
    "token={'a':",
    "token={'a':'",
    "token=(1,",
    "token=[1,2],",
    "tokens: ",
    "bearer ",
    "bearer aB",
    "bearer\n",
    "basic%20aaaaaa",
    "eyJaaaa.",
    "eyJaaaa.aaaa.",
    "eyJaaaa.aaaa.a.",
    "eyJ-",
    "xoxe.xoxp-",
    "sk-aaaaaaaa",
    "pypi-aaaaaaaa",
    "pypi-0aaaaaaa",
    "key-aaaaaaaa",
    "SG.aaaaaaaaaaaaaaaa",
    "dt0c01.AAAAAAAAAAAAAAAAAAAA.",
    "PMAK-0000000000000000000-",
    "A3TAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "api.telegram.org/bot0",
    "discord.com/api/webhooks/0",
    "hooks.slack.com/services/",
    "arn:aws:secretsmanager:a:1:secret",
    "unexpected token=",
    "/etc/passwd=",
    "max_tokens=5",
    "token_count=x",
    "password_is_x=",
    "aaaa_password_aaaa=x7 ",
    "a" * 48 + "password" + "a" * 48 + "=x7 ",
)


def own_shapes() -> Iterator[Shape]:
    """Yield the shapes that `BEGUN` and `FILLS` make."""
    for begun in BEGUN:
        yield Shape("", begun)
        for sign in (" ", "'", '"', ")", "\\", "\n", "7", "a", ",", ";", "&", "%", "@", "end"):
            yield Shape("", begun + sign)
        for fill in FILLS:
            yield Shape(begun, fill)
            yield Shape("", begun, 0.5, fill)


def word_shapes(words: tuple[str, ...], signs: tuple[str, ...] = SIGNS) -> Iterator[Shape]:
    """Yield each word with each sign behind it and before it, and many of it before a long fill."""
    for word, sign in product(words, signs):
        yield Shape("", word + sign)
        yield Shape("token=", sign + word)
    for word, fill in product(words, FILLS):
        yield Shape("", word, 0.5, fill)
        yield Shape("", word + "=", 0.5, fill)
        yield Shape("", fill, 0.5, word)


def random_shapes(seed: int, count: int) -> Iterator[Shape]:
    """Yield combinations of words, signs and begun notations; the same ones for a seed."""
    chance = random.Random(seed)
    words = [word for word, _ in WORDS]
    kinds = (words, SIGNS, SIGNS, FILLS, BEGUN, [random_case(chance, word) for word in words])
    for _ in range(count):
        pieces = [chance.choice(chance.choice(kinds)) for _ in range(chance.randint(2, 7))]
        yield Shape(
            chance.choice(("", "", chance.choice(words), chance.choice(BEGUN))),
            "".join(pieces) or "a",
            chance.choice((1.0, 1.0, 0.5, 0.9)),
            chance.choice(FILLS),
            chance.choice(("", "", "@", "'", "0", "-----END")),
        )


def random_case(chance: random.Random, word: str) -> str:
    """Return a word in another case."""
    return chance.choice((word.upper(), word.title(), word.lower()))
