"""Every query of the pictures on a real Elasticsearch full of traffic, and the pictures drawn from the answers.

The drawings stay in the folder `build/kibana`, to be looked at.
"""

import json
import re
from pathlib import Path

import pytest

from tests.peers.node import Vega

from . import traffic
from .vega import queries, with_answers

ROOT = Path(__file__).parents[2]
DRAWN = ROOT / "build" / "kibana"
PERIOD = ("2026-11-24T01:30:00Z", "2026-11-24T02:10:00Z")
SPECS = {
    file.stem: source["attributes"]["visState"]["params"]["spec"]
    for file in sorted((ROOT / "dashboards" / "kibana").glob("*.json"))
    if (source := json.loads(file.read_text()))["type"] == "visualization"
}


@pytest.fixture(scope="module")
def vega():
    """What draws; it would start in most of the time that a drawing takes."""
    started = Vega()
    yield started
    started.stop()


@pytest.fixture
def draw(stack, vega):
    """Draw a picture of what is there, for some condition of the dashboard; gives its texts and its data."""

    def draw_it(name, size=(1200, 400), title=None, period=PERIOD, **context):
        spec = with_answers(SPECS[name], stack, period, context)
        drawn = vega.draw(spec, *size)
        assert drawn["warnings"] == []
        keep(title or name, drawn["svg"])
        return re.findall(r"<text[^>]*>([^<]+)</text>", drawn["svg"]), drawn["data"]

    return draw_it


def keep(name, svg):
    DRAWN.mkdir(parents=True, exist_ok=True)
    (DRAWN / f"{name}.svg").write_text(svg)


@pytest.fixture(scope="module")
def photograph(chromium):
    """Keep a drawing as a browser shows it; gives the picture."""
    with chromium.new_context(viewport={"width": 1200, "height": 400}) as context:
        page = context.new_page()

        def photograph(name):
            page.goto((DRAWN / f"{name}.svg").as_uri())
            picture = page.screenshot()
            (DRAWN / f"{name}.png").write_bytes(picture)
            return picture

        yield photograph


def trace(number):
    return [{"term": {"trace.id": f"{number + 1:032x}"}}]


def test_a_waterfall_is_the_tree(draw):
    """Callers above callees, in the order of their start, named by what they did, with their durations."""
    texts, data = draw("request-waterfall", title="waterfall-slow", filter=trace(traffic.SLOW))

    assert [
        (row["depth"], row["service"], row["name"][:18]) for row in sorted(data["rows"], key=lambda row: row["row"])
    ] == [
        (0, "cars", "POST /cars"),
        (1, "cars", "INSERT INTO cars ("),
        (1, "cars", "POST http://parts:"),
        (2, "parts", "POST /parts"),
        (3, "parts", "INSERT INTO parts "),
        (1, "cars", "COMMIT"),
    ]
    assert f"trace {traffic.SLOW + 1:032x}" in texts
    assert any(text.endswith("· 6 spans · 0 failed") for text in texts)
    assert len(data["dots"]) == 3


def test_a_failure_is_followed_to_its_place(draw):
    """From the statement that failed up to the answer."""
    _, data = draw("request-waterfall", title="waterfall-failed", filter=trace(traffic.REFUSED))

    assert [row["failed"] for row in sorted(data["rows"], key=lambda row: row["row"])] == [
        True,
        False,
        True,
        True,
        True,
    ]


def test_an_aborted_request_has_a_row(draw):
    """It has no span, only the report of its end; the row starts where the request did."""
    _, data = draw("request-waterfall", title="waterfall-aborted", filter=trace(traffic.KILLED))

    (row,) = [row for row in data["rows"] if row["aborted"]]
    assert (row["name"], row["service"], row["depth"]) == ("POST /parts aborted", "parts", 2)
    assert all(0 <= row["x0"] <= row["x1"] for row in data["rows"])


