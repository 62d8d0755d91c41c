"""`dashcam overview`: requests by service and route, and what changed."""

import json

from dashcam.cli import main

PERIOD = ["--since", "2026-11-24T01:30:00Z", "--until", "2026-11-24T02:00:00Z"]


def rows(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_overview_is_of_a_period(orders, capsys):
    """The worst first, what changed on top; the period before is as long."""
    assert main(["overview", "--json", *PERIOD]) == 0
    assert [(row["service.name"], row["requests"], row["failures"], row["p99"]) for row in rows(capsys)] == [
        ("cars", 2, 1, 42_300_000),
        ("parts", 2, 1, 23_400_000),
    ]
    assert main(["overview", "--since", "2026-11-24T01:36:30Z", "--until", "2026-11-24T01:37:30Z", "service:cars"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "service  route  requests      /s  failed      p50      p95      p99",
        "cars     /cars         1    0.02  100.0%  28.9 ms  28.9 ms  28.9 ms",
    ]


def test_an_age_may_be_greater_than_any_event_has(orders, capsys):
    """The period then begins with 1970, which every store can compare with."""
    assert main(["overview", "--json", "--since", "999999999w"]) == 0
    assert [row["service.name"] for row in rows(capsys)] == ["cars", "parts"]


def test_an_overview(store, capsys):
    """Requests by service and route, of the store that is searched; what changed since the period before is on top."""
    served = {"processor": {"event": "transaction"}, "http": {"route": "/cars"}, "event": {"outcome": "failure"}}
    store(*[(0.1, "GET /cars", served | {"span": {"id": f"{number:016x}"}}) for number in range(3)], (1.5, "a line"))

    assert main(["overview", "--json"]) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["service.name"], row["http.route"], row["requests"], row["failures"]) == ("cars", "/cars", 3, 3)
    assert main(["overview", "service:parts"]) == 1
    assert capsys.readouterr().err == "dashcam: no request in the last 1h matches\n"
    assert main(["overview"]) == 0
    assert "cars     /cars         3" in capsys.readouterr().out
