"""`dashcam search`: events that match a query."""

import json
import time

import pytest

from dashcam.cli import main
from dashcam.destinations.canary import make_canary
from dashcam.destinations.registry import connect
from dashcam.event import format_time
from dashcam.testing.backend_contract import line


def messages(capsys):
    return [json.loads(text)["message"] for text in capsys.readouterr().out.splitlines()]


def test_words_are_joined(store, capsys):
    """Quotes are for the shell; several words are one search."""
    store((0, "car created"), (0, "car sold"))

    assert main(["search", "car", "created", "--json"]) == 0
    assert messages(capsys) == ["car created"]


def test_a_search_may_begin_with_a_minus(store, capsys):
    """It is not an option."""
    store((0, "car created"), (0, "car sold"))

    assert main(["search", "-created", "--json"]) == 0
    assert messages(capsys) == ["car sold"]
    assert main(["search", "-level:info"]) == 1


def test_an_empty_hand_says_what_came_before(store, capsys):
    """The period is what keeps the events out."""
    store(*[(48 + number, "car created") for number in range(7)])

    assert main(["search", "created"]) == 1
    assert capsys.readouterr().err == (
        "dashcam: no event matches\ndashcam: nothing in the last 24h, but 7 before: --since 3d finds some\n"
    )
    assert main(["search", "created", "--since", "3d"]) == 0


def test_an_unknown_field_is_said(store, capsys):
    """With the field that is close to it, if there is one."""
    store((0, "car created"))

    assert main(["search", "servise:cars"]) == 1
    assert "no event in the last 24h has the label servise: did you mean service?" in capsys.readouterr().err
    assert main(["search", "wheels:4"]) == 1
    assert "has the label wheels: a name that is not a field is a label" in capsys.readouterr().err


def test_canaries_are_left_out(store, capsys):
    """They are no events of a service, unless one asks for them."""
    store((0, "car created"))
    backend = connect("local")
    backend.ship([make_canary()])
    backend.close()

    assert main(["search", "--json"]) == 0
    assert messages(capsys) == ["car created"]
    assert main(["search", "service:dashcam-doctor", "--json"]) == 0
    assert messages(capsys) == ["canary of dashcam doctor"]
    assert main(["copy", "--from", "local", "--to", "local", "--since", "1h", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["copied"] == 0


def test_json_is_what_was_shipped(store, capsys):
    """Byte by byte: a number beyond 64 bits, blanks, and a name that is there twice stay as they were."""
    store()
    odd = b'{"@timestamp":"%b", "message":"odd","labels":{"most":123456789012345678901234567890,"a":1,"a":2}}'
    line_ = line(1, "odd")._replace(data=odd % format_time(time.time_ns()).encode())
    backend = connect("local")
    backend.ship([line_])
    backend.close()

    assert main(["search", "--json"]) == 0
    assert capsys.readouterr().out.encode() == line_.data + b"\n"


def test_times_are_labelled(store, monkeypatch, capsys):
    """UTC, or on request those of the time zone."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    store((0, "car created"))

    assert main(["search"]) == 0
    assert " UTC  INFO" in capsys.readouterr().out
    assert main(["search", "--local-time"]) == 0
    assert " +0900  INFO" in capsys.readouterr().out
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("path", [("trace", "id"), ("span", "id"), ("http", "request", "id")])
def test_a_bare_id_finds_its_events(store, capsys, path):
    """As words do: no field needs to be named."""
    fields = "4bf92f3577b34da6"
    for name in reversed(path):
        fields = {name: fields}
    store((0, "car created", fields), (0, "car sold"))

    assert main(["search", "4bf92f3577b34da6", "--json"]) == 0
    assert messages(capsys) == ["car created"]
