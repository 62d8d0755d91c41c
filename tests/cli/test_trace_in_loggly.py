"""A story out of Loggly, with the way to it there."""

import time
from contextlib import closing

import orjson
import pytest

from dashcam.cli import main
from dashcam.destinations.registry import connect
from dashcam.event import EncodedEvent, format_time


@pytest.fixture
def loggly(loggly_stand_in, tmp_path, monkeypatch):
    """An account with one event."""
    for name, value in (loggly_stand_in.environment() | {"DASHCAM_DIR": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("LOGGLY_SUBDOMAIN", raising=False)
    fields = {
        "@timestamp": format_time(time.time_ns()),
        "log.level": "info",
        "message": "car created",
        "http": {"request": {"id": "golf-1"}},
        "trace": {"id": "4bf92f3577b34da6a3ce929d0e0e4736"},
        "event": {"id": "0193a1b2c3d4e5f601020304-00000001"},
        "service": {"name": "cars"},
    }
    with closing(connect("loggly")) as backend:
        backend.ship([EncodedEvent(fields["event"]["id"], is_span=False, data=orjson.dumps(fields))])
    return loggly_stand_in


@pytest.mark.parametrize("any_id", ["golf-1", "4bf92f3577b34da6a3ce929d0e0e4736"])
def test_a_story_comes_with_its_link(loggly, monkeypatch, capsys, any_id):
    """Below the drawing, by the trace."""
    monkeypatch.setenv("LOGGLY_SUBDOMAIN", "acme")

    assert main(["trace", any_id]) == 0

    *drawing, link = capsys.readouterr().out.splitlines()
    assert any("car created" in line for line in drawing)
    assert link.startswith(
        "Loggly: https://acme.loggly.com/search#terms=json.trace.id%3A%224bf92f3577b34da6a3ce929d0e0e4736%22&from="
    )


def test_without_a_subdomain_there_is_no_link(loggly, capsys):
    """Nobody knows where it would lead."""
    assert main(["trace", "golf-1"]) == 0

    assert "loggly.com" not in capsys.readouterr().out


def test_an_id_nobody_knows_is_told(loggly, capsys):
    """Exit status 1."""
    assert main(["trace", "polo-1"]) == 1

    assert "'polo-1'" in capsys.readouterr().err
