"""JSON as msgpack, by the compiled part and by the libraries beside it."""

import re
from array import array
from decimal import Decimal
from itertools import accumulate

import orjson
import ormsgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashcam.destinations.fluentd.message import _begin_entry, pack_batch, pack_event
from dashcam.event import EncodedEvent
from dashcam.spool.block import EventBlock
from dashcam.testing.sample import lines

from ..odd_json import almost_json, cut_or_changed

BEGIN = b"\x92\xd7\x00\x6a\x00\x00\x00"
TIMED = b'{"@timestamp":"2026-11-24T01:02:03.000456Z",'


@pytest.fixture(scope="module")
def pack_entries():
    return pytest.importorskip("dashcam.destinations.fluentd._msgpack", reason="there was no compiler").pack_entries


@pytest.fixture(scope="module")
def compiled(pack_entries):
    """The record of a line that has a time in front; `None` where it is left."""

    def pack(line):
        line = TIMED + line[1:]
        entry, spans, left = pack_entries(line + b"\n", 0, array("I", [len(line) + 1]), b"\0", lambda _: BEGIN)
        assert spans == b""
        assert (left, entry[: len(BEGIN) + 4]) in (([0], b""), ([], BEGIN + (456_000).to_bytes(4)))
        return None if left else entry[len(BEGIN) + 4 :]

    return pack


def by_libraries(line):
    """The same; `None` when it is not an object that msgpack can hold."""
    try:
        fields = orjson.loads(TIMED + line[1:])
        return ormsgpack.packb(fields) if isinstance(fields, dict) else None
    except ValueError:
        return None


def by_hand(events):
    """Log lines and spans as entries, one behind the other."""
    entries = [(event.is_span, pack_event(orjson.loads(event.data))) for event in events]
    return tuple(b"".join(entry for is_span, entry in entries if is_span == wanted) for wanted in (False, True))


def test_ordinary_events(pack_entries):
    """Of every kind of event; all but those with odd escapes are packed; from any one on."""
    block = EventBlock.of(lines())
    for some in (block, block[7:40]):
        logs, spans, left = pack_entries(some.text, some.begin, some.ends, some.spans, _begin_entry)

        assert (logs, spans) == by_hand([event for place, event in enumerate(some) if place not in left])
        assert len(left) < 5


def test_an_entry_is_the_same_either_way():
    """With the time in front, whatever the form of that is."""
    data = lines()[0].data
    times = [b"2026-11-24T01:02:03Z", b"2026-11-24T01:02:03.000001Z", b"2026-11-24T01:02:03.999999Z"]
    times += [b"2026-11-24T01:02:04.000001Z", b"2026-11-24T01:02:03.000001Z"]
    times += [b"2026-11-24T01:02:03.000001+01:00", b"2026-11-24T01:02:03.1234567Z", b"1970-01-01T00:00:00.000000Z"]
    for time in times:
        event = EncodedEvent("", is_span=False, data=b'{"@timestamp":"' + time + data[42:])
        logs, spans, refused = pack_batch([event])

        assert (b"".join(logs.parts), b"".join(spans.parts)) == by_hand([event])
        assert (logs.count, spans.count, refused) == (1, 0, {})
        assert [len(part) for part in pack_batch([event._replace(is_span=True)])[1].parts] == [len(logs.parts[0])]


@pytest.mark.parametrize(
    "time", [b"1969-12-31T23:59:59.000000Z", b"2110-01-01T00:00:00.000000Z", b"2026-13-01T00:00:00.000000Z"]
)
def test_a_time_that_cannot_be_sent(time):
    """It is refused, and not sent as another; the events beside it are sent."""
    good = next(event for event in lines() if not event.is_span)
    bad = good._replace(data=b'{"@timestamp":"' + time + good.data[42:])

    logs, _, reasons = pack_batch([good, bad, good])

    assert (b"".join(logs.parts), b"") == by_hand([good, good])
    assert logs.count == 2
    assert re.fullmatch(r"cannot be sent as msgpack: .*(lies outside|Invalid|month).*", reasons.pop(1))
    assert reasons == {}


def test_what_cannot_be_called_is_an_error(pack_entries):
    """A caller's mistake is not a crash."""
    for text, spans in (("text", b""), (b"", None)):
        with pytest.raises(TypeError):
            pack_entries(text, 0, b"", spans, lambda _: BEGIN)
    line = TIMED + b'"a":1}\n'
    for begin_entry in (None, lambda _: "text", lambda _: bytes(33)):
        with pytest.raises(TypeError):
            pack_entries(line, 0, array("I", [len(line)]), b"\0", begin_entry)
    for begin, ends, spans in ((0, [9], b""), (0, [len(line) + 1], b"\0"), (9, [9], b"\0"), (-1, [9], b"\0")):
        with pytest.raises(ValueError, match="end"):
            pack_entries(line, begin, array("I", ends), spans, lambda _: BEGIN)


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


@given(st.decimals(-(10**9), 10**9, places=6) | st.decimals(-2, 2, places=14) | st.decimals(-(10**9), 10**9))
@example(Decimal("-0.0"))
@example(Decimal("0.000000000000001"))
@example(Decimal("999999999999999.9"))
def test_a_number_with_a_point(compiled, number):
    """The nearest number to it, however many digits it has."""
    line = b'{"a":%b}' % str(number).lower().encode()

    assert compiled(line) in (None, by_libraries(line))
    assert compiled(line) is not None or str(number).startswith("-0") or len(str(number)) > 16


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


VALUE = st.sampled_from([{"pid": 1}, "a", "ab", 1, 12, 1.5, [], None])
ALIKE = st.lists(VALUE, min_size=10, max_size=18).map(lambda values: {f"n{at}": it for at, it in enumerate(values)})


@given(st.lists(st.tuples(ALIKE, st.booleans(), st.sampled_from([b"}", b" }", b",1}", b',"n1":1}'])), max_size=12))
def test_lines_that_are_alike(pack_entries, lines):
    """What a line has as the one before is packed as there, however the rest differs, and wherever one is left."""
    texts = [TIMED + orjson.dumps(fields)[1:-1] + end + b"\n" for fields, _, end in lines]
    ends, spans = array("I", accumulate(map(len, texts))), bytes(is_span for _, is_span, _ in lines)

    *packed, left = pack_entries(b"".join(texts), 0, ends, spans, _begin_entry)

    read = [EncodedEvent("", bool(spans[at]), text[:-1]) for at, text in enumerate(texts) if at not in left]
    assert tuple(packed) == by_hand(read)
    assert left == [at for at, (_, _, end) in enumerate(lines) if b"," in end]


@given(almost_json(b'{"a":', b'{"a":1,"a":2}', b'"b":'))
def test_what_is_not_json_is_left(compiled, line):
    """Nothing is packed that the libraries do not read."""
    assert compiled(line) in (None, by_libraries(line))


@given(cut_or_changed(st.dictionaries(NAMES, VALUES)))
def test_a_line_that_is_cut_or_changed(compiled, parts):
    """At any byte."""
    for part in parts:
        assert compiled(part) in (None, by_libraries(part))
