"""`dashcam trace`: one request's story, by any ID."""

import time
from contextlib import closing

import orjson
import pytest

from dashcam.cli import main
from dashcam.destinations.registry import connect
from dashcam.event import EncodedEvent, format_time

from ...processes import dashcam
from ..held import HOLDING, serve

REQUEST = "0294a1b2-c3d4-7e5f-8a6b-0123456789ab"


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


def with_id(request_id):
    return {"http": {"request": {"id": request_id}}}


def test_the_last_request(store, capsys):
    """The one that was served last."""
    served = {"processor": {"event": "transaction"}, "span": {"id": "b" * 16, "name": "GET /cars"}, **with_id(REQUEST)}
    store((2, "GET /cars", served), (1, "later, but not a request"))

    assert main(["trace", "--last"]) == 0
    assert f"request {REQUEST}" in capsys.readouterr().out


def test_the_first_characters_of_an_id(store, capsys):
    """Are enough where one request has them; else the requests are named."""
    store((1, "one", with_id(REQUEST)), (1, "two", with_id("0294-other")))

    assert main(["trace", REQUEST[:8]]) == 0
    assert f"request {REQUEST}" in capsys.readouterr().out
    assert main(["trace", "0294"]) == 1
    assert capsys.readouterr().err.startswith("dashcam: '0294' begins the IDs of 2 requests: ")
    assert main(["trace", "029"]) == 1
    assert "no event has the ID '029'" in capsys.readouterr().err


def test_a_request_id_that_looks_like_a_label(store, capsys):
    """Ids are ids: it does not join the story of that label, which its full name leads to."""
    store((1, "labelled", {"labels": {"car_id": "7"}}), (1, "asked for", with_id("car_id=7")))

    assert main(["trace", "car_id=7"]) == 0
    text = capsys.readouterr().out
    assert ("asked for" in text, "labelled" in text) == (True, False)
    assert main(["trace", "labels.car_id=7"]) == 0
    assert "labelled" in capsys.readouterr().out


def test_a_story_is_written_as_one_file(orders, tmp_path, capsys):
    """`--html` prints no story."""
    file = tmp_path / "story.html"

    assert main(["trace", "bad", "--html", str(file)]) == 0
    assert capsys.readouterr() == ("", f"dashcam: {file} has the story\n")
    assert "parts could not be made" in file.read_text(encoding="utf-8")


def test_a_file_that_cannot_be_written_is_told(orders, capsys):
    """With its name and why."""
    assert main(["trace", "bad", "--html", "/nowhere/story.html"]) == 1
    assert capsys.readouterr().err == ("dashcam: /nowhere/story.html cannot be written: No such file or directory\n")


def test_a_look_into_the_spool(tmp_path):
    """As if all of it had been shipped: stories, and searches."""
    serve(tmp_path, "parts", "good", 200)
    serve(tmp_path, "cars", "good", 200, "other", 200)
    dashcam("ship", "--drain", folder=tmp_path, **HOLDING)

    held = dashcam("trace", "good", "--held", folder=tmp_path, **HOLDING)
    shipped = dashcam("trace", "good", folder=tmp_path, **HOLDING)
    hits = dashcam("search", "--held", "--json", "level:debug", "service:cars", folder=tmp_path, **HOLDING)
    last = dashcam("trace", "--last", "--held", folder=tmp_path, **HOLDING)
    unknown = dashcam("trace", "nobody", "--held", folder=tmp_path, **HOLDING)

    assert held.stdout.count("DEBUG step") == 10
    assert shipped.stdout.count("DEBUG step") == 0
    assert len(hits.stdout.splitlines()) == 10
    assert "request other" in last.stdout
    assert (unknown.returncode, unknown.stderr) == (
        1,
        "dashcam: no event has the ID 'nobody' in the spool of this machine\n",
    )
