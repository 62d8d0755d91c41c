"""The bytes of a segment, and what they mean."""

import zlib
from contextlib import suppress
from pathlib import Path

import pytest

from dashcam.spool.segment import (
    DROP_REASONS,
    GIVEN_UP,
    LINES_AT,
    OPEN,
    SEALED,
    SEALED_AT,
    boot_id,
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
BOOT = "5a9c4d57-5a3f-4a2e-8a0c-0d9a7b6c5e4f"
HEADER = (
    b'{"spool":3,"sealed":0,"lines":         0,"dropped":{"limit":         0,"disk":         0,"access":         0,'
    b'"system":         0,"error":         0},"check":"1c27da4d",'
    b'"segment":"0193a1b2c3d4e5f601020304","pid":4242,"boot":"5a9c4d57-5a3f-4a2e-8a0c-0d9a7b6c5e4f",'
    b'"started":"2026-11-24T01:35:46.123456Z","shared":{"ecs.version":"8.17.0","service":{"name":"cars"}}}\n'
)
NO_DROPS = {"limit": 0, "disk": 0, "access": 0, "system": 0, "error": 0}
STATIC_AT = HEADER.index(b'"segment"')


def test_a_header_as_it_stands_in_the_file():
    """Readers of other versions, and people with `head -1`, meet these bytes."""
    assert encode_header(SEGMENT, 4242, SHARED, STARTED_NS, BOOT) == HEADER


def test_a_header_is_read_again():
    """Everything comes back; nothing is sealed or dropped yet."""
    header = decode_header(HEADER)

    assert (header.segment, header.pid, header.boot) == (SEGMENT, 4242, BOOT)
    assert (header.is_sealed, header.is_given_up, header.lines) == (False, False, 0)
    assert header.dropped == NO_DROPS
    assert header.shared == SHARED
    assert header.service == "cars"


@pytest.mark.parametrize("reason", DROP_REASONS)
@pytest.mark.parametrize("count", [1, 9_999_999_999])
def test_a_count_changes_in_place(reason, count):
    """The number of a reason has its own place: no other byte of the header moves."""
    changed = bytearray(HEADER)
    changed[count_at(reason) : count_at(reason) + 10] = encode_count(count)

    assert len(changed) == len(HEADER)
    assert decode_header(bytes(changed)).dropped == NO_DROPS | {reason: count}


@pytest.mark.parametrize(
    ("digit", "flags"), [(OPEN, (False, False)), (SEALED, (True, False)), (GIVEN_UP, (True, True))]
)
def test_sealing_changes_in_place(digit, flags):
    """A digit in the header says that the writer went on to another segment; the number of lines stands beside it."""
    sealed = bytearray(HEADER)
    sealed[SEALED_AT : SEALED_AT + 1] = digit
    sealed[LINES_AT : LINES_AT + 10] = encode_count(123)

    header = decode_header(bytes(sealed))

    assert (header.is_sealed, header.is_given_up, header.lines) == (*flags, 123)


def test_a_changed_byte_in_a_header_is_noticed():
    """Else events would appear under another service, or another id."""
    unnoticed = []
    for offset in range(STATIC_AT, len(HEADER) - 1):
        changed = bytearray(HEADER)
        changed[offset] ^= 1
        with suppress(ValueError):
            decode_header(bytes(changed))
            unnoticed.append(offset)

    assert unnoticed == []


def _with_check(header):
    """A header with the checksum that fits it, as somebody who knows the format would forge it."""
    head, _, rest = header.partition(b'},"check":"')
    return head + b'},"check":"%08x' % zlib.crc32(rest[8:]) + rest[8:]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\0" * 100,
        b"[]",
        b"{}",
        b'{"spool":1}',
        b'{"spool":3}',
        b'{"spool":[]}',
        b"GIF89a",
        b'{"spool":9' + HEADER.removeprefix(b'{"spool":3'),
        HEADER[: len(HEADER) // 2],
        HEADER.replace(b'"service":{"name":"cars"}', b'"service":7'),
        _with_check(HEADER.replace(b'"service":{"name":"cars"}', b'"service":7')),
        _with_check(HEADER.replace(b'"name":"cars"', b'"name":7')),
        _with_check(HEADER.replace(b'"shared":{', b'"shared":[],"other":{')),
        _with_check(HEADER.replace(b"4242", b'"42"')),
        _with_check(HEADER.replace(b'"0193a1', b'"../3a1')),
        _with_check(HEADER.replace(b'"0193a1b2c3d4e5f601020304"', b"[1]")),
        HEADER.replace(b'"disk":         0', b'"disk":        -1'),
        HEADER.replace(b'"disk":         0', b'"disk":      null'),
        HEADER.replace(b'"lines":         0', b'"lines":        []'),
    ],
)
def test_what_is_not_a_header_is_rejected(line):
    """Another file, another format, half of a header, a wrong type: one error for all."""
    with pytest.raises(ValueError):  # noqa: PT011 — the sentence is the JSON parser's or ours
        decode_header(line)


def test_this_run_of_the_machine_has_an_id():
    """It is the same for all processes until the machine is started again."""
    assert boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


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
