"""The bytes of a segment, and what they mean."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashcam.event import EncodedEvent, Event
from dashcam.spool.segment import (
    DROP_REASONS,
    LATEST_NS,
    SEALED_AT,
    LineExpander,
    decode_header,
    encode_count,
    encode_header,
    is_line,
    is_start,
    new_segment_id,
    place_of_count,
    service_folder,
    time_of,
)

SEGMENT = "0193a1b2c3d4e5f601020304"
STARTED_NS = 1795484146123456789
SHARED = {"ecs.version": "8.17.0", "service": {"name": "cars"}}
HEADER = (
    b'{"spool":2,"sealed":0,"dropped":{"limit":         0,"disk":         0,"error":         0},'
    b'"segment":"0193a1b2c3d4e5f601020304","pid":4242,"started":"2026-11-24T01:35:46.123456Z",'
    b'"shared":{"ecs.version":"8.17.0","service":{"name":"cars"}}}\n'
)
LOG = b'{"time_ns":1795484146123456789,"log.level":"info","message":"car created","event":{"kind":"event"}}'
SPAN = b'{"time_ns":1795484146123456789,"processor":{"event":"transaction"},"event":{"kind":"event"}}'
START = b'{"time_ns":1795484146123456789,"processor":{"event":"start"},"event":{"kind":"event"}}'


def test_a_header_as_it_stands_in_the_file():
    """Readers of other versions, and people with `head -1`, meet these bytes."""
    assert encode_header(SEGMENT, 4242, SHARED, STARTED_NS) == HEADER


def test_a_header_is_read_again():
    """Everything comes back; nothing is sealed or dropped yet."""
    header = decode_header(HEADER)

    assert (header.segment, header.pid, header.is_sealed) == (SEGMENT, 4242, False)
    assert header.dropped == {"limit": 0, "disk": 0, "error": 0}
    assert header.shared == SHARED
    assert header.service == "cars"


@pytest.mark.parametrize("reason", DROP_REASONS)
@pytest.mark.parametrize("count", [1, 9_999_999_999])
def test_a_count_changes_in_place(reason, count):
    """The number of a reason has its own place: no other byte of the header moves."""
    changed = bytearray(HEADER)
    changed[place_of_count(reason)] = encode_count(count)

    assert len(changed) == len(HEADER)
    assert decode_header(bytes(changed)).dropped == dict.fromkeys(DROP_REASONS, 0) | {reason: count}


def test_sealing_changes_one_byte():
    """A digit in the header says that the writer went on to another segment."""
    sealed = bytearray(HEADER)
    sealed[SEALED_AT : SEALED_AT + 1] = b"1"

    assert decode_header(bytes(sealed)).is_sealed


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\0" * 100,
        b"[]",
        b"{}",
        b'{"spool":1}',
        b'{"spool":2}',
        b"GIF89a",
        HEADER[: len(HEADER) // 2],
        HEADER.replace(b'"service":{"name":"cars"}', b'"service":7'),
        HEADER.replace(b'"shared":{', b'"shared":[],"other":{'),
    ],
)
def test_what_is_no_header_is_said_to_be_none(line):
    """Another file, another format, the half of a header: one error for all."""
    with pytest.raises(ValueError):  # noqa: PT011 — the sentence is the JSON parser's or ours
        decode_header(line)


def test_a_line_is_completed():
    """The time becomes a date; the event's id, its number and what the segment's events share go to the end."""
    line = LineExpander(decode_header(HEADER)).expand(LOG, 12)

    assert line == EncodedEvent(
        "0193a1b2c3d4e5f601020304-00000012",
        is_span=False,
        data=b'{"@timestamp":"2026-11-24T01:35:46.123456Z","log.level":"info","message":"car created",'
        b'"event":{"kind":"event","id":"0193a1b2c3d4e5f601020304-00000012","sequence":12,"dataset":"cars"},'
        b'"ecs.version":"8.17.0","service":{"name":"cars"}}',
    )
    assert orjson.loads(line.data)["event"]["sequence"] == 12


def test_spans_are_told_apart():
    """By what stands right after the time, without reading the JSON."""
    expander = LineExpander(decode_header(HEADER))

    assert expander.expand(SPAN, 1).is_span
    assert not expander.expand(LOG, 2).is_span
    assert (is_start(START), is_start(SPAN), is_start(LOG)) == (True, False, False)


def test_the_time_of_a_line():
    """Nanoseconds since the epoch."""
    assert time_of(LOG) == 1795484146123456789


@given(st.integers(0, LATEST_NS - 1))
def test_any_time_becomes_a_date(time_ns):
    """UTC with microseconds, always as long; also that of a clock which was never set."""
    line = LOG.replace(b"1795484146123456789", b"%d" % time_ns)

    data = LineExpander(decode_header(HEADER)).expand(line, 1).data

    assert is_line(line)
    assert Event.from_json(data).time_ns == time_ns // 1000 * 1000
    assert data.startswith(b'Z","log.level"', len('{"@timestamp":"2026-11-24T01:35:46.123456'))


def test_ids_sort_by_time():
    """A later segment has the greater id, whoever made it; the milliseconds stand in front."""
    ids = [new_segment_id(ns) for ns in (0, 16, 4080, 4096, 999_999, 1_000_000, STARTED_NS, STARTED_NS + 16)]

    assert ids == sorted(ids)
    assert {len(each) for each in ids} == {24}
    assert int(ids[-1][:12], 16) == STARTED_NS // 1_000_000
    assert new_segment_id(STARTED_NS) != new_segment_id(STARTED_NS)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        LOG[1:],
        LOG[:-1],
        LOG.replace(b"car", b"c\0r"),
        b"\0" * 300 + LOG,
        LOG.replace(b"146123", b"146 23"),
        LOG.replace(b"1795", b"17951795"),
        LOG.replace(b":1795", b":-1795"),
        b'{"time_ns":}}',
        b'{"time_ns":,"event":{}}',
    ],
)
def test_the_rest_of_a_damaged_line_is_no_line(line):
    """It begins with a time, ends with an event, and has no hole."""
    assert not is_line(line)


@pytest.mark.parametrize("service", ["cars", "..", ".", "a/b", "", "größe", "x" * 300, "\udcff", "a b%"])
def test_each_service_has_its_folder(tmp_path, service):
    """Whatever its name, it is one folder below its host's, which can be made."""
    folder = service_folder(tmp_path, "here", service)

    folder.mkdir(parents=True)
    assert folder.resolve().parent == tmp_path / "here"
    assert not folder.name.startswith(".")


def test_services_do_not_share_a_folder(tmp_path):
    """Names that look alike stay apart."""
    names = ["cars", "Cars", "c/ars", "c%2Fars", "..", ".", "%2E"]

    assert len({service_folder(tmp_path, "here", name) for name in names}) == len(names)
