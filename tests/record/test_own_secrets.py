"""What a service says of its own secrets: names, patterns, personal data, exceptions, and a keyed hash."""

import re

import pytest

import dashcam
from dashcam.patterns import OwnSecrets, read_own_secrets, takes_long
from dashcam.record.masking import mask
from dashcam.record.masking.mask import configure, is_secret, mask_repeated, mask_text
from dashcam.settings import RecordSettings, load

from .bodies import encoded


@pytest.fixture
def own():
    """Set variables; afterwards none is set."""

    def set_variables(**variables):
        settings = load(RecordSettings, variables)
        configure(settings.mask, settings.mask_allow, settings.mask_key)

    yield set_variables
    configure(OwnSecrets(), OwnSecrets())


def test_names(own):
    """A name masks its value in a text and as a field, but not as a part of another word."""
    own(DASHCAM_MASK="vin, customer_no")

    assert mask_text("VIN: WVWZZZ1JZXW000001, customer_no=17x") == "VIN: ***, customer_no=***"
    assert encoded("m", {"vin": "WVWZZZ", "driving": "WVWZZZ"})["labels"] == {"vin": "***", "driving": "WVWZZZ"}


def test_patterns(own):
    """A pattern masks what it matches, wherever it stands."""
    own(DASHCAM_MASK=r"/ACME-[0-9]{4,8}/, /[a-f]{3}\/[0-9]{2}/")

    assert mask_text("order ACME-1234, at abc/42") == "order ***, at ***"
    assert encoded("of ACME-1234", {"a": ["ACME-99999"]}) == {"message": "of ***", "labels": {"a": ["***"]}}


def test_personal_data(own):
    """E-mail addresses, card numbers and IBANs, if their check digits are right."""
    own(DASHCAM_MASK="personal-data")

    text = "ann.smith@example.org paid with 4111 1111 1111 1111 from DE89 3704 0044 0532 0130 00"
    assert mask_text(text) == "*** paid with *** from ***"
    kept = "order 4111 1111 1111 1112 of DE89 3704 0044 0532 0130 01 at 2026-11-25 12:00:00, user@host, 1234567890123"
    assert mask_text(kept) == kept


def test_personal_data_is_left_alone_unless_asked_for():
    """Off by default."""
    assert mask_text("ann.smith@example.org, 4111111111111111") == "ann.smith@example.org, 4111111111111111"


def test_what_is_allowed(own):
    """A name and a pattern of values are never masked; the rest is."""
    own(DASHCAM_MASK_ALLOW="session_id, /sk_test_[A-Za-z0-9]{8,99}/")

    assert (
        mask_text("session_id=k3jd8f2a9 token=sk_test_abcd12345678")
        == "session_id=k3jd8f2a9 token=sk_test_abcd12345678"
    )
    assert not is_secret("session_id", "k3jd8f2a9")
    assert mask_text("token=hunter2") == "token=***"


def test_a_keyed_hash(own):
    """Equal secrets stay equal, in texts and fields, others differ; masking again changes nothing."""
    own(DASHCAM_MASK_KEY="k1")

    text, field = mask_text("token=hunter2"), encoded("m", {"token": "hunter2", "password": "hunter3"})["labels"]
    assert re.fullmatch(r"token=\*{3}[0-9a-f]{12}", text)
    assert text == f"token={field['token']}"
    assert field["token"] != field["password"]
    assert mask_text(text) == text
    own(DASHCAM_MASK_KEY="k2")
    assert mask_text("token=hunter2") != text


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("/(/", "regular expressions"),
        ("/a*/", "do not match an empty text"),
        ("/(a+)+b/", "fast on every text"),
        ("/(a|a)*b/", "fast on every text"),
        (r"/(\w+\s?)*:/", "fast on every text"),
        ("/a+a+a+b/", "fast on every text"),
        ("x", "3 to 32 letters"),
        ("/abc", "names and /patterns/"),
    ],
)
def test_what_is_rejected(value, reason):
    """With the reason, at the start: among them patterns that could hold up a log call."""
    with pytest.raises(ValueError, match=reason):
        read_own_secrets(value)


@pytest.mark.parametrize(
    "pattern", [rb"ACME-\d{4,8}", rb"[a-z]{2}\d{2}[A-Z]{4}", rb"\b\d{3}-\d{2}-\d{4}\b", rb"x[0-9a-f]{32}"]
)
def test_a_pattern_in_proportion(pattern):
    """Ordinary patterns are accepted."""
    assert not takes_long(re.compile(pattern))


def test_init_reads_them(recording, monkeypatch):
    """The variables are in force from `init` on."""
    monkeypatch.setenv("DASHCAM_MASK", "vin")
    try:
        dashcam.init("cars")
        dashcam.get_logger("cars").info("sold", vin="WVWZZZ")
    finally:
        configure(OwnSecrets(), OwnSecrets())

    assert [event.labels for event in recording.events()] == [{"vin": "***"}]
    assert mask.has_word(b'{"vin":"WVWZZZ"}') is False


def test_what_comes_again_is_masked_by_the_settings_of_now(own):
    """A text that was seen before them is looked at anew: an application may set up recording twice."""
    assert mask_repeated("SELECT vin 1234") == "SELECT vin 1234"

    own(DASHCAM_MASK=r"/vin \d+/")

    assert mask_repeated("SELECT vin 1234") == "SELECT ***"
