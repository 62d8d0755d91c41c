"""The saved searches, run on a real Elasticsearch full of traffic."""

import json
import re
from pathlib import Path

import pytest
import requests

from . import traffic

FOLDER = Path(__file__).parents[2] / "dashboards" / "kibana"
SOURCES = {file.stem: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))}
VIEWS = {each["id"]: each["attributes"]["title"] for each in SOURCES.values() if each["type"] == "index-pattern"}
SPANS = sum(line.is_span for line in traffic.lines())
FOUND = {
    "search-aborted-requests": 1,
    "search-dead-letters": 4,
    "search-drops": 1,
    "search-errors": 11,
    "search-failures": 38,
    "search-kept-clips": 1,
    "search-log-lines": len(traffic.lines()) - SPANS,
    "search-requests": 537,
    "search-slow-requests": 0,
}


def as_lucene(kql):
    """The Kibana Query Language as far as the searches use it, in the words of `query_string`."""
    return re.sub(r" ([<>]=?) ", r":\1", kql.replace(" and ", " AND ").replace(" or ", " OR ")) or "*"


@pytest.mark.parametrize("name", [name for name, each in SOURCES.items() if each["type"] == "search"])
def test_a_search_finds_what_it_says(stack, name):
    """As many as the traffic has of them."""
    search = SOURCES[name]
    kql = search["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"]["query"]["query"]
    index = VIEWS[search["references"][0]["id"]].replace("dashcam-*", f"dashcam-{stack.namespace}*")

    answer = requests.post(
        f"{stack.url}/{index}/_count",
        json={"query": {"query_string": {"query": as_lucene(kql)}}},
        timeout=30,
    )

    assert answer.json()["count"] == FOUND[name]
