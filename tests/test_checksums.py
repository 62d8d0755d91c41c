"""The checksums of a statement, by the compiled part and by `zlib`."""

import zlib
from array import array
from itertools import accumulate, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashcam.statement import _by_zlib, _gaps

LINES = st.builds(lambda part, times, rest: part * times + rest, st.binary(), st.integers(1, 40), st.binary())
DATED = st.builds(b'{"@timestamp":"%b%b'.__mod__, st.tuples(st.sampled_from([b"2026-11-24", b"2026"]), st.binary()))


@pytest.fixture(scope="module")
def checksums():
    return pytest.importorskip("dashcam._checksums", reason="there was no compiler").checksums


@pytest.mark.parametrize("with_vectors", [True, False])
@given(lines=st.lists(LINES | DATED))
@example(lines=[bytes(range(length)) for length in range(256)])
def test_checksums_of_lines(checksums, with_vectors, lines):
    """Those of `zlib`, in their order, with and without the processor's vector instructions; and the range of time."""
    text, ends = b"".join(line + b"\n" for line in lines), array("I", accumulate(len(line) + 1 for line in lines))

    sums, first, last = checksums(text, ends, with_vectors=with_vectors)

    assert list(array("I", sums)) == [zlib.crc32(line) for line in lines]
    assert (sums, first, last) == _by_zlib(text, ends)


@pytest.mark.parametrize(("text", "ends"), [(None, []), ("a", [1]), (b"a\n", None)])
def test_other_values(checksums, text, ends):
    """A mistake of the caller is an exception."""
    with pytest.raises(TypeError):
        checksums(text, ends and array("I", ends))


@pytest.mark.parametrize("ends", [[0], [3], [1, 1], [2, 1]])
def test_ends_that_are_none(checksums, ends):
    """Nothing is read before a text, or behind it."""
    with pytest.raises(ValueError, match="end one behind the other"):
        checksums(b"a\n", array("I", ends))


@given(st.lists(st.integers(0, 2**32 - 1)).map(sorted))
def test_distances(numbers):
    """From one number to the next, the first from 0; four bytes each, the least significant first."""
    found = _gaps(array("I", numbers))

    assert found == b"".join((after - before).to_bytes(4, "little") for before, after in pairwise([0, *numbers]))
