"""The planted secrets and the ordinary messages that the rates of docs/masking.md are measured with.

Each entry of the planted ones is a kind, a text and the part of it that must not be recorded. The random parts come
from a fixed seed, so the corpus is the same in each run.
"""

import base64
import random
import string
from urllib.parse import quote, quote_plus

_random = random.Random(20261125)
_ALPHANUMERIC = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"


def _some(alphabet: str, count: int) -> str:
    return "".join(_random.choice(alphabet) for _ in range(count))


def _token(count: int = 24) -> str:
    return _some(_ALPHANUMERIC, count - 2) + "7q"


VALUES = ["hunter2", "S3cr3t!", "correct-horse-battery", "swordfish", "pa$$w0rd", "Tr0ub4dor&3"]
VALUES += [_token(12), _token(24), _token(40), _some(_HEX, 31) + "7", "Zm9vYmFyYmF6cXV4cXV1eA=="]
BARE_VALUES = [value for value in VALUES if "&" not in value]  # `&` ends a value in a query

NAMES = ["password", "passwd", "db_password", "PGPASSWORD", "userPassword", "pwd", "passphrase", "secret"]
NAMES += ["client_secret", "token", "access_token", "refreshToken", "auth-token", "api_key", "apiKey", "X-Api-Key"]
NAMES += ["private_key", "credential", "aws_secret_access_key", "SECRET_KEY"]
HARDER_NAMES = ["access_key", "signing_key", "encryption-key", "session_id", "sessionId", "jwt", "db_pass", "smtp_pass"]
HARDER_NAMES += ["accountKey", "shared_access_key", "master_key", "auth_code", "PHPSESSID", "JSESSIONID", "csrf_token"]

_NAMED_FORMS = ["{n}={v}", "connect with {n}={v} now", "{n}: {v}", "{n} = {v}", '{{"{n}": "{v}", "user": "ann"}}']
_NAMED_FORMS += ["{{'user': 'ann', '{n}': '{v}'}}", "User(name='ann', {n}='{v}', age=3)", "a=1;{n}={v};b=2"]
_NAMED_FORMS += ["GET /login?page=2&{n}={v}&a=1", '{n}="{v}"', "{n}:{v}", "{{'{n}' => '{v}'}}", "export {n}='{v}'"]

