"""The terms that events are found by, of the compiled part and of the Python beside it."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashcam.destinations.local.index import terms
from dashcam.destinations.local.index.terms import (
    COLUMNS,
    INDEXED,
    MEASURED,
    event_of,
    event_terms,
    key_of,
    name_term,
    pair_term,
    size_terms,
    terms_of,
    value_term,
)
from dashcam.event import Event
from dashcam.find.values import SEARCHED, SHOWN, values_of
from dashcam.testing.sample import lines

from ...odd_json import almost_json, cut_or_changed


def test_what_an_event_is_found_by():
    """Its words and each two of them, the values of indexed fields and labels, the labels' names, numbers by size."""
    event = Event({"message": "Car created", "log.level": "info", "labels": {"wheels": 4}, "process": {"pid": 7}})

    assert set(event_terms(event)) == {
        "car",
        "created",
        "4",
        pair_term("car", "created"),
        value_term("log.level", "info"),
        name_term("labels.wheels"),
        value_term("labels.wheels", "4"),
        *size_terms("labels.wheels", 4, 4),
    }


NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(-1e300, 1e300)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_number_within_bounds_is_found_by_its_size(number, low, high):
    """The sizes of a span have that of every number in it."""
    low, number, high = sorted([number, low, high])
    (size,) = size_terms("labels.x", number, number)

    assert size in size_terms("labels.x", low, high)
    assert size in size_terms("labels.x", None, high)
    assert size in size_terms("labels.x", low, None)


def test_a_word_without_end_is_found_by_its_beginning():
    """An index holds no more than 64 characters of a word."""
    assert set(event_terms(Event({"message": "é" * 70_000}))) == {"é" * 64}


def test_neighbours_share_the_term_of_their_ids():
    """The ID of an event leads to the block that has it, not to it alone."""
    first, near, far = (f"0193a1b2c3d4e5f601020304-{offset:08}" for offset in (512, 99_512, 100_512))

    assert value_term("event.id", first) == value_term("event.id", near) != value_term("event.id", far)


def test_lines_that_are_no_events_are_named():
    """By their number, with the reason; the others have their terms."""
    found = terms_of([b'{"message":"car"}', b"rubbish", b"[]", b'{"message":"created"}', b'{"a":"\xff"}'])

    assert set(found.text.split()) == {"car", "created"}
    assert list(found.faults) == [1, 2, 4]


@pytest.fixture(scope="module")
def compiled():
    return pytest.importorskip("dashcam.destinations.local._terms", reason="there was no compiler").collect


def both(compiled, data):
    """The terms and the key of a line by the compiled part and by Python; `None` where it leaves the line.

    Where the compiled part has its duration, that is what Python finds, too.
    """
    text, left, (key,), (duration,) = compiled([data], terms._number)
    try:
        event = Event.from_json(data)
        wanted = set(event_terms(event)), key_of(event)
        assert left or duration is None or values_of(event, "event.duration") == [duration]
    except (ValueError, RecursionError):
        wanted = None
    return (None if left else (set(text.split()), key)), wanted


def is_at_least(found, wanted):
    """Whether the compiled part has all terms of a line, and its key."""
    return wanted is not None and found[0] >= wanted[0] and counted_by(found[1]) == counted_by(wanted[1])


def counted_by(key):
    """The values of a key; a text may be written in several ways."""
    return None if key is None else event_of(key).fields


def test_both_collect_the_same_of_ordinary_events(compiled):
    """Of every kind of event, and none is left to Python."""
    for event in lines():
        found, wanted = both(compiled, event.data)

        assert found == wanted


def test_what_a_line_is_counted_by():
    """Its columns, each once but for the values of a list; where a line says an object twice, the last one counts."""
    lines = [
        b'{"service":{"name":"cars"},"http":{"response":{"status_code":503}},"log.level":"info"}',
        b'{"service":{"name":["a","b"]}}',
        b'{"service":{"name":"a"},"service":{}}',
        b'{"log":{"logger":"a"},"log.logger":"b"}',
        b'{"log":{"logger":"%b"}}' % (b"x" * 600),
    ]

    assert [counted_by(key) for key in terms_of(lines).keys] == [
        {"service.name": ["cars"], "http.response.status_code": [503], "log.level": ["info"]},
        {"service.name": ["a", "b"]},
        {},
        {"log.logger": ["a", "b"]},
        None,
    ]


@pytest.mark.parametrize(
    ("line", "duration"),
    [
        (b'{"event":{"kind":"event","duration":4250000}}', 4_250_000),
        (b'{"event.duration":-7}', -7),
        (b'{"event":{"duration":[12]}}', 12),
        (b'{"event":{"duration":999999999999999999}}', 10**18 - 1),
        (b'{"event":{"duration":1000000000000000000}}', None),
        (b'{"event":{"duration":[1,2]}}', None),
        (b'{"event":{"duration":[1,"2"]}}', None),
        (b'{"event":{"duration":1},"event.duration":2}', None),
        (b'{"event":{"duration":1,"duration":{}}}', None),
        (b'{"event":{"duration":1.5}}', None),
        (b'{"event":{"duration":-0}}', None),
        (b'{"event":{"duration":null}}', None),
        (b'{"duration":7,"labels":{"event.duration":7}}', None),
    ],
)
def test_a_duration_is_one_whole_number(compiled, line, duration):
    """Python looks for any other one; none is left over from the line before."""
    *_, durations = compiled([b'{"event":{"duration":3}}', line], terms._number)

    assert durations == [3, duration]


NAMES = st.sampled_from(
    [
        *sorted(
            {part for name in (*INDEXED, *MEASURED, *COLUMNS, *SEARCHED, *SHOWN) for part in (name, *name.split("."))}
        ),
        *("labels", "labels.a", "a", "é", "", "log.level", 'q"'),
    ]
)
TEXTS = (
    st.text('aB zé_İ1\u017f.-\n"\\/\u001f😀\u0301', max_size=8) | st.text(max_size=4) | st.just("word " * 40 + "x" * 99)
)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
FIELDS = st.dictionaries(NAMES, VALUES, max_size=8)


@given(FIELDS | st.fixed_dictionaries({"labels": FIELDS, "message": TEXTS}))
def test_both_collect_the_same_of_any_event(compiled, fields):
    """What the compiled part does not read it leaves, and does not guess."""
    found, wanted = both(compiled, orjson.dumps(fields))

    assert found is None or (found[0] == wanted[0] and counted_by(found[1]) == counted_by(wanted[1]))


@given(almost_json(b'{"message":"a b",', b'"labels":{', b'"x":', b'"log":{', b'"logger":'))
def test_what_is_not_json_is_left(compiled, data):
    """The compiled part accepts nothing that is not an event."""
    found, wanted = both(compiled, data)

    assert found is None or is_at_least(found, wanted)


@given(cut_or_changed(FIELDS))
def test_a_line_that_is_cut_or_changed(compiled, parts):
    """At any byte: it is an event with the same terms, or it is left."""
    for part in parts:
        found, wanted = both(compiled, part)
        assert found is None or is_at_least(found, wanted)
