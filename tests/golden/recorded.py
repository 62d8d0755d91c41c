"""A fixed spool: two services, failed, aborted and unknown requests, held lines, drops, damage.

Its bytes are written here, not by the writer: a golden file changes only if reading, shipping or showing does.
"""

import zlib

import orjson

from dashcam.event import parse_time
from dashcam.testing import sample

HOST = "laptop.local"
SHARED = ("ecs.version", "service", "process", "host", "agent")
REQUESTS = 14
SEGMENT_BYTES = 64 << 10


def write_spool(spool):
    """Write the segments of cars and parts below a folder, and the other files that a shipper has to deal with."""
    lines = {"cars": [], "parts": []}
    for event in [orjson.loads(each.data) for each in sample.requests(REQUESTS)]:
        lines[event["service"]["name"]].append(event)
    shared = {name: {each: events[0][each] for each in SHARED} for name, events in lines.items()}
    cars, parts = lines["cars"], lines["parts"]
    starts = [_start(event) for event in cars if event.get("event", {}).get("action") == "request-aborted"]
    cars = [event for event in cars if "action" not in event["event"]]
    middle = len(parts) // 2
    _write(spool, "cars", 1, shared["cars"], map(_line, cars[:30]), sealed=1)
    _write(spool, "cars", 2, shared["cars"], [*starts, *map(_line, cars[30:])], dropped={"limit": 3, "disk": 2})
    damaged = [*map(_line, parts[:middle]), b'{"time_ns":not a line\n', b"\0\0\0\n"]
    _write(spool, "parts", 3, shared["parts"], damaged, sealed=2)
    late = [_start(parts[-1] | {"span": {"id": "feed" * 4}, "message": "POST /late"}), *map(_line, parts[middle:])]
    _write(spool, "parts", 4, shared["parts"], late, boot="0193a1b2-another-run-of-the-machine")
    (spool / HOST / "parts" / f"{_segment_id(5)}.segment").write_bytes(b'{"spool":3,"sealed":0,"lin')
    numbers = {"limit": 0, "disk": 7, "access": 0, "system": 0, "error": 1}
    drops = {"dropped": numbers, "batch": "0123456789abcdef", "folder": str(spool / HOST / "cars")}
    (spool / HOST / "cars" / "drops").write_bytes(orjson.dumps(drops) + b"\n")


def _segment_id(number):
    return f"{sample.START_NS // 1_000_000 + number:012x}0000{number:08x}"


def _line(event):
    """Return an event of the sample as its service wrote it: the time first, the IDs after what a caller gave."""
    time = {"time_ns": parse_time(event["@timestamp"])}
    kept = {name: value for name, value in event.items() if name not in {"@timestamp", *SHARED}}
    ids = ("http", "trace", "span", "transaction", "log")
    kind = [name for name in ("processor", "log.level", "message") if name in kept]
    order = [*kind, *(name for name in kept if name not in {*kind, *ids, "event"}), *(n for n in ids if n in kept)]
    own = {name: kept["event"][name] for name in ("kind", "duration", "outcome") if name in kept["event"]}
    return orjson.dumps(time | {name: kept[name] for name in order} | {"event": own}) + b"\n"


def _start(event):
    ids = {name: event[name] for name in ("http", "trace", "span", "transaction") if name in event}
    time, kind = {"time_ns": parse_time(event["@timestamp"])}, {"processor": {"event": "start"}}
    named = {"message": event["message"] if event["message"].startswith("POST") else "POST /cars"}
    return orjson.dumps(time | kind | named | ids | {"url": {"path": "/cars"}, "event": {"kind": "event"}}) + b"\n"


def _write(spool, service, number, shared, lines, *, sealed=0, dropped=None, boot=""):
    folder = spool / HOST / service
    folder.mkdir(parents=True, exist_ok=True)
    lines = list(lines)
    counts = {"limit": 0, "disk": 0, "access": 0, "system": 0, "error": 0} | (dropped or {})
    fields = {"segment": _segment_id(number), "pid": 4242, "boot": boot, "started": "", "shared": shared}
    rest = b'",' + orjson.dumps(fields)[1:] + b"\n"
    numbers = ",".join(f'"{reason}":{count:10d}' for reason, count in counts.items()).encode()
    head = b'{"spool":3,"sealed":%d,"lines":%10d,"dropped":{%b},"check":"%08x'
    text = head % (sealed, len(lines) if sealed else 0, numbers, zlib.crc32(rest)) + rest + b"".join(lines)
    data = text if sealed else text.ljust(SEGMENT_BYTES, b"\0")
    (folder / f"{fields['segment']}.segment").write_bytes(data)