_HARDER_FORMS = {
    "list": ["{n}s=['{v}', '{v}x']", '{{"{n}s": ["{v}", "{w}"], "a": 1}}', "'{n}': ('{v}', 7)"],
    "object": ['{{"{n}": {{"value": "{v}", "age": 3}}}}', "{n}={{'current': '{v}', 'former': None}}"],
    "pair": [
        "[('{n}', '{v}'), ('Accept', '*/*')]",
        '["{n}", "{v}"]',
        "(b'{n}', b'{v}')",
        '{{"name": "{n}", "value": "{v}"}}',
    ],
    "option": ["cmd --{n} {v} --verbose", "['run', '--{n}', '{v}']", "run --{n}={v}", "psql --{n} '{v}' -h db"],
    "xml": [
        "<{n}>{v}</{n}>",
        "<c:{n} type='x'>{v}</c:{n}>",
        '<add key="{n}" value="{v}"/>',
        "<{n}><![CDATA[{v}]]></{n}>",
    ],
    "detail": ["DETAIL:  Key ({n})=({v}) already exists.", "Key (email, {n})=(ann, {v}) is duplicated"],
    "encoded": ["next=%2Flogin%3F{q}%3D{v}%26a%3D1", "to=%252F%253F{q}%253D{v}"],
    "escaped": ['"{{\\"{n}\\": \\"{v}\\"}}"', '"{{\\\\\\"{n}\\\\\\": \\\\\\"{v}\\\\\\"}}"'],
    "plist": ["<key>{n}</key><string>{v}</string>", "<key>{n}</key>\n  <string>{v}</string>"],
    "assigned": ["{n} := '{v}'", "{n}=\n{v}", '{n}: "{v}"', "**{n}**: `{v}`", "{n}=>{v}"],
}
_MORE = {
    "sql": ["ALTER USER ann WITH PASSWORD '{v}'", "CREATE ROLE ann LOGIN ENCRYPTED PASSWORD '{v}'"],
    "sql identified": ["CREATE USER 'ann'@'%' IDENTIFIED BY '{v}'", "ALTER USER ann IDENTIFIED WITH sha2 BY '{v}'"],
    "sql function": ["SET PASSWORD FOR 'ann'@'h' = PASSWORD('{v}')", "SELECT PASSWORD ('{v}')"],
    "cookie": [
        'Cookie: sid="{v}"; theme=dark',
        "Set-Cookie: session={v}; Path=/; HttpOnly",
        "{{'Cookie': 'id={v}; b=1'}}",
    ],
    "cookie object": ["<Cookie sid={v} for .example.org/>", "<Morsel: sid={v}; Path=/>", "cookies={{'sid': '{v}'}}"],
    "connection": [
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey={v};",
        "SharedAccessKeyName=a;SharedAccessKey={v}",
    ],
    "header": ["Authorization: Bearer {v}1", "authorization: token {v}", "{{'Proxy-Authorization': 'Basic {v}'}}"],
    "digest": [
        'Authorization: Digest username="ann", nonce="1", response="{v}"',
        "Authorization: AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature={v}",
    ],
    "address": [
        "postgresql://ann:{a}@db:5432/cars",
        "amqp://{a}@mq",
        "redis://:{a}@cache/0",
        "https://{a}@example.org/x.git",
    ],
}
_ODD = {
    "user option": [
        "curl -u ann:{v} https://h/x",
        "curl -sS -u 'ann:{v}' https://h",
        "['curl', '-u', 'ann:{v}', 'https://h']",
        'curl --user="ann:{v}" https://h',
        "curl --proxy-user ann:{v} -x p",
        "curl -uann:{v} https://h",
    ],
    "user option, no curl": ["run -u ann:{m} now", "httpx --user ann:{m}", "['--user', 'ann:{m}']"],
    "said": [
        "password -> {m}",
        "token -> {m}",
        "password -> '{v}'",
        "password => {v}",
        "wrong password ({n}) for ann",
        "API key ({n}) unknown",
        "password ('{n}')",
        "the password is {m}",
        "her password was {m} then",
        "The password is: {m}",
        "password is '{v}'",
        'passphrase was "{v}"',
    ],
    "pw": [
        "pw={v}",
        "login pw={v} user=ann",
        "pw: {v}",
        "{{'pw': '{v}'}}",
        '"user_pw": "{v}"',
        "Settings(pw='{v}', a=3)",
    ],
    "pwd": ["pwd={v}", "Server=h;Uid=a;Pwd={v};", '"pwd": "{v}"'],
    "oauth code": [
        "GET /oauth/callback?code={h}&scope=a HTTP/1.1",
        "/cb?state=xyz&code={h}",
        "https://h/x?code={h}&state=af0ifjsldkj",
        "next=%2Fcb%3Fcode%3D{h}%26state%3Dxyz",
    ],
    "oauth": [
        "grant_type=a&assertion={h}&x=1",
        '"client_assertion": "{h}"',
        "SAMLResponse={h}&RelayState=a",
        "code_verifier={h}",
        "id_token={v}",
        "&refresh_token={v}&a=1",
    ],
    "insert": [
        "INSERT INTO users (name, password) VALUES ('ann', '{v}')",
        "INSERT INTO users (password, name) VALUES ('{v}', 'ann') RETURNING id",
        'insert into "users" ("id", "password") values (1, \'x7yq\'), (2, \'{v}\')',
        'INSERT INTO `t` (`a`,`api_token`) VALUES ("x","{v}")',
        "INSERT INTO a.users (id, password_hash) VALUES (nextval('s'), '{v}')",
        "REPLACE INTO users (name, password) VALUES ('ann', '{v}')",
        "INSERT IGNORE INTO users (password) VALUES ('{v}')",
        "INSERT INTO users(name,secret)VALUES('it''s, (x', E'{v}')",
    ],
    "escaped json": ['{{\\"pw\\": \\"{v}\\"}}', '{{\\\\\\"token\\\\\\": \\\\\\"{v}\\\\\\"}}'],
    "configuration": ["db:\n  password: {v}\n  host: h", '[db]\npassword = "{v}"', "  api_key: >-\n    {m}\n"],
    "cookies": ["Set-Cookie: a=1; Path=/, sid={h}; Secure", "Cookie: theme=dark; sid={h}; b=2"],
    "repr": ["Settings(token='{v}')", "{{'api_key': b'{v}'}}", "Settings(token=SecretKey('{v}'))"],
    "connections": ["redis://:{a}@h", "mongodb+srv://u:{a}@h", "sftp://ann:{a}@h:22/x", "Server=h;Password={v};A=1"],
}
_SIGNED = [
    "https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature={h}",
    "https://a.blob.core.windows.net/c?sv=1&sig={h}%3D",
]
_SIGNED += [
    "https://storage.googleapis.com/b?X-Goog-Signature={h}&a=1",
    "https://d.cloudfront.net/x?Signature={h}&Expires=1",
]
_SIGNED += ["https://h/x?X-Amz-Security-Token={h}&b=1", "https://s3.amazonaws.com/b?AWSAccessKeyId=a&Signature={h}"]
_WEAK = [
    "sid={h}",
    "?sid={h}&a=1",
    "'jwt': '{h}'",
    "otp={d}",
    "otp: {d}",
    "Your OTP is {d}",
    "pin={p}",
    '"pin": "{p}"',
    "user_pin: {p}",
]
_WEAK += [
    "cvv={c}",
    "'cvv': '{c}'",
    "cvc: {c}",
    "pass={h}",
    "psk={h}",
    "csrf={h}",
    "totp_code={d}",
    "the password is {h}",
    "PIN_CODE={p}",
]


