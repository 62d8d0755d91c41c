"""Clips over two hosts: two spools, two shippers, and one Elasticsearch, through which the verdict goes."""

import time
from contextlib import closing

import pytest

from dashcam.destinations.elasticsearch.store import open_store
from dashcam.find.query import Query, Term
from dashcam.ship.inspection.stats import collect_stats

from ..engines.streams import set_up, settings_for
from ..processes import running_dashcam, until
from ..ship.clips.clip_lines import START_NS, call_line, served_line
from ..spool.spools import write_to

MOST_S = 10  # from the end of the failed request to the other host's lines, on a machine that is not busy


@pytest.fixture
def hosts(tmp_path, elasticsearch_url, namespace):
    """The folders of two hosts where a shipper is at work each, and the store that both ship to."""
    settings = settings_for(elasticsearch_url, namespace)
    set_up(settings)
    environment = {
        "LOG_BACKEND": "elasticsearch",
        "ELASTICSEARCH_URL": elasticsearch_url,
        "DASHCAM_NAMESPACE": namespace,
        "DASHCAM_SHIP_LEVEL": "INFO",
    }
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
    with (
        running_dashcam("ship", folder=first, **environment),
        running_dashcam("ship", folder=second, **environment),
        closing(open_store(settings)) as store,
    ):
        yield first, second, store


def now():
    """The number of a line that is recorded now."""
    return (time.time_ns() - START_NS) // 1000


def found(store, request):
    """The messages of the DEBUG lines of a request, and the rules that kept them."""
    events = [
        event for event in store.find(Query(Term("http.request.id", request))) if event.get("log.level") == "debug"
    ]
    return [(event.get("message"), event.get("event.reason")) for event in events]


def seconds_until(condition, what):
    began_s = time.monotonic()
    until(condition, what)
    return time.monotonic() - began_s


def held(folder):
    """How many lines the shipper of a host holds."""
    route = collect_stats(folder).routes.get("elasticsearch")
    return route.held if route else 0


def test_a_verdict_travels_through_the_store(hosts):
    """Soon the lines of the failed request come from both hosts, and those of the other from none.

    Within ten seconds; where other work keeps the machine busy, twice as long more as a span takes there: the verdict
    goes the same way, and then the lines.
    """
    here, there, store = hosts
    cars, parts = write_to(here / "spool", "cars"), write_to(there / "spool", "parts")
    for request in ("golf-bad", "golf-good"):
        cars.append(call_line(now(), "debug", request, "order opened"))
        parts.append(call_line(now(), "debug", request, "parts wanted"))
        parts.append(served_line(now(), request))
    until(lambda: [held(here), held(there)] == [2, 2], "held lines")

    cars.append(served_line(now(), "golf-plain"))
    plain_s = seconds_until(lambda: list(store.find(Query(Term("http.request.id", "golf-plain")))), "span")
    cars.append(served_line(now(), "golf-good"))
    cars.append(served_line(now(), "golf-bad", 503))
    took_s = seconds_until(lambda: len(found(store, "golf-bad")) == 2, "lines of both hosts")
    parts.append(call_line(now(), "debug", "golf-bad", "afterwards"))
    until(lambda: len(found(store, "golf-bad")) == 3, "a line that came later")

    assert took_s <= MOST_S + 2 * plain_s
    assert found(store, "golf-bad") == [("order opened", "5xx"), ("parts wanted", "5xx"), ("afterwards", "5xx")]
    assert found(store, "golf-good") == []
    reports = list(store.find(Query(Term("event.action", "request-kept"))))
    assert [report.get("http.request.id") for report in reports] == ["golf-bad"]
