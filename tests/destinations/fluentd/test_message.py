"""The bytes of events and messages, against the protocol's text."""

import gzip
import io

import msgpack
import pytest

from dashcam.destinations.fluentd.message import WORTH_BYTES, Entries, pack_event, pack_message


def test_an_entry_is_its_time_and_its_record():
    """A list of two: EventTime as extension 0 with seconds and nanoseconds, then the record as a map."""
    entry = pack_event({"@timestamp": "2023-11-14T22:13:20.123456Z", "a": 1})

    assert entry[:11] == bytes.fromhex("92 d7 00 65 53 f1 00 07 5b ca 00")
    assert msgpack.unpackb(entry[11:]) == {"@timestamp": "2023-11-14T22:13:20.123456Z", "a": 1}


@pytest.mark.parametrize(
    "text",
    ["2023-11-14T22:13:20.123456+00:00", "2023-11-14T23:13:20.123456+01:00", "2023-11-14T22:13:20.123456Z"],
)
def test_every_way_to_write_a_time_gives_the_same_entry(text):
    """An event copied from another store may have another offset."""
    assert pack_event({"@timestamp": text})[3:11] == bytes.fromhex("65 53 f1 00 07 5b ca 00")


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"@timestamp": None},
        {"@timestamp": 12},
        {"@timestamp": "yesterday"},
        {"@timestamp": "1969-12-31T23:59:59.999999Z"},
        {"@timestamp": "2106-02-07T06:28:16.000000Z"},
        {"@timestamp": "2026-11-24T01:35:46.xxxxxxZ"},
        ["@timestamp"],
        {"@timestamp": "2026-11-24T01:35:46.000000Z", "n": 2**64},
    ],
)
def test_what_cannot_be_an_entry_is_said(event):
    """No time, no time that EventTime can hold, no map, no number of 64 bits."""
    with pytest.raises(ValueError, match=r"timestamp|isoformat|literal|range"):
        pack_event(event)


def test_a_message_is_packed_forward():
    """Tag, the entries one after the other as bytes, and an option map that asks for an acknowledgement."""
    first, second = (pack_event({"@timestamp": "2026-11-24T01:35:46Z", "n": n}) for n in (1, 2))

    message = pack_message("dashcam.log", Entries([first, second], 2))

    tag, body, option = msgpack.unpackb(message.data)
    assert (tag, body) == ("dashcam.log", first + second)
    assert option == {"size": 2, "chunk": message.chunk}


def test_a_chunk_id_is_16_random_bytes_as_text():
    """Two messages of the same entries never share an id, and it has no line break."""
    first, second = (pack_message("dashcam.log", Entries([b"\x92\x01\x80"], 1)) for _ in range(2))

    assert first.chunk != second.chunk
    assert len(first.chunk) == 24
    assert first.chunk.isascii()
    assert "\n" not in first.chunk


def test_a_compressed_message_says_so():
    """The body is gzip, the option `compressed` tells it."""
    entries = [pack_event({"@timestamp": "2026-11-24T01:35:46Z", "n": n}) for n in range(100)]

    _, body, option = msgpack.unpackb(pack_message("dashcam.log", Entries(entries, len(entries)), compress=True).data)

    assert option["compressed"] == "gzip"
    assert gzip.decompress(body) == b"".join(entries)
    assert len(body) < len(b"".join(entries)) / 3


def test_a_small_message_is_not_compressed():
    """Below a kilobyte gzip's own bytes eat what it saves."""
    entry = pack_event({"@timestamp": "2026-11-24T01:35:46Z", "text": "x" * (WORTH_BYTES - 60)})

    assert "compressed" not in msgpack.unpackb(pack_message("dashcam.log", Entries([entry], 1), compress=True).data)[2]


def test_no_entries_make_a_message_too():
    """An empty message asks whether the server still answers."""
    _, body, option = msgpack.unpackb(pack_message("dashcam.log", Entries()).data)

    assert (list(msgpack.Unpacker(io.BytesIO(body))), option["size"]) == ([], 0)
