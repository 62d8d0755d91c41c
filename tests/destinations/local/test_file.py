"""The local store's format: lines packed and unpacked, ids, and what events are found by."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashcam.destinations.local import file as local_file
from dashcam.destinations.local.file import pack, packed_id, reason_of, size_terms, terms_of, unpack, value_term
from dashcam.event import Event

LINE = b'{"@timestamp":"2026-11-24T01:35:46Z","message":"car created","ecs.version":"8.17.0","service":{"name":"x"}}'


def test_an_ending_is_shared():
    """What follows a line's own fields is kept apart, to the byte."""
    own, ending = pack(LINE)

    assert ending == b',"ecs.version":"8.17.0","service":{"name":"x"}}'
    assert len(own) < 60


@given(st.binary() | st.text().map(str.encode) | st.binary().map(lambda more: LINE + more + LINE))
def test_a_line_comes_back_to_the_byte(data):
    """Whatever a line holds, also the mark of an ending in other places."""
    assert unpack(*pack(data)) == data


@pytest.mark.parametrize(
    ("event_id", "packed"),
    [
        ("0193a1b2c3d4e5f601020304-00000012", bytes.fromhex("0193a1b2c3d4e5f6010203040000000c")),
        ("0193a1b2c3d4e5f601020304-4294967295", bytes.fromhex("0193a1b2c3d4e5f601020304ffffffff")),
        ("0193a1b2c3d4e5f601020304-4294967296", "0193a1b2c3d4e5f601020304-4294967296"),
        ("0193A1B2C3D4E5F601020304-00000012", "0193A1B2C3D4E5F601020304-00000012"),
        ("0193a1b2c3d4e5f601020304-12", "0193a1b2c3d4e5f601020304-12"),
        ("0193a1b2c3d4e5f601020304-00000012-aborted", "0193a1b2c3d4e5f601020304-00000012-aborted"),
        ("canary", "canary"),
        ("", ""),
    ],
)
def test_a_common_id_is_kept_short(event_id, packed):
    """Only the form the spool gives; any other stays as it is, so that no two are one."""
    assert packed_id(event_id) == packed


def test_what_an_event_is_found_by():
    """Its words in order, the values of indexed fields and labels, the labels' names, the sizes of numbers."""
    event = Event({"message": "Car created", "log.level": "info", "labels": {"wheels": 4}, "process": {"pid": 7}})

    terms = terms_of(event).split()

    assert terms[:3] == ["car", "created", "4"]
    assert set(terms[3:]) == {
        value_term("log.level", "info"),
        local_file.name_term("labels.wheels"),
        value_term("labels.wheels", "4"),
        *size_terms("labels.wheels", 4, 4),
    }


NUMBERS = st.integers(-(2**63), 2**64) | st.floats(-1e300, 1e300)


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
    assert terms_of(Event({"message": "x" * 70_000})) == "x" * 64


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("SQLITE_FULL", "events.db cannot grow: the disk is full."),
        ("SQLITE_BUSY_SNAPSHOT", "events.db is locked by another process."),
        ("SQLITE_CORRUPT_VTAB", "Move it away"),
        ("SQLITE_NOTADB", "Move it away"),
        ("SQLITE_IOERR_WRITE", "events.db cannot be used: some fault."),
    ],
)
def test_each_fault_has_its_advice(tmp_path, name, says):
    """What the operator is told depends on what SQLite found."""
    fault = sqlite3.OperationalError("some fault")
    fault.sqlite_errorname = name

    assert says in reason_of(tmp_path / "events.db", fault)
