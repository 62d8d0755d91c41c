"""The dashboards' numbers and those of `dashcam overview`, over the same half hour on a real Elasticsearch."""

import json
from pathlib import Path

import pytest
import requests

from dashcam.destinations.elasticsearch.store import open_store
from dashcam.event import Event, parse_time
from dashcam.find.query import MatchAll, Query
from dashcam.show.overview import collect, count_requests

from . import traffic
from .vega import fill_tokens, queries

FOLDER = Path(__file__).parents[2] / "dashboards" / "kibana"
PERIOD = ("2026-11-24T01:30:00Z", "2026-11-24T02:10:00Z")


@pytest.fixture(scope="module")
def overview(stack):
    """What `dashcam overview` says of the period."""
    store = open_store(stack)
    rows = count_requests(store, Query(MatchAll(), *map(parse_time, PERIOD)))
    yield {(row.service, row.title): row for row in rows.values()}
    store.close()


def answer(name, stack):
    """The groups that a picture's one query is answered with."""
    spec = json.loads((FOLDER / f"{name}.json").read_text())["attributes"]["visState"]["params"]["spec"]
    ((_, url),) = queries(spec)
    index = url["index"].replace("dashcam-*", f"dashcam-{stack.namespace}*")
    body = fill_tokens(url["body"], PERIOD, {})
    found = requests.post(f"{stack.url}/{index}/_search", json=body, timeout=30)
    assert found.status_code == 200, found.text
    return found.json()["aggregations"]


def test_routes_are_those_of_the_overview(stack, overview):
    """Requests and failures equal, an aborted request among them; percentiles within 1 % of a neighbour's time.

    Elasticsearch's histogram rounds the rank of a percentile where the overview takes the next whole one.
    """
    rows = {}
    for service in answer("routes", stack)["service"]["buckets"]:
        found = [(route["key"], route) for route in service["route"]["buckets"]]
        found += [(f"{one['key']} (no known route)", one) for one in service["method"]["names"]["buckets"]]
        found += [(job["key"], job) for job in service["job"]["names"]["buckets"]]
        rows |= {(service["key"], title): row for title, row in found}
    assert {key: (row["doc_count"], row["failed"]["doc_count"]) for key, row in rows.items()} == {
        key: (row.requests, row.failures) for key, row in overview.items()
    }
    assert sum(row.requests for row in overview.values()) == 538
    for key, row in rows.items():
        times_ns = durations(*key)
        for percent in (50, 95, 99):
            shown_ns = row["finished"]["took"]["values"][f"{percent}.0"]
            rank = -(-len(times_ns) * percent // 100) - 1
            near = times_ns[max(0, rank - 1) : rank + 1]
            assert any(abs(shown_ns - one) <= one / 100 for one in near)
            assert abs(overview[key].percentile_ns(percent) - times_ns[rank]) <= times_ns[rank] / 100


def durations(service, route):
    spans = (Event.from_json(line.data) for line in traffic.lines() if line.is_span)
    return sorted(
        span.get("event.duration")
        for span in spans
        if span.get("processor.event") == "transaction"
        and any((row.service, row.title) == (service, route) for row in collect([span]).values())
    )


@pytest.mark.parametrize(("name", "figure"), [("requests-per-second", "requests"), ("failing-requests", "failures")])
def test_time_lines_add_up_to_the_overview(stack, overview, name, figure):
    """By service."""
    counted = {}
    for step in answer(name, stack)["time"]["buckets"]:
        for service in step["service"]["buckets"]:
            more = service["doc_count"] if figure == "requests" else service["failed"]["doc_count"]
            counted[service["key"]] = counted.get(service["key"], 0) + more

    wanted = {}
    for row in overview.values():
        wanted[row.service] = wanted.get(row.service, 0) + getattr(row, figure)
    assert counted == wanted