def test_spans_without_their_callers_are_drawn_too(draw):
    """Half of a trace: what hangs in the air begins at the left."""
    _, data = draw(
        "request-waterfall",
        title="waterfall-orphans",
        filter=[*trace(traffic.SLOW), {"term": {"service.name": "parts"}}],
    )

    assert [(row["depth"], row["service"]) for row in sorted(data["rows"], key=lambda row: row["row"])] == [
        (0, "parts"),
        (1, "parts"),
    ]


def test_several_traces_are_not_mixed(draw):
    """The picture says how to choose one."""
    texts, data = draw("request-waterfall", title="waterfall-several")

    assert data["rows"] == []
    assert any(text.startswith("These are ") and "Choose one" in text for text in texts)


def test_the_requests_are_counted_by_service(draw):
    """Every server span once, at the rate of its interval."""
    _, data = draw("requests-per-second")

    requests_of = {
        name: sum(p["value"] for p in data["points"] if p["service"] == name) * 60 for name in ("cars", "parts")
    }
    assert round(requests_of["cars"]) == 402
    assert round(requests_of["parts"]) == 136  # one of them was aborted


def test_failing_requests_are_a_share(draw):
    """Between nothing and all."""
    _, data = draw("failing-requests")

    assert 0 < max(point["value"] for point in data["points"]) <= 1


def test_durations_are_milliseconds(draw):
    """The slow request stands out in the 95th percentile, and not in the median."""
    _, data = draw("request-durations")

    parts = [point for point in data["points"] if point["service"] == "parts"]
    assert max(point["most"] for point in parts) > 150
    assert max(point["half"] for point in parts) < 100


def test_routes_are_listed_by_service(draw):
    """With requests, failures and three durations, the busiest first."""
    texts, _ = draw("routes")

    assert texts.index("/cars") < texts.index("/parts")
    assert {"10 · 2.5%", "10 · 7.4%"} <= set(texts)


def test_events_are_counted_by_service(draw, stack):
    """Lines and spans, dead letters apart."""
    _, data = draw("events-per-service")

    assert sum(point["count"] for point in data["points"]) == len(traffic.lines())


def test_the_delay_is_the_one_between_event_and_fluentd(draw):
    """Around 0.6 s in the middle, as the traffic has it."""
    _, data = draw("delivery-delay")

    half = [point["value"] for point in data["points"] if point["what"] == "median"]
    assert 0.4 < sum(half) / len(half) < 0.9


def test_trouble_is_shown_by_kind(draw):
    """Each kind at its time."""
    _, data = draw("pipeline-trouble")

    counted = {}
    for point in data["points"]:
        counted[point["kind"]] = counted.get(point["kind"], 0) + point["count"]
    assert counted == {"dead letters": 4, "drops reported": 1, "requests aborted": 1, "values cut or mended": 1}


def test_the_numbers_of_the_pipeline(draw):
    """Arrived, dead, dropped (the sum that the reports tell), aborted, mended."""
    texts, _ = draw("pipeline-numbers", size=(1200, 120))

    assert texts[::2] == [f"{len(traffic.lines()):,}", "4", "17", "1", "1"]


@pytest.mark.parametrize("name", SPECS)
def test_an_empty_time_range_draws(draw, name):
    """Nothing there is no error."""
    draw(name, title=f"{name}-empty", period=("2020-01-01T00:00:00Z", "2020-01-01T01:00:00Z"))


@pytest.mark.parametrize("name", SPECS)
def test_a_browser_shows_it(draw, photograph, name):
    """In headless Chromium, to a picture that is more than a white sheet."""
    context = {"filter": trace(traffic.REFUSED)} if name == "request-waterfall" else {}
    draw(name, title=f"{name}-shown", **context)

    picture = photograph(f"{name}-shown")

    assert len(picture) > 5000


def test_every_picture_asks_for_its_data():
    """A picture without a query of its own would draw nothing of what is stored."""
    assert [name for name, spec in SPECS.items() if not queries(spec)] == []
