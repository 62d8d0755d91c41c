"""Fingerprints: what stays the same when ids, numbers and values differ."""

import pytest

from dashcam.event import Event
from dashcam.show.fingerprint import pattern_of, place_of, type_of

PACKAGE = '  File "/srv/venv/lib/python3.12/site-packages/psycopg2/extras.py", line 9, in execute\n'
LIBRARY = '  File "/usr/lib/python3.11/json/decoder.py", line 355, in raw_decode\n'
FROZEN = '  File "<frozen importlib._bootstrap>", line 1, in _load\n'
OWN = '  File "/srv/parts/store.py", line 34, in insert\n    cursor.execute(INSERT, rows)\n'


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("can't open user's file '/tmp/x'", "can't open user's file '…'"),
        ('relation "parts" has no column `kind`', "relation '…' has no column '…'"),
        ("HTTP 503 from 10.0.0.1:5432 after 3.5s", "HTTP <n> from <n> after <n>"),
        ("0193a1b2-c3d4-7e5f-8601-020304050607 is gone", "<id> is gone"),
        ("lock 0xdeadbeef01 is held by cafe1234", "lock <id> is held by <id>"),
        ("a defaced facade", "a defaced facade"),
        ("car  1,000\tof 2024-01-02", "car <n> of <n>"),
        ("Failed\nDETAIL: row (9, flux capacitor)", "Failed"),
        ("東京 7 timed out", "東京 <n> timed out"),
        ("", ""),
    ],
)
def test_a_pattern_has_no_values(message, pattern):
    """Numbers, ids and quotes give way; words stay."""
    assert pattern_of(message) == pattern


def test_a_long_message_is_cut():
    """Also one without a blank, in no time."""
    assert len(pattern_of("x" * 1_000_000)) == 200
    assert len(pattern_of("7a" * 500_000)) < 200


@pytest.mark.parametrize(
    ("frames", "place"),
    [
        ([OWN, PACKAGE, LIBRARY, FROZEN], ("parts/store.py insert", 34)),
        ([PACKAGE, LIBRARY], ("parts.api", None)),
        ([r'  File "C:\srv\parts\api.py", line 7, in <module>'], ("parts/api.py <module>", 7)),
        ([OWN, "\nDuring handling of the above exception\n", PACKAGE], ("parts/store.py insert", 34)),
        ([], ("parts.api", None)),
    ],
)
def test_a_place_is_in_ones_own_code(frames, place):
    """The last frame that is neither the standard library's nor a package's; else the logger."""
    event = Event({"error": {"stack_trace": "".join(frames)}, "log": {"logger": "parts.api"}})

    assert place_of(event) == place


def test_a_line_may_name_its_place():
    """Where the log call stood."""
    origin = {"file": {"name": "/srv/cars/api.py", "line": 12}, "function": "create"}

    assert place_of(Event({"log": {"origin": origin, "logger": "x"}})) == ("cars/api.py create", 12)


def test_a_status_is_not_a_type():
    """OpenTelemetry gives a span the status for its error's type."""
    assert type_of(Event({"error": {"type": "500"}})) == ""
    assert type_of(Event({"error": {"type": "ValueError"}})) == "ValueError"