def _named():
    for name in NAMES:
        for form in _random.sample(_NAMED_FORMS, 9):
            for value in _random.sample(BARE_VALUES, 4):
                yield "named", form.format(n=name, v=value), value


def _address_value():
    return quote(_random.choice(VALUES), safe="$!")


def _harder():  # noqa: C901
    names = [*NAMES, *HARDER_NAMES]
    for kind, forms in _HARDER_FORMS.items():
        for form in forms:
            for name in _random.sample(names, 16):
                value = _random.choice(BARE_VALUES)
                yield kind, form.format(n=name, v=value, w=_token(), q=name.replace(" ", "+")), value
    for name in HARDER_NAMES:
        for form in _random.sample(_NAMED_FORMS, 8):
            value = _random.choice(BARE_VALUES)
            yield "more names", form.format(n=name, v=value), value
    for kind, forms in _MORE.items():
        for form in forms:
            for _ in range(12):
                value = _random.choice([value for value in BARE_VALUES if "$" not in value])
                address = _address_value()
                yield kind, form.format(v=value, a=address), address if kind == "address" else value
    for form in _SIGNED:
        for _ in range(10):
            value = _some(_HEX, 64)
            yield "signed address", form.format(h=value), value
    for form in _WEAK:
        for _ in range(10):
            parts = {
                "h": _token(20),
                "d": _some(string.digits, 6),
                "p": _some("123456789", 4),
                "c": _some("123456789", 3),
            }
            yield "short name", form.format(**parts), next(part for key, part in parts.items() if f"{{{key}}}" in form)
    yield from _odd()
    yield from _encoded_addresses()
    yield from _blocks()


