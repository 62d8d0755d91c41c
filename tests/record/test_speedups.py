"""What is done in C, where there is a compiler, is what is done in Python where there is none."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashcam.record.masking import looks_plain
from dashcam.record.stdlib import items_after

from ..processes import run
from .test_gate import texts


@pytest.fixture(scope="module")
def compiled():
    """The module in C."""
    return pytest.importorskip(
        "dashcam.record._speedups", reason="not compiled: needs a C compiler, then pip install", exc_type=ImportError
    )


@given(st.one_of(st.binary(), texts.map(str.encode), texts.map(orjson.dumps)), st.integers(-1, 5))
def test_any_text(compiled, body, colons):
    """Plain for one is plain for the other."""
    body = body.decode("utf-8", "replace").encode()

    assert compiled.is_plain(body, colons) == looks_plain(body, colons)


PIECES = [
    "eyJ",
    "yJ",
    "J",
    "KEY",
    "PRIVATE KEY",
    "PRIVATE KE",
    "K",
    "asic ",
    "earer ",
    "', ",
    "'",
    ":n",
    "n:",
    "BASIC ",
]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize(("before", "after"), [("", ""), ("a", ""), ("", "b"), ("e", "Y"), ("B", ","), (":", "n")])
def test_the_ends_of_a_text(compiled, before, piece, after):
    """Nothing is looked for before its first letter or behind its last."""
    body = (before + piece + after).encode()

    for colons in (0, 1, 2):
        assert compiled.is_plain(body, colons) == looks_plain(body, colons)


@given(st.dictionaries(st.text(), st.integers() | st.text()), st.integers(-1, 10))
def test_the_items_after_some(compiled, items, count):
    """The same, in the same order, in a dictionary of its own."""
    picked = compiled.items_after(items, count)

    assert list(picked.items()) == list(items_after(items, max(0, count)).items())
    assert picked is not items


@pytest.mark.parametrize(
    "arguments", [(), (b"",), ("text", 1), (b"", "1"), (b"", 1, 1), (b"", 10**30), ({}, "1"), ({},)]
)
@pytest.mark.parametrize("name", ["is_plain", "items_after"])
def test_what_it_does_not_take(compiled, name, arguments):
    """An error, as of any function."""
    with pytest.raises((TypeError, OverflowError)):
        getattr(compiled, name)(*arguments)


WITHOUT = """
import sys
sys.modules["dashcam.record._speedups"] = None  # as where it could not be compiled
import logging
import dashcam
from dashcam.record import stdlib, masking
assert masking.is_plain is masking.looks_plain
assert stdlib._items_after is stdlib.items_after
dashcam.init("cars")
dashcam.get_logger("cars").info("car created", car_id=7, note="password=hunter2")
logging.getLogger("library").info("a wheel", extra={"size": 17})
"""


def test_without_it(recording):
    """The same is recorded."""
    run(WITHOUT, env=recording.environment)

    assert [event.labels for event in recording.events()] == [{"car_id": 7, "note": "password=***"}, {"size": 17}]
