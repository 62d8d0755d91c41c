"""`dashcam errors`: errors in groups."""

import json

from dashcam.cli import main

PERIOD = ["--since", "2026-11-24T01:30:00Z", "--until", "2026-11-24T02:00:00Z"]


def rows(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_errors_are_grouped(orders, capsys):
    """With the request ID of an example."""
    assert main(["errors", "--json", *PERIOD]) == 0
    (row,) = rows(capsys)
    assert {name: row[name] for name in ("service.name", "error.type", "count", "http.request.id", "http.route")} == {
        "service.name": "parts",
        "error.type": "psycopg2.errors.CheckViolation",
        "count": 1,
        "http.request.id": "bad",
        "http.route": ["POST /parts"],
    }
    assert main(["errors", *PERIOD]) == 0
    assert "newest story bad" in capsys.readouterr().out
    assert main(["errors", "service:cars", *PERIOD]) == 1
    assert capsys.readouterr().err == "dashcam: no error since 2026-11-24T01:30:00Z matches\n"
