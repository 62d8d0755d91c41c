"""The body of a `_bulk` request, by the compiled part and by the Python beside it."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashcam.destinations.elasticsearch.backend import actions_of
from dashcam.spool.block import EventBlock

SEGMENT = "0193a1b2c3d4e5f601020304"
HEADS = b'{"_index":"logs","_id":"', b'{"_index":"traces-apm","_id":"'
EVENTS = st.lists(st.tuples(st.booleans(), st.integers(0, 2**32 - 1), st.binary()))


@pytest.fixture(scope="module")
def actions():
    return pytest.importorskip("dashcam.destinations.elasticsearch._actions", reason="there was no compiler").actions


def block_of(events):
    """Events, each given as whether it is a span, its sequence and its text, as a block."""
    text, ends = b"", []
    for *_, data in events:
        text += data + b"\n"
        ends.append(len(text))
    columns = memoryview(array("I", ends)), bytes(is_span for is_span, *_ in events), memoryview(array("i"))
    return EventBlock(text, 0, *columns, SEGMENT, memoryview(array("I", [number for _, number, _ in events])))


@given(EVENTS, st.data())
def test_actions(actions, events, data):
    """Before each event that of its kind, with its ID; from any event on."""
    block = block_of(events)[data.draw(st.integers(0, len(events))) :]
    heads = [head + SEGMENT.encode() + b"-" for head in HEADS]

    found = actions(block.text, block.begin, block.ends, block.spans, block.sequences, *heads)

    assert found == actions_of(block, *HEADS)


@pytest.mark.parametrize(
    ("begin", "ends", "spans", "sequences"),
    [
        (0, [9], b"\0", [0]),
        (0, [0], b"\0", [0]),
        (-1, [4], b"\0", [0]),
        (0, [4], b"", []),
        (0, [4], b"\0", []),
    ],
)
def test_columns_that_do_not_fit(actions, begin, ends, spans, sequences):
    """Nothing beyond the text is read."""
    with pytest.raises(ValueError, match="end"):
        actions(b"text", begin, array("I", ends), spans, array("I", sequences), *HEADS)


def test_other_values(actions):
    """A mistake of the caller is an exception."""
    with pytest.raises(TypeError):
        actions("text", 0, b"", b"", b"", *HEADS)
