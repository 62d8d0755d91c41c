"""The quick look at a log call never lets through what masking would change."""

from itertools import product

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashcam.record.masking.mask import has_word, is_secret, mask_text

from .bodies import encoded

SECRETS = [
    "Basic dXNlcjpwYXNz",
    "basic dXNlcjpwYXNz",
    "BASIC dXNlcjpwYXNz",
    "Bearer abcdefgh12",
    "BEARER abcdefgh12",
    "bearer\nabcdefgh12",
    "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0",
    "a line\neyJhbGciOi.eyJzdWIiOi.c2lnbmF0",
    "-----BEGIN PRIVATE KEY----- MIIEvQ -----END PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEvQ\n-----END RSA PRIVATE KEY-----",
    "postgresql://cars:hunter2@db/cars",
    "password=hunter2",
    "the token\n: hunter2",
    "X-API-KEY: hunter2",
    "PassWord : hunter2",
    'Authorization: "hunter2"',
    "('Authorization', 'Token hunter2')",
    "to=%2F%3Fpassword%3Dhunter2",
    "password%3Dhunter2",
    "http%3A%2F%2Fcars%3Ahunter2%40db",
    "curl -u ann:hunter2",
    "['curl', '-u', 'ann:hunter2']",
    '["--user", "ann:hunter2"]',
    "password -> hunter2",
    "password ->\n'swordfish'",
    "password (hunter2)",
    "password is 'swordfish'",
    'the password was: "swordfish"',
    "pw=swordfish",
    '"pw" : "swordfish"',
    "/cb?code=hunter2x&state=1",
    "next=%2Fcb%3Fcode%3Dhunter2x%26state%3D1",
    "assertion=PHNhbWxwOl9f3ab2c1d4",
    "INSERT INTO users (name, password) VALUES ('ann', 'hunter2')",
    'INSERT INTO "users" ("name", "password") VALUES ("ann", "hunter2")',
    "INSERT INTO users\n\t(name,\u0001password) VALUES ('ann', 'hunter2')",
    "INSERT INTO users (name, password) VALUES (%27ann%27, %27hunter2%27)",
]


STATEMENTS = [
    "INSERT INTO users (name, price) VALUES (%s, %s) RETURNING id",
    "INSERT INTO users (name, price) VALUES ($1, :price), (?, 7)",
    'INSERT INTO "users" ("name", "price") VALUES (%(name)s, %(price)s)',
    "insert into the slot",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_passes_a_statement_of_placeholders(statement):
    """A statement that is logged again and again, and holds no text, is not looked at more closely."""
    assert not has_word(orjson.dumps({"message": "query", "labels": {"sql": statement, "owner": "it's"}}))


@pytest.mark.parametrize(("secret", "place"), [*product(SECRETS, ["message", "field", "name"])])
def test_masks_a_secret_wherever_it_stands(secret, place):
    """A secret is masked in the message, in a field and in a field's name."""
    message = secret if place == "message" else "car created"
    fields = {"message": {}, "field": {"note": secret}, "name": {secret: 1}}[place]

    body = encoded(message, fields)

    assert mask_text(secret) != secret
    assert mask_text(secret) in (body["message"], *body.get("labels", {}), *body.get("labels", {}).values())


words = st.sampled_from(
    [
        *SECRETS,
        "basic",
        "Bearer ",
        "eyJ",
        "token",
        ":",
        "=",
        "@",
        "://",
        "abcdefgh",
        "%3D",
        "%",
        "'",
        "', '",
        '"',
        "authorization",
        "abc123",
        "é",
        "\n",
        " ",
    ]
)
texts = st.lists(words | st.text(max_size=5), max_size=6).map("".join)


@pytest.mark.fuzz
@given(texts, texts)
def test_sees_whatever_masking_would_change(message, value):
    """When the quick look finds nothing, masking finds nothing either."""
    body = orjson.dumps({"message": message, "labels": {"note": value}}, default=str)

    assert has_word(body) or (mask_text(message), mask_text(value)) == (message, value)


@pytest.mark.fuzz
@given(texts, st.integers(0, 2**60) | texts | st.lists(texts, max_size=2))
def test_sees_whatever_is_a_secret_by_its_name(name, value):
    """A field that is masked by its name is found in the JSON of the fields."""
    assert has_word(orjson.dumps({name: value}, option=orjson.OPT_PASSTHROUGH_SUBCLASS)) or not is_secret(name, value)
