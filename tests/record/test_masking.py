"""What is a secret, and what only looks like one."""

import time

import pytest

from dashcam.record.masking.mask import is_secret, mask_text, mask_value, secret_name

from .masking_corpus import PLANTED, PLANTED_HARDER, PLANTED_NAMED, PLANTED_SHAPED
from .ordinary_corpus import ORDINARY

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

SECRETS = {
    # Addresses
    "postgresql://cars:hunter2@db:5432/cars": "postgresql://***@db:5432/cars",
    "connect to postgresql+psycopg2://cars:hun@ter2@db/cars?a=1 now": (
        "connect to postgresql+psycopg2://***@db/cars?a=1 now"
    ),
    "redis://:hunter2@cache/0": "redis://***@cache/0",
    "https://hunter2@example.org/a": "https://***@example.org/a",
    "('amqp://u:hunter2@a:5672', 'amqp://u:hunter2@b:5672')": "('amqp://***@a:5672', 'amqp://***@b:5672')",
    "http%3A%2F%2Fcars%3Ahunter2%40db%2Fcars": "http://***@db/cars",
    # Names and values
    "host=db user=cars password=hunter2 dbname=cars": "host=db user=cars password=*** dbname=cars",
    "password='hun ter2' dbname=cars": "password='***' dbname=cars",
    'password="hun\\"ter2" dbname=cars': 'password="***" dbname=cars',
    "password = hunter2": "password = ***",
    "PGPASSWORD=hunter2 psql": "PGPASSWORD=*** psql",
    "the Password: hunter2, they said": "the Password: ***, they said",
    "passwd=hunter2;pwd=hunter2&api_key=hunter2": "passwd=***;pwd=***&api_key=***",
    "X-Api-Key: hunter2": "X-Api-Key: ***",
    "client_secret=hunter2": "client_secret=***",
    "aws_secret_access_key = hunter2": "aws_secret_access_key = ***",
    "?access_token=hunter2&page=2": "?access_token=***&page=2",
    "{'password': 'hunter2', 'name': 'Golf'}": "{'password': '***', 'name': 'Golf'}",
    '{"db": {"passphrase":"hunter2"}, "name": "Golf"}': '{"db": {"passphrase":"***"}, "name": "Golf"}',
    '"{\\"password\\": \\"hunter2\\", \\"name\\": \\"Golf\\"}"': (
        '"{\\"password\\": \\"***\\", \\"name\\": \\"Golf\\"}"'
    ),
    "{b'password': b'hunter2'}": "{b'password': b'***'}",
    "{'password' => 'hunter2'}": "{'password' => '***'}",
    "User(name='x', password='hunter2', age=3)": "User(name='x', password='***', age=3)",
    "next=%2Flogin%3Fpassword%3Dhunter2%26a%3D1": "next=/login?password=***&a=1",
    "next=%252Flogin%253Fpassword%253Dhunter2": "next=/login?password=***",
    "token='hunter2 and no end": "token='***",
    # Headers
    "Authorization: Bearer abcdefgh": "Authorization: ***",
    "Authorization: Basic dXNlcjpwYXNz, Accept: */*": "Authorization: ***, Accept: */*",
    "{'Authorization': 'Token hunter2', 'Accept': '*/*'}": "{'Authorization': '***', 'Accept': '*/*'}",
    "[('Authorization', 'Bearer abcdefgh'), ('Accept', '*/*')]": "[('Authorization', '***'), ('Accept', '*/*')]",
    "Cookie: sid=hunter2; csrf=hunter2": "Cookie: ***",
    "Set-Cookie: sid=hunter2; Path=/; HttpOnly\nAccept: */*": "Set-Cookie: ***\nAccept: */*",
    "got Bearer abcdefgh12": "got Bearer ***",
    "got bearer\nabcdefghijklmnopqrstuvwxyz": "got bearer\n***",
    "tried basic dXNlcjpwYXNz": "tried basic ***",
    # What is a secret by itself
    f"the user sent {JWT}.": "the user sent ***.",
    f"sid={JWT}": "sid=***",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nhunter2\n-----END RSA PRIVATE KEY-----\nend": (
        "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----\nend"
    ),
    "-----BEGIN PRIVATE KEY-----\nMIIE cut off": "-----BEGIN PRIVATE KEY-----***",
    # Options, queries and statements
    "curl -u ann:hunter2 https://h": "curl -u ann:*** https://h",
    "curl --user 'ann:hun ter2' https://h": "curl --user 'ann:***' https://h",
    "GET /callback?code=hunter2x&scope=a": "GET /callback?code=***&scope=a",
    "insert into users (name, password, token) values ('ann', 'hunter2', 'x7yq'), ('bob', 'hunter3', NULL)": (
        "insert into users (name, password, token) values ('ann', '***', '***'), ('bob', '***', NULL)"
    ),
    "wrong password (hunter2) for ann": "wrong password (***) for ann",
    # In the words of others
    'psycopg2.OperationalError: invalid dsn: "postgresql://cars:hunter2@db:badport/cars"': (
        'psycopg2.OperationalError: invalid dsn: "postgresql://***@db:badport/cars"'
    ),
    "sqlalchemy.exc.ArgumentError: Could not parse URL from string 'cars:hunter2//db?password=hunter2'": (
        "sqlalchemy.exc.ArgumentError: Could not parse URL from string 'cars:hunter2//db?password=***'"
    ),
}

