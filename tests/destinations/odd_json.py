"""Lines that are almost JSON, for the parts in C that read it."""

import orjson
from hypothesis import strategies as st

PIECES = [
    *(b"}", b"]", b"[", b"{", b",", b" ", b"\n", b"\0", b"\\", b'"'),
    *(b"1", b"-0", b"1e5", b"1e999", b"1.", b"01", b"true", b"nul", b"null"),
    *(b'"\\u0041"', b'"\\q"', b'"\xff"', b'"\xc3\xa9"'),
]


def almost_json(*own):
    """Pieces of JSON in any order, those of one's own among them; and any bytes."""
    return st.lists(st.sampled_from([*own, *PIECES]), max_size=12).map(b"".join) | st.binary()


def cut_or_changed(fields):
    """An object as JSON with one byte changed, whole and cut before that byte."""

    @st.composite
    def damaged(draw):
        line = bytearray(orjson.dumps(draw(fields)))
        at = draw(st.integers(0, len(line) - 1))
        line[at] = draw(st.integers(0, 255))
        return bytes(line), bytes(line[:at])

    return damaged()
