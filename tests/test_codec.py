"""JSON by Python's own encoder, beside orjson: what one interpreter records, another one could have."""

import json

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashcam import codec, python_json

TEXTS = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
)


@given(VALUES)
@example({"a": '\0\x1f\x7f\u2028"\\/', "b": [], "c": {}})
def test_a_value_is_written_as_by_orjson(value):
    """With the same bytes, but for the exponent of a number."""
    by_python, by_orjson = python_json.dumps(value), orjson.dumps(value)

    assert json.loads(by_python) == json.loads(by_orjson) == orjson.loads(by_python)
    if b"e" not in by_python:
        assert by_python == by_orjson


@pytest.mark.parametrize("value", ["\ud800", {"\ud800": 1}, [1 << 64], {"a": -(1 << 63) - 1}, float("nan"), {1}])
def test_a_value_that_cannot_be_json(value):
    """The caller hears it by the same error, but for a number that orjson writes as null."""
    with pytest.raises(TypeError):
        python_json.dumps(value)
    if value == value:  # noqa: PLR0124 — not NaN
        with pytest.raises(TypeError):
            orjson.dumps(value)


def test_a_value_on_a_line():
    """The option of orjson that Dashcam uses."""
    written = python_json.dumps({"a": 1}, None, python_json.OPT_APPEND_NEWLINE)

    assert written == orjson.dumps({"a": 1}, None, orjson.OPT_APPEND_NEWLINE) == b'{"a":1}\n'


def test_the_main_interpreter_has_orjson():
    """Only others have Python's own."""
    assert codec.orjson is orjson
