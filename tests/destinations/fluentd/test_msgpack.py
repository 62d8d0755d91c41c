"""JSON as msgpack, by the compiled part and by the libraries beside it."""

import orjson
import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashcam.destinations.fluentd.message import pack_event, pack_line
from dashcam.testing.sample import lines


@pytest.fixture(scope="module")
def compiled():
    return pytest.importorskip("dashcam.destinations.fluentd._msgpack", reason="there was no compiler").pack


def by_libraries(line):
    """The msgpack of a line; `None` when it is not an object that msgpack can hold."""
    try:
        fields = orjson.loads(line)
        return ormsgpack.packb(fields) if isinstance(fields, dict) else None
    except ValueError:
        return None


def test_ordinary_events(compiled):
    """Of every kind of event; all but those with odd escapes are packed."""
    packed = [(compiled(event.data), by_libraries(event.data)) for event in lines()]

    assert [found for found, wanted in packed if found not in (None, wanted)] == []
    assert sum(found is None for found, _ in packed) < 5


def test_an_entry_is_the_same_either_way():
    """With the time in front, whatever the form of that is."""
    data = lines()[0].data
    times = [b"2026-11-24T01:02:03Z", b"2026-11-24T01:02:03.000001Z", b"2026-11-24T01:02:03.999999Z"]
    times += [b"2026-11-24T01:02:03.000001+01:00", b"2026-11-24T01:02:03.1234567Z", b"1970-01-01T00:00:00.000000Z"]

    for time in times:
        line = b'{"@timestamp":"' + time + data[42:]
        assert pack_line(line) == pack_event(orjson.loads(line))


@pytest.mark.parametrize(
    "time", [b"1969-12-31T23:59:59.000000Z", b"2110-01-01T00:00:00.000000Z", b"2026-13-01T00:00:00.000000Z"]
)
def test_a_time_that_cannot_be_sent(time):
    """It is refused, and not sent as another."""
    with pytest.raises(ValueError, match=r"lies outside|Invalid|month"):
        pack_line(b'{"@timestamp":"' + time + lines()[0].data[42:])


LENGTHS = [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536]


@pytest.mark.parametrize("length", LENGTHS)
def test_every_length(compiled, length):
    """Of texts, with and without escapes, of lists, and of objects up to the names that are compared."""
    for value in (
        "x" * length,
        "\n" * length,
        "é" * length,
        list(range(length)),
        dict.fromkeys(map(str, range(length)), 1),
    ):
        line = orjson.dumps({"a": value})
        assert compiled(line) == (None if isinstance(value, dict) and length > 64 else by_libraries(line))


@pytest.mark.parametrize("power", range(65))
def test_every_size_of_a_number(compiled, power):
    """Around each power of two, on both sides of zero."""
    for number in {sign * (2**power + more) for sign in (1, -1) for more in (-1, 0, 1)}:
        if -(2**63) <= number < 2**64:
            line = orjson.dumps({"a": number})
            assert compiled(line) in (None, by_libraries(line))
            assert compiled(line) is not None or abs(number) >= 10**18


NAMES = st.text("ab\u00e9", max_size=2)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(NAMES, inner, max_size=20),
    max_leaves=30,
)


@given(st.dictionaries(NAMES, VALUES))
def test_any_event(compiled, fields):
    """The bytes are those of the libraries, or it is left to them."""
    line = orjson.dumps(fields)

    assert compiled(line) in (None, by_libraries(line))


FRAGMENTS = [
    b'{"a":',
    b'{"a":1,"a":2}',
    b'"b":',
    b"}",
    b"]",
    b"[",
    b"1",
    b"-0",
    b"1e5",
    b"1e999",
    b"1.",
    b"01",
    b"true",
]
FRAGMENTS += [
    b"nul",
    b"null",
    b",",
    b" ",
    b"\n",
    b'"\\u0041"',
    b'"\\q"',
    b'"\xff"',
    b'"\xc3\xa9"',
    b'"',
    b"\\",
    b"\0",
    b"{",
]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(b"".join) | st.binary())
def test_what_is_not_json_is_left(compiled, line):
    """Nothing is packed that the libraries do not read."""
    assert compiled(line) in (None, by_libraries(line))


@given(st.dictionaries(NAMES, VALUES), st.data())
def test_a_line_that_is_cut_or_changed(compiled, fields, data):
    """At any byte."""
    line = bytearray(orjson.dumps(fields))
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] = data.draw(st.integers(0, 255))

    for part in (bytes(line), bytes(line[:at])):
        assert compiled(part) in (None, by_libraries(part))
