"""The bytes of a segment, and what they mean."""

import pytest

from dashcam.spool.segment import (
    DROP_REASONS,
    SEALED_AT,
    count_at,
    decode_header,
    encode_count,
    encode_header,
    new_segment_id,
    service_folder,
)

SEGMENT = "0193a1b2c3d4e5f601020304"
STARTED_NS = 1795484146123456789
SHARED = {"ecs.version": "8.17.0", "service": {"name": "cars"}}
HEADER = (
    b'{"spool":2,"sealed":0,"dropped":{"limit":         0,"disk":         0,"error":         0},'
    b'"segment":"0193a1b2c3d4e5f601020304","pid":4242,"started":"2026-11-24T01:35:46.123456Z",'
    b'"shared":{"ecs.version":"8.17.0","service":{"name":"cars"}}}\n'
)


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
    changed[count_at(reason)] = encode_count(count)

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


def test_ids_sort_by_time():
    """A later segment has the greater id, whoever made it; the milliseconds stand in front."""
    ids = [new_segment_id(ns) for ns in (0, 16, 4080, 4096, 999_999, 1_000_000, STARTED_NS, STARTED_NS + 16)]

    assert ids == sorted(ids)
    assert {len(each) for each in ids} == {24}
    assert int(ids[-1][:12], 16) == STARTED_NS // 1_000_000
    assert new_segment_id(STARTED_NS) != new_segment_id(STARTED_NS)


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