def _odd():
    """Yield forms of people, programs and protocols; `m` has a digit or sign, `n` a digit, `h` is long."""
    plain = [value for value in BARE_VALUES if "$" not in value]
    mixed = [value for value in plain if value not in {"swordfish", "correct-horse-battery"}]
    digits = [value for value in mixed if any(letter.isdigit() for letter in value) and "=" not in value]
    for kind, forms in _ODD.items():
        for form in forms:
            for _ in range(6):
                parts = {"v": _random.choice(plain), "m": _random.choice(mixed), "h": _token(24), "a": _address_value()}
                parts["n"] = _random.choice([value for value in digits if len(value) >= 8 or "API" not in form])
                yield kind, form.format(**parts), next(part for key, part in parts.items() if f"{{{key}}}" in form)


def _encoded_addresses():
    for value in ["hunter2", "S3cr3t", _token(16), "swordfish", "s7w0rd"]:
        url = f"https://ann:{value}@example.org/x?y=1"
        for text in (
            quote(url),
            quote_plus(url),
            quote(quote_plus(url)),
            url.replace("://", ":%2F%2F"),
            quote(quote(url)),
        ):
            yield "encoded address", f"GET /go?to={text}", value
        yield "encoded address", f'{{"url": "{url}"}}'.replace("/", "\\/"), value


def _blocks():
    for kind in ("PGP PRIVATE KEY BLOCK", "RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY"):
        for separator in ("\n", "\\n", " "):
            value = base64.b64encode(_random.randbytes(90)).decode()
            yield "block", f"-----BEGIN {kind}-----{separator}{value}{separator}-----END {kind}-----", value
            yield "block", f"read -----BEGIN {kind}-----{separator}{value}", value


_PREFIXED = {
    "ghp_": 36, "gho_": 36, "ghs_": 36, "ghr_": 36, "ghu_": 36, "github_pat_": 82, "glpat-": 20, "npm_": 36,
    "sk_live_": 24, "rk_live_": 24, "sk_test_": 24, "AIza": 35, "ya29.": 60, "xoxb-": 50, "xoxp-": 60, "xapp-1-": 60,
    "sk-": 48, "sk-proj-": 60, "sk-ant-api03-": 90, "hvs.": 90, "hvb.": 90, "pypi-AgEIcHlwaS5vcmc": 80, "GOCSPX-": 28,
    "whsec_": 32, "glsa_": 40, "hf_": 34, "dckr_pat_": 27, "r8_": 37, "lin_api_": 40, "xkeysib-": 60, "figd_": 40,
}  # fmt: skip


def _shaped():
    around = ["{}", "uses {} now", "('{}')", "key:{}", '{{"x": "{}"}}', "https://h/x?a={}&b=1", "remote: {}\nnext"]
    for prefix, count in _PREFIXED.items():
        for form in _random.sample(around, 3):
            value = _token(count)
            yield "shaped", form.format(prefix + value), value
    for prefix in ("AKIA", "ASIA"):
        for form in around:
            value = _some(string.ascii_uppercase + "234567", 16)
            yield "shaped", form.format(prefix + value), value
    for form in around:
        value = f"{_token(22)}.{_token(43)}"
        yield "shaped", form.format("SG." + value), value
        value = f"T{_some(string.digits, 9)}/B{_some(string.digits, 9)}/{_token(24)}"
        yield "shaped", form.format("https://hooks.slack.com/services/" + value), value
        value = _token(68)
        yield "shaped", form.format(f"https://discord.com/api/webhooks/{_some(string.digits, 18)}/{value}"), value
        value = f"{base64.urlsafe_b64encode(_random.randbytes(24)).decode().rstrip('=')}.{_token(43)}"
        yield "shaped", form.format("eyJhbGciOiJIUzI1NiJ9." + value), value


PLANTED_NAMED = list(_named())
PLANTED_HARDER = list(_harder())
PLANTED_SHAPED = list(_shaped())
PLANTED = [*PLANTED_NAMED, *PLANTED_HARDER, *PLANTED_SHAPED]
