"""An overview of many requests, and the period before: seconds, exact counts, and the fault of percentiles.

The requests are generated, so that their true counts and percentiles are known. With --elasticsearch URL they are
counted there, too.

    python -m benchmarks.overview [--spans 1000000] [--rounds 5] [--elasticsearch URL]
"""

import argparse
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson
import requests
from benchmarks.report import judge, print_machine, verdict

from dashcam.destinations.elasticsearch import store as elasticsearch
from dashcam.destinations.elasticsearch import streams
from dashcam.destinations.elasticsearch.backend import connect as connect_elasticsearch
from dashcam.destinations.elasticsearch.client import Client
from dashcam.destinations.elasticsearch.options import Options as ElasticsearchOptions
from dashcam.destinations.local.backend import connect as connect_local
from dashcam.destinations.local.options import Options as LocalOptions
from dashcam.destinations.local.search import store as local
from dashcam.event import EncodedEvent, format_time
from dashcam.find.query import OWN, Not
from dashcam.settings import load
from dashcam.show.overview import Overview, build_overview

LOCAL_S, ELASTICSEARCH_S = 1.0, 1.5
PERIOD_NS = 3600 * 10**9
SERVICES, ROUTES = 5, 8


class Truth:
    """What was generated: by service and route the requests, the failures, and the times."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str], int] = {}
        self.failures: dict[tuple[str, str], int] = {}
        self.times_ns: dict[tuple[str, str], list[int]] = {}

    def add(self, key: tuple[str, str], took_ns: int, *, failed: bool) -> None:
        self.requests[key] = self.requests.get(key, 0) + 1
        self.failures[key] = self.failures.get(key, 0) + failed
        self.times_ns.setdefault(key, []).append(took_ns)


def spans(count: int, since_ns: int, truth: Truth) -> Iterator[EncodedEvent]:
    """Served requests, evenly over a period; every fiftieth fails."""
    chance = random.Random(9)
    for number in range(count):
        service, route = f"service-{number % SERVICES}", f"/route-{chance.randrange(ROUTES)}/<id>"
        took_ns, failed = int(chance.lognormvariate(16.5, 1)), chance.random() < 0.02
        truth.add((service, route), took_ns, failed=failed)
        event_id = f"{number // 100_000:024x}-{number % 100_000 * 700:08d}"
        fields = {
            "@timestamp": format_time(since_ns + number * PERIOD_NS // count),
            "processor": {"event": "transaction"},
            "log.level": "info",
            "message": "GET",
            "span": {"id": f"{number:016x}", "name": "GET", "kind": "server"},
            "trace": {"id": f"{number:032x}"},
            "transaction": {"id": f"{number:016x}", "type": "request"},
            "http": {
                "request": {"id": f"request-{number}", "method": "GET"},
                "response": {"status_code": 500 if failed else 200},
                "route": route,
            },
            "event": {"duration": took_ns, "outcome": "failure" if failed else "success", "id": event_id},
            "service": {"name": service, "version": "1.0.0"},
        }
        yield EncodedEvent(event_id, is_span=True, data=orjson.dumps(fields))


def ship(backend, lines: Iterator[EncodedEvent]) -> None:
    """Ship everything in batches."""
    batch = []
    for line in lines:
        batch.append(line)
        if len(batch) == 1000:
            assert backend.ship(batch) is None
            batch = []
    if batch:
        assert backend.ship(batch) is None
    backend.close()


def check(overview: Overview, truth: Truth) -> float:
    """Return the greatest fault of a percentile, as a share; every count has to be right."""
    assert {(row.service, row.route): row.requests for row in overview.rows} == truth.requests
    assert {(row.service, row.route): row.failures for row in overview.rows} == truth.failures
    faults = []
    for row in overview.rows:
        times_ns = sorted(truth.times_ns[row.service, row.route])
        for percent in (50, 95, 99):
            exact_ns = times_ns[-(-len(times_ns) * percent // 100) - 1]
            faults.append(abs((row.percentile_ns(percent) or 0) - exact_ns) / exact_ns)
    return max(faults)


def measure(name: str, store, since_ns: int, truth: Truth, rounds: int) -> dict[str, float]:
    """Build the overview again and again; the median time, and the greatest fault."""
    took_s = []
    with closing(store):
        for _ in range(rounds):
            began_s = time.perf_counter()
            overview = build_overview(store, Not(OWN), since_ns, since_ns + PERIOD_NS)
            took_s.append(time.perf_counter() - began_s)
    fault = check(overview, truth)
    print(f"{name}: {', '.join(f'{one:.2f}' for one in took_s)} s, percentiles within {fault:.2%}, counts exact")
    return {"seconds": sorted(took_s)[len(took_s) // 2], "fault": fault}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--elasticsearch", metavar="URL")
    parser.add_argument("--quick", action="store_true", help="50,000 spans, 3 rounds")
    given = parser.parse_args()
    if given.quick:
        given.spans, given.rounds = 50_000, 3
    print_machine()
    since_ns = time.time_ns() // 10**9 * 10**9 - PERIOD_NS
    with tempfile.TemporaryDirectory() as folder:
        truth, options = Truth(), LocalOptions(dir=Path(folder))
        ship(connect_local(options), spans(given.spans, since_ns, truth))
        results = {"local": measure("local", local.open_store(options), since_ns, truth, given.rounds)}
    if given.elasticsearch:
        results["elasticsearch"] = _elasticsearch(given, since_ns)
    return verdict(list(_judge(results, given.spans / 1_000_000)))


def _judge(results: dict[str, dict[str, float]], millions: float) -> Iterator[bool]:
    for name, bound_s in (("local", LOCAL_S), ("elasticsearch", ELASTICSEARCH_S)):
        if name in results:
            seconds, fault = results[name]["seconds"] / millions, results[name]["fault"]
            yield judge(f"seconds of an overview of 1,000,000 requests, {name}", seconds, at_most=bound_s)
            yield judge(f"fault of its percentiles, {name}", fault, at_most=0.01)


def _elasticsearch(given: argparse.Namespace, since_ns: int) -> dict[str, float]:
    namespace = f"bench{time.time_ns()}"
    options = load(ElasticsearchOptions, {"ELASTICSEARCH_URL": given.elasticsearch, "DASHCAM_NAMESPACE": namespace})
    client, truth = Client(options), Truth()
    list(streams.set_up(client, namespace, 14))
    client.close()
    ship(connect_elasticsearch(options), spans(given.spans, since_ns, truth))
    requests.post(f"{given.elasticsearch}/*{namespace}*/_refresh", timeout=300).raise_for_status()
    return measure("elasticsearch", elasticsearch.open_store(options), since_ns, truth, given.rounds)


if __name__ == "__main__":
    raise SystemExit(main())
