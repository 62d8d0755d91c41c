"""Events a second and processor time of a batch shipped by forward, against fluent-logger, into the same server.

Both begin with the lines a shipper reads from its spool, and end when the server holds all events; ours are
acknowledged, fluent-logger knows no acknowledgement.

    python -m benchmarks.forward [events] [rounds]
"""

import gc
import resource
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import orjson
from benchmarks.report import interleave, judge, print_machine, print_table, ratio, verdict
from benchmarks.sink import Sink
from fluent.sender import FluentSender

from dashcam.destinations.fluentd.backend import Fluentd
from dashcam.destinations.fluentd.peer import Peer
from dashcam.event import EncodedEvent, format_time

START_NS = 1_795_484_146_000_000_000
BATCH = 400  # lines of this size fill the 256 KB of a batch


def make_line(number: int) -> EncodedEvent:
    """A log line as the services write it, 670 bytes."""
    id_ = f"0193a1b2c3d4e5f601020304-{number:08}"
    event = {
        "@timestamp": format_time(START_NS + number * 1_234_567),
        "log.level": "info",
        "message": "car created",
        "labels": {"car_id": f"7f0c1d2e-1111-2222-3333-{number:012}", "wheels": 4},
        "http": {"request": {"id": f"0193a1b2-c3d4-7e5f-8010-{number:012x}"}},
        "trace": {"id": f"{number * 7919:032x}"},
        "span": {"id": f"{number * 104729:016x}"},
        "transaction": {"id": f"{number * 1299709:016x}"},
        "log": {"logger": "cars.api"},
        "event": {"kind": "event", "dataset": "cars", "id": id_, "sequence": number},
        "ecs.version": "8.17.0",
        "service": {"name": "cars", "version": "1.0.0", "environment": "demo", "node": {"name": "laptop"}},
        "process": {"pid": 4242},
        "host": {"name": "laptop"},
        "agent": {"name": "dashcam", "version": "0.1.0"},
    }
    return EncodedEvent(id_, is_span=False, data=orjson.dumps(event))


def measure(send, events: int) -> dict[str, float]:
    """What `send(port)` took, from its start until the server holds all events."""
    server = Sink()
    cpu, start = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    send(server.port)
    used = resource.getrusage(resource.RUSAGE_SELF)
    while server.count() < events:
        time.sleep(0.001)
    elapsed = time.monotonic() - start
    server.stop()
    cpu_s = used.ru_utime + used.ru_stime - cpu.ru_utime - cpu.ru_stime
    return {"events/s": events / elapsed, "sender's CPU, µs/event": cpu_s / events * 1e6}


def send_by_fluent_logger(lines, port):
    with FluentSender("dashcam", port=port, nanosecond_precision=True, timeout=60) as sender:
        for line in lines:
            sender.emit("log", orjson.loads(line.data))


def send_records_by_fluent_logger(records, port):
    with FluentSender("dashcam", port=port, nanosecond_precision=True, timeout=60) as sender:
        for record in records:
            sender.emit("log", record)


def send_by_dashcam(lines, in_flight, port):
    backend = Fluentd([Peer("127.0.0.1", port)])
    batches = [lines[start : start + BATCH] for start in range(0, len(lines), BATCH)]
    with ThreadPoolExecutor(in_flight) as threads:
        deque(threads.map(backend.ship, batches), maxlen=0)
    backend.close()


def main(events: int = 50_000, rounds: int = 7) -> int:
    gc.set_threshold(100_000)  # as `dashcam ship` has it: for both ways
    lines = [make_line(number) for number in range(events)]
    records = [orjson.loads(line.data) for line in lines]
    ways = {
        "fluent-logger": partial(send_by_fluent_logger, lines),
        "fluent-logger, records at hand": partial(send_records_by_fluent_logger, records),
        "dashcam, 1 batch in flight": partial(send_by_dashcam, lines, 1),
        f"dashcam, {Fluentd.limits.in_flight} in flight": partial(send_by_dashcam, lines, Fluentd.limits.in_flight),
    }
    print_machine("fluent-logger", "msgpack", "ormsgpack", "orjson")
    gc.freeze()
    print(f"{events:,} events of {len(lines[0].data)} bytes, {rounds} interleaved rounds: median [least-most]")
    figures = interleave(rounds, {name: partial(measure, send, events) for name, send in ways.items()})
    print_table(figures)
    return verdict(judged(figures["fluent-logger"], list(figures.values())[-1]))


def judged(theirs, ours):
    speed, cost = (ratio(ours, theirs, name) for name in ours[0])
    yield judge("events/s by forward, times fluent-logger's", speed, at_least=5)
    yield judge("CPU of an event sent by forward, times fluent-logger's", cost, at_most=0.25)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
