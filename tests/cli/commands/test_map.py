"""`dashcam map`: which services call each other."""

import json

from dashcam.cli import main

PERIOD = ["--since", "2026-11-24T01:30:00Z", "--until", "2026-11-24T02:00:00Z"]


def rows(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_map_has_edges(orders, capsys):
    """As objects, and drawn."""
    assert main(["map", "--json", *PERIOD]) == 0
    assert [(row["source"], row["target"], row["calls"], row["failures"]) for row in rows(capsys)] == [
        ("cars", "parts", 2, 1),
        ("cars", "postgresql cars", 2, 0),
        ("parts", "postgresql parts", 2, 1),
    ]
    assert main(["map", *PERIOD]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["cars", "    ──▶ parts"]
    assert main(["map"]) == 1
