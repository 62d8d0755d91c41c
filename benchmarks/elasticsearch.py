"""Events a second and processor time into a real Elasticsearch or OpenSearch, and the look-up of one request in it.

Begins with the lines a shipper reads from its spool, ends when the engine has answered for all of them; sender and
engine share the machine. The look-up asks for one request of seven events, all time, as `dashcam trace` does.

    python -m benchmarks.elasticsearch [elasticsearch|opensearch] [events] [rounds]
"""

import os
import resource
import sys
import tempfile
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.forward import make_line
from benchmarks.report import interleave, print_machine, print_table
from tests.engines import engine
from tests.engines.streams import documents, new_namespace, set_up, settings_for

from dashcam.destinations.elasticsearch.backend import connect
from dashcam.destinations.elasticsearch.options import Options
from dashcam.destinations.elasticsearch.store import open_store
from dashcam.event import EncodedEvent
from dashcam.find.language import parse
from dashcam.find.query import Query

CACHE = Path(".pytest_cache/d/engines")
EVENTS_OF_A_REQUEST = 7


def main(name: str = "elasticsearch", events: int = 100_000, rounds: int = 3) -> int:
    print_machine("requests", "orjson")
    CACHE.mkdir(parents=True, exist_ok=True)
    lines = [as_request(number) for number in range(events)]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        node = engine.start(getattr(engine, f"{name}_command")(CACHE.resolve(), home), home)
        ways = {
            f"{batch:,} a batch, {host}": partial(ship, node, lines, batch, host)
            for batch in (500, 1000, 2000, 4000)
            for host in ("127.0.0.1", "127.1")
        }
        print(f"\n{name}, {events:,} events of {len(lines[0].data)} bytes, 4 in flight; as 127.1 it is sent gzip\n")
        print_table(interleave(rounds, ways))
        print(f"\none request of {EVENTS_OF_A_REQUEST} events among {events:,}\n")
        settings = filled(node, lines)
        print_table(interleave(rounds, {"look-up": partial(look_up, settings, events)}))
        node.stop()
    return 0


def as_request(number: int) -> EncodedEvent:
    """A log line of which seven belong to one request."""
    line = make_line(number)
    first = number - number % EVENTS_OF_A_REQUEST
    return line._replace(data=line.data.replace(b"%032x" % (number * 7919), b"%032x" % (first * 7919)))


def ship(node: engine.Engine, lines: list[EncodedEvent], batch: int, host: str) -> dict[str, float]:
    """Ship all lines into streams of their own."""
    settings = settings_for(node.url.replace("127.0.0.1", host), new_namespace())
    set_up(settings)
    backend = connect(settings)
    backend.ship(lines[:1])
    batches = [lines[start : start + batch] for start in range(0, len(lines), batch)]
    own, theirs, start = own_cpu_s(), cpu_s(node), time.monotonic()
    with ThreadPoolExecutor(backend.limits.in_flight) as threads:
        deque(threads.map(backend.ship, batches), maxlen=0)
    elapsed = time.monotonic() - start
    per_event = 1e6 / len(lines)
    return {
        "events/s": len(lines) / elapsed,
        "sender's CPU, µs/event": (own_cpu_s() - own) * per_event,
        "engine's CPU, µs/event": (cpu_s(node) - theirs) * per_event,
    }


def filled(node: engine.Engine, lines: list[EncodedEvent]) -> Options:
    """Settings of a namespace that holds these lines."""
    settings = settings_for(node.url, new_namespace())
    set_up(settings)
    backend = connect(settings)
    for start in range(0, len(lines), 4000):
        backend.ship(lines[start : start + 4000])
    backend.close()
    documents(settings)
    return settings


def look_up(settings: Options, events: int) -> dict[str, float]:
    """Find one request ten times, each time another, by one store."""
    store = open_store(settings)
    own, start = own_cpu_s(), time.monotonic()
    for step in range(10):
        first = step * events // 10 // EVENTS_OF_A_REQUEST * EVENTS_OF_A_REQUEST
        found = list(store.find(Query(parse(f"trace:{first * 7919:032x}"))))
        assert len(found) == EVENTS_OF_A_REQUEST
    elapsed = time.monotonic() - start
    store.close()
    return {"ms": elapsed * 100, "own CPU, ms": (own_cpu_s() - own) * 100}


def own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def cpu_s(node: engine.Engine) -> float:
    fields = Path(f"/proc/{node.process.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2], *map(int, sys.argv[2:])))
