"""The saved ES|QL, run on a real Elasticsearch: its numbers are those of `dashcam overview` and `dashcam errors`."""

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
import requests

from dashcam.destinations.elasticsearch.store import open_store
from dashcam.event import Event
from dashcam.find.query import And, Not, Query, Term
from dashcam.show.errors import ERROR_LINES
from dashcam.show.overview import collect, count_requests
from tests.engines.streams import new_namespace

from .conftest import fill

FOLDER = Path(__file__).parents[2] / "dashboards" / "esql"


@pytest.fixture(scope="module")
def esql_stack(elasticsearch_with_esql_url):
    """The settings of a namespace on an engine with ES|QL that holds the half hour."""
    return fill(elasticsearch_with_esql_url, new_namespace())


@pytest.fixture
def store(esql_stack):
    with closing(open_store(esql_stack)) as found:
        yield found


@pytest.fixture
def ask(esql_stack):
    """Run a saved query; gives a dictionary for each row."""

    def run(name):
        text = (FOLDER / f"{name}.esql").read_text().replace("dashcam-*", f"dashcam-{esql_stack.namespace}*")
        answer = requests.post(f"{esql_stack.url}/_query", json={"query": text}, timeout=60).json()
        assert "columns" in answer, answer
        names = [column["name"] for column in answer["columns"]]
        return [dict(zip(names, row, strict=True)) for row in answer["values"]]

    return run


def test_the_slowest_routes(ask, store):
    """Requests and failures of the overview, the aborted ones aside; the slowest first."""
    aborted = Counter(map(counted_as, store.find(Query(Term("event.action", "request-aborted")))))
    rows = {(row.service, row.title): row for row in count_requests(store, Query()).values()}
    wanted = {key: (row.requests - aborted[key], row.failures - aborted[key]) for key, row in rows.items()}

    rows = ask("slowest-routes")

    found = {(row["service.name"], row["route"]): (row["requests"], row["failures"]) for row in rows}
    assert found == wanted
    assert [row["p95"] for row in rows] == sorted((row["p95"] for row in rows), reverse=True)
    for row in rows:
        times = durations(store, row["service.name"], row["route"])
        assert times[0] <= row["p50"] <= row["p95"] <= row["p99"] <= times[-1]
        rank = -(-len(times) * 95 // 100) - 1
        near = times[max(0, rank - 1) : rank + 2]
        assert min(near) * 0.99 <= row["p95"] <= max(near) * 1.01


def counted_as(event):
    """The service and the title of the only row of an event, `None` where it is no request."""
    return next(((row.service, row.title) for row in collect([event]).values()), None)


def durations(store, service, route):
    events = store.find(Query(Term("processor.event", "transaction")))
    of_route = [event for event in events if counted_as(event) == (service, route)]
    return sorted(event.get("event.duration") for event in of_route)


def test_failed_requests(ask, store):
    """As many as the overview has failures, the newest first, each with the ID of its story."""
    rows = ask("failed-requests")

    assert len(rows) == min(500, sum(row.failures for row in count_requests(store, Query()).values())) > 0
    assert [row["@timestamp"] for row in rows] == sorted((row["@timestamp"] for row in rows), reverse=True)
    assert all(row["http.request.id"] for row in rows)


def test_groups_of_errors(ask, store):
    """Each error line is in one group, of its service, type and logger."""
    found = store.find(Query(And((ERROR_LINES, Not(Term("log.level", "warning"))))))
    wanted = Counter(_group(event) for event in found)

    rows = ask("groups-of-errors")

    assert {(row["service.name"], row["error.type"], row["log.logger"]): row["count"] for row in rows} == wanted


def _group(event: Event):
    return tuple(event.get(name) for name in ("service.name", "error.type", "log.logger"))
