"""The checksums of a statement, by the compiled part and by `zlib`."""

import zlib
from array import array

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

LINES = st.builds(lambda part, times, rest: part * times + rest, st.binary(), st.integers(1, 40), st.binary())


@pytest.fixture(scope="module")
def checksums():
    return pytest.importorskip("dashcam._checksums", reason="there was no compiler").checksums


@pytest.mark.parametrize("with_vectors", [True, False])
@given(lines=st.lists(LINES))
@example(lines=[bytes(range(length)) for length in range(256)])
def test_checksums_of_lines(checksums, with_vectors, lines):
    """Those of `zlib`, in their order, with and without the processor's vector instructions."""
    assert list(array("I", checksums(lines, with_vectors=with_vectors))) == [zlib.crc32(line) for line in lines]


@pytest.mark.parametrize("lines", [None, (b"a",), ["a"], [b"a", None]])
def test_other_values(checksums, lines):
    """A mistake of the caller is an exception."""
    with pytest.raises(TypeError):
        checksums(lines)
