"""The local store's format: blocks packed and unpacked, and the advice for each fault."""

import sqlite3
import zlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dashcam.destinations.local.blocks.file import MAX_SPAN_US, ZLIB_DICTIONARY, pack, reason_of, unpack

from ....processes import run

LINES = st.lists(st.binary().map(lambda data: data.replace(b"\n", b" ")), min_size=1)

# Of the dictionary, so that a block refers to it.
PIECES = st.tuples(st.integers(0, len(ZLIB_DICTIONARY)), st.integers(0, 300)).map(
    lambda place: ZLIB_DICTIONARY[place[0] : place[0] + place[1]]
)


@given(LINES, st.integers(-(2**62), 2**62), st.data())
def test_a_block_comes_back_to_the_byte(lines, first, data):
    """Whatever its lines hold, and whenever they were recorded."""
    spans = st.lists(st.integers(0, MAX_SPAN_US), min_size=len(lines) - 1, max_size=len(lines) - 1)
    times_us = [first, *sorted(first + span for span in data.draw(spans))]

    body = pack(times_us, lines)
    block = unpack(7, first, len(lines), body)

    assert ([first + since for since in block.since], block.text) == (times_us, b"\n".join(lines))
    assert zlib.decompressobj(zlib.MAX_WBITS, ZLIB_DICTIONARY).decompress(body)[4 * len(lines) :] == block.text


@pytest.mark.fuzz
@given(st.lists(st.one_of(PIECES, st.binary(max_size=100)), min_size=1), st.integers(1, 200))
def test_zlib_reads_each_block(pieces, times):
    """ISA-L before 2.32 made blocks against a dictionary that only ISA-L could read."""
    lines = [piece.replace(b"\n", b" ") for piece in pieces] * times

    body = pack([1] * len(lines), lines)

    read = zlib.decompressobj(zlib.MAX_WBITS, ZLIB_DICTIONARY)
    assert (read.decompress(body)[4 * len(lines) :], read.eof) == (b"\n".join(lines), True)


@pytest.mark.parametrize("damage", ["cut", "changed", "counted"])
def test_a_damaged_block_says_so(damage):
    """A part that is missing, a byte that is another, a number of events that is not that of the lines."""
    body = pack([1, 2], [b"one", b"two"])
    body = {"cut": body[:-5], "changed": body[:9] + bytes([body[9] ^ 1]) + body[10:], "counted": body}[damage]

    with pytest.raises(ValueError, match=r"(?i)incorrect|not 2 lines|not 3 lines|invalid"):
        unpack(7, 1, 3 if damage == "counted" else 2, body)


def test_each_way_to_compress_reads_the_other(tmp_path):
    """A file goes on where a wheel of ISA-L comes later, or there is none any more."""
    pytest.importorskip("isal", reason="there is no wheel of ISA-L for this machine")
    code = """
from pathlib import Path
sys.modules["isal"] = None
from dashcam.destinations.deflate import zlib
from dashcam.destinations.local.blocks.file import pack, unpack
folder = Path(sys.argv[1])
print(zlib.__name__, unpack(7, 1, 2, (folder / "ours").read_bytes()).text.decode())
(folder / "theirs").write_bytes(pack([1, 2], [b"three", b"four"]))
"""
    (tmp_path / "ours").write_bytes(pack([1, 2], [b"one", b"two"]))

    assert run("import sys" + code, tmp_path) == "zlib one\ntwo\n"
    assert unpack(7, 1, 2, (tmp_path / "theirs").read_bytes()).text == b"three\nfour"


@given(LINES, st.lists(st.integers(0, MAX_SPAN_US)), st.integers(-20, 60))
def test_another_number_of_events_says_so(lines, spans, events):
    """Also where times and lines could be taken for each other."""
    spans = sorted([0, *spans])[: len(lines)]
    spans += [spans[-1]] * (len(lines) - len(spans))
    assume(events != len(lines))

    with pytest.raises(ValueError, match=r"not .* lines|unpack|number|format"):
        unpack(7, 1, events, pack([1 + span for span in spans], lines))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("SQLITE_FULL", "events.db cannot grow: the disk is full."),
        ("SQLITE_BUSY_SNAPSHOT", "events.db is locked by another process."),
        ("SQLITE_CORRUPT_VTAB", "dashcam repair"),
        ("SQLITE_NOTADB", "dashcam repair"),
        ("SQLITE_IOERR_WRITE", "events.db cannot be used: some fault."),
    ],
)
def test_each_fault_has_its_advice(tmp_path, name, says):
    """What the operator is told depends on what SQLite found."""
    fault = sqlite3.OperationalError("some fault")
    fault.sqlite_errorname = name

    assert says in reason_of(tmp_path / "events.db", fault)