HARMLESS = [
    "car created",
    "12:34:56 GET http://127.0.0.1:5432/cars?limit=2&after=7",
    "user@example.org wrote to mailto:a@b.org",
    "https://example.org/@user/a@b?mail=a@b.org",
    "https://example.org?mail=a@b.org",
    'see "https://example.org", a@b.org',
    'FATAL:  password authentication failed for user "cars"',
    "the password is too short",
    "missing fields: ['password', 'email']",
    "unexpected token at line 3",
    "basic features and Basic authentication; a bearer of good news, bearer tokens",
    "secretary: Ann, tokenizer=bpe",
    "author: Ann; monkey=1; keyboard: qwerty; passport=7",
    "eyJust.another.word, eyJ.eyJ.eyJ",
    "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMIIE\n-----END PUBLIC KEY-----",
    "100% of 5%20 discount",
    "C:\\Users\\Public",
    "trace 4bf92f3577b34da6a3ce929d0e0e4736",
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_is_masked(text):
    """All of it, and nothing else."""
    assert mask_text(text) == SECRETS[text]


@pytest.mark.parametrize("text", SECRETS)
def test_what_is_masked_stays_as_it_is(text):
    """Masking again, as a reader does, changes nothing."""
    assert mask_text(SECRETS[text]) == SECRETS[text]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_a_secret_stays(text):
    """Logs are there to be read."""
    assert mask_text(text) == text


def _leaked(planted):
    return [(text, secret) for _, text, secret in planted if secret in mask_text(text)]


def test_no_secret_with_a_name_leaks():
    """None of more than 700: the common names, in assignments, headers, JSON, queries."""
    assert len(PLANTED_NAMED) >= 700
    assert _leaked(PLANTED_NAMED) == []


def test_no_token_of_a_known_shape_leaks():
    """None of more than 100: the prefixes of vendors, whatever stands around them."""
    assert len(PLANTED_SHAPED) >= 100
    assert _leaked(PLANTED_SHAPED) == []


def test_few_of_the_harder_ones_leak():
    """At most 3 %: pairs, lists, XML, SQL, options, encoded and signed addresses, cookies, blocks, short names."""
    assert len(PLANTED) >= 1200
    assert len(_leaked(PLANTED_HARDER)) <= 0.03 * len(PLANTED_HARDER)


def test_few_ordinary_messages_are_changed():
    """At most 2 % of more than 700 that hold a word of masking and no secret."""
    changed = [(text, mask_text(text)) for text in ORDINARY if mask_text(text) != text]

    assert len(ORDINARY) >= 700
    assert len(changed) <= 0.02 * len(ORDINARY), changed


@pytest.mark.parametrize("corpus", [ORDINARY, [text for _, text, _ in PLANTED]], ids=["ordinary", "planted"])
def test_masking_again_changes_nothing(corpus):
    """A reader that masks once more sees what was recorded."""
    once = [mask_text(text) for text in corpus]

    assert [text for text in once if mask_text(text) != text] == []


NAMES = ["password", "DB_PASSWORD", "dbPassword", "passwd", "user_pwd", "passphrase", "client_secret", "secretKey"]
NAMES += ["token", "access_token", "refreshToken", "api_key", "X-Api-Key", "apikey", "Authorization", "Cookie"]
NAMES += ["Set-Cookie", "aws_credentials", "private_key", "http.request.header.authorization"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_a_secret(name):
    """However it is written."""
    assert secret_name(name)


@pytest.mark.parametrize("name", ["car_id", "author", "secretary", "tokenizer", "passport", "key", "monkey", "compass"])
def test_a_name_of_none(name):
    """Though it begins like one."""
    assert not secret_name(name)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("password", "hunter2", True),
        ("password", 123456, True),
        ("pwd", 1.5, True),
        ("password", b"hunter2", True),
        ("tokens", ["hunter2"], True),
        ("password", None, False),
        ("has_password", True, False),
        ("max_tokens", 512, False),
        ("token_count", 7, False),
        ("car_id", "hunter2", False),
        ("session_id", "k3jd8f2a9", True),
        ("userPin", "4821", True),
        ("pin", 4821, True),
        ("pin", 13, False),
        ("pw", "swordfish", True),
        ("user_pw", "hunter2", True),
        ("ipw", "hunter2", False),
        ("pw", 640, False),
        ("spinning", "4821", False),
        ("otp_code", 482913, True),
        ("tokens", [1, 2], False),
        ("credentials", {"user": "ann", "key": "hunter2"}, True),
        ("password", ["This field is required."], False),
        ("password", "********", False),
        ("password", "", False),
        ("token_type", "bearer", False),
        ("password_file", "/run/secrets/db", False),
    ],
)
def test_a_value_is_a_secret_by_its_name(name, value, expected):
    """A number of one is a PIN; a number of many is a count, and a flag is no secret."""
    assert is_secret(name, value) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([["X-Api-Key", "hunter2"], ["Accept", "*/*"]], [["X-Api-Key", "***"], ["Accept", "*/*"]]),
        ([("authorization", "Token x7")], [["authorization", "***"]]),
        ({"name": "API_KEY", "value": "hunter2"}, {"name": "API_KEY", "value": "***"}),
        (["password", "email"], ["password", "email"]),
        ({"name": "car", "value": "Golf"}, {"name": "car", "value": "Golf"}),
    ],
)
def test_a_name_beside_its_value(value, expected):
    """As lists of headers and of variables have it."""
    assert mask_value(value) == expected


PIECES = ["a.", "token", "eyJ-", "token ", "token=", "://", "://a@", "bearer ", "bearer\n", "-----BEGIN ", "cookie=;"]
PIECES += [
    "password='",
    "password=\\",
    "token:",
    "Authorization: ",
    "RSA PRIVATE KEY-----",
    "token=[",
    "token={'a':",
    "(token)=(",
    "<password a='",
    "--password ",
    "password='must be a ",
    "Authorization: Digest a=",
    "putty-user-key-file: 1",
    "eyJaaaa.",
    "%25",
    "a@",
    " -u a:",
    "curl -u ",
    "&code=aaaaaa",
    "?state=&code=",
    "insert into a (password) values (",
    "insert into a (",
    "insert into a (password) values (),",
    "insert into a (password) values ('",
    "password ('",
    "password -> ",
    "pw=",
    "'",
]


@pytest.mark.parametrize("length", [20_000, pytest.param(70_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("piece", PIECES)
def test_no_text_takes_long(piece, length):
    """Made to let an expression search in vain, and at most as long as a message may be."""
    begun = time.process_time()
    mask_text(("token" + piece * length)[:length])

    # Without a compiler it takes 3 seconds. A search that begins anew at every place takes minutes.
    assert time.process_time() - begun < 6
