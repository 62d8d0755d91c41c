"""What of a spool is shipped, and what a segment's end tells."""

import re

import orjson
import pytest

from dashcam.ship.selection import is_shipped, synthesized_events
from dashcam.spool.reader import SegmentReader, segment_files
from dashcam.spool.segment import encode_header

from ..spool.spools import SHARED, ids_in, log_line, run_writer, span_line, start_line, write_to


def _epilogue(spool):
    (path,) = segment_files(spool)
    with SegmentReader(path) as reader:
        return synthesized_events(reader).events


def test_all_but_the_marks_of_open_requests():
    """Log lines and spans are events; that a request began is none."""
    assert is_shipped(log_line(1))
    assert is_shipped(span_line(1, "a"))
    assert not is_shipped(start_line(1, "a"))


DEATH = """
writer.append(start_line(1, "a"))
writer.append(start_line(2, "b"))
writer.append(log_line(3))
writer.append(span_line(2, "b"))
writer.append(start_line(500_000, "c"))
writer.append(log_line(1_250_000))
os.kill(os.getpid(), signal.SIGKILL)
"""


def _killed(spool, code=DEATH):
    with pytest.raises(AssertionError):
        run_writer(code, spool)


def test_requests_that_were_open_are_told_as_aborted(tmp_path):
    """Each that began and did not end, at the last sign of life, with what was known of it."""
    _killed(tmp_path)

    first, second = _epilogue(tmp_path)

    (path,) = segment_files(tmp_path)
    offsets = [line_id[-8:] for line_id in ids_in(path)]
    assert (first.id, second.id) == (f"{path.stem}-aborted-{offsets[0]}", f"{path.stem}-aborted-{offsets[4]}")
    assert orjson.loads(first.data) == {
        "@timestamp": "2026-11-24T01:35:01.250000Z",
        "log.level": "error",
        "message": "request aborted: POST /cars, open for at least 1.250 s; "
        "last sign of life 2026-11-24T01:35:01.250000Z",
        "http": {"request": {"id": "golf-a", "method": "POST"}, "route": "/cars"},
        "trace": {"id": "ta"},
        "span": {"id": "a"},
        "transaction": {"id": "a", "name": "POST /cars"},
        "url": {"path": "/cars"},
        "log": {"logger": "dashcam.ship"},
        "event": {
            "kind": "event",
            "action": "request-aborted",
            "outcome": "failure",
            "duration": 1_249_999_000,
            "id": first.id,
            "sequence": int(offsets[0]),
            "dataset": "cars",
        },
        "ecs.version": "8.17.0",
        "service": {"name": "cars"},
        "process": {"pid": 4242},
    }
    assert not first.is_span
    assert orjson.loads(second.data)["event"]["duration"] == 750_000_000


def test_one_sign_of_life(tmp_path):
    """A process that was killed before its second event says nothing of how long the request was open."""
    _killed(
        tmp_path,
        """
writer.append(start_line(1, "a"))
writer.append(log_line(700))
os.kill(os.getpid(), signal.SIGKILL)
""",
    )

    (aborted,) = _epilogue(tmp_path)

    message = orjson.loads(aborted.data)["message"]
    assert (
        message
        == "request aborted: POST /cars, open for at least 699 µs; last sign of life 2026-11-24T01:35:00.000700Z"
    )


def test_every_reading_tells_the_same(tmp_path):
    """The same events under the same ids, so a second shipper makes no second ones."""
    _killed(tmp_path)

    assert _epilogue(tmp_path) == _epilogue(tmp_path)


def test_a_sealed_segment_tells_of_none(tmp_path):
    """What is open there was carried over into the next one."""
    writer = write_to(tmp_path)
    writer.append(start_line(1, "a"))
    writer.close()

    assert _epilogue(tmp_path) == []


def test_events_that_were_dropped_are_told_by_count(tmp_path):
    """One event a segment, with the number for each reason; its time is that of the segment."""
    writer = write_to(tmp_path)
    writer.append(log_line(1))
    for reason in ("limit", "error", "limit"):
        writer.drop(reason)
    writer.close()

    (told,) = _epilogue(tmp_path)

    (path,) = segment_files(tmp_path)
    fields = orjson.loads(told.data)
    assert told.id == fields["event"]["id"] == f"{path.stem}-dropped"
    assert fields["message"] == "3 events dropped: 2 by limit, 1 by error"
    assert fields["labels"] == {"dropped_limit": 2, "dropped_error": 1}
    assert fields["event"]["action"] == "events-dropped"
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", fields["@timestamp"])


@pytest.mark.parametrize(
    "damage",
    [
        b'{"time_ns":1,"processor":{"event":"start"},"span":{},"event":{"kind":"event"}}\n',
        b'{"time_ns":1795484100000001000,"processor":{"event":"start"},"span":7,"event":{}}\n',
        b'{"time_ns":1795484100000001000,"processor":{"event":"start"},"\xff":{"a":"event":{}}\n',
        b'{"time_ns":1795484100000001000,"processor":{"event":"transaction"},"event":{"kind":"event"}}\n',
    ],
)
def test_a_damaged_line_hides_no_request(tmp_path, damage):
    """It looks like a line, and makes no sense: the others are told."""
    _killed(tmp_path, DEATH.replace("writer.append(log_line(3))", f"writer.append({damage!r})"))

    assert len(_epilogue(tmp_path)) == 2


@pytest.mark.parametrize("hole", [b"\0", b"\n", b"?"])
def test_what_damage_hides_is_unknown(tmp_path, hole):
    """The end of a request may have stood there: nobody says that it was aborted, nor that it failed."""
    _killed(tmp_path)
    (path,) = segment_files(tmp_path)
    data = path.read_bytes()
    end = data.index(b'{"time_ns":1795484100000002000,"processor":{"event":"transaction"}')
    path.write_bytes(data[:end] + hole * 100 + data[end + 100 :])

    events = [orjson.loads(event.data) for event in _epilogue(tmp_path)]

    assert {event["span"]["id"] for event in events} == {"a", "b", "c"}
    assert {event["event"]["action"] for event in events} == {"request-unknown"}
    assert {event["event"]["outcome"] for event in events} == {"unknown"}
    assert {event["log.level"] for event in events} == {"warning"}
    assert events[0]["message"] == (
        "request unknown: POST /cars, open for at least 1.250 s; the segment is damaged, which may hide its end"
    )


def test_what_a_stopped_machine_took_is_unknown(tmp_path):
    """Its last lines may never have come to the disk: the boot ID in its header is another one."""
    _killed(tmp_path)
    (path,) = segment_files(tmp_path)
    data = path.read_bytes()
    end = data.index(b"\n") + 1
    now_ns = int(path.stem[:12], 16) * 1_000_000
    path.write_bytes(encode_header(path.stem, 1, SHARED, now_ns, "a-boot-of-before") + data[end:])

    events = [orjson.loads(event.data) for event in _epilogue(tmp_path)]

    assert {event["span"]["id"] for event in events} == {"a", "c"}
    assert {event["event"]["action"] for event in events} == {"request-unknown"}
    assert {event["event"]["outcome"] for event in events} == {"unknown"}
    assert events[0]["message"] == (
        "request unknown: POST /cars, open for at least 1.250 s; the machine stopped, which may have taken its end"
    )
