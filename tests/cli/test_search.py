"""Searches and look-ups on the command line: what they find, and what they say when that is nothing."""

import json
import subprocess
import sys
import time

import orjson
import pytest

from dashcam.cli import main
from dashcam.cli.output import print_events
from dashcam.cli.query import protect_minus
from dashcam.destinations.canary import make_canary
from dashcam.destinations.registry import connect
from dashcam.errors import StoreUnreachable
from dashcam.event import Event, format_time
from dashcam.testing.backend_contract import line

HOUR_NS = 3600 * 10**9
REQUEST = "0294a1b2-c3d4-7e5f-8a6b-0123456789ab"


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The local store of a folder; gives what puts events into it, each so many hours old."""
    for name in ("LOG_BACKEND", "DASHCAM_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DASHCAM_DIR", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")

    def put(*events):
        backend = connect("local")
        backend.ship([_event(number, *one) for number, one in enumerate(events)])
        backend.close()

    return put


def _event(number, hours, message, fields=None):
    like = line(number, message)
    at = {"@timestamp": format_time(time.time_ns() - int(hours * HOUR_NS))}
    return like._replace(data=orjson.dumps(orjson.loads(like.data) | at | (fields or {})))


def with_id(request_id):
    return {"http": {"request": {"id": request_id}}}


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


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["-level:info"], ["NOT level:info"]),
        (["-n", "20", "-n20", "--json", "-h", "a-b"], ["-n", "20", "-n20", "--json", "-h", "a-b"]),
        (["--", "-x"], ["--", "-x"]),
    ],
)
def test_options_stay_options(given, meant):
    """Only what is no option of a search is made to be one of its words."""
    assert protect_minus(given) == meant


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


def test_canaries_are_left_out(store, tmp_path, capsys):
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


def test_what_was_found_before_a_fault_is_printed(capsys):
    """Lines go out some at a time, and those that wait for others do not wait in vain."""

    def events():
        yield Event({"message": "car created"})
        raise StoreUnreachable("the file is gone")

    with pytest.raises(StoreUnreachable):
        print_events(events(), is_json=True)
    assert messages(capsys) == ["car created"]


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


@pytest.mark.parametrize("path", [("trace", "id"), ("span", "id"), ("http", "request", "id")])
def test_a_bare_id_finds_its_events(store, capsys, path):
    """As words do: no field needs to be named."""
    fields = "4bf92f3577b34da6"
    for name in reversed(path):
        fields = {name: fields}
    store((0, "car created", fields), (0, "car sold"))

    assert main(["search", "4bf92f3577b34da6", "--json"]) == 0
    assert messages(capsys) == ["car created"]


def test_a_request_id_that_looks_like_a_label(store, capsys):
    """Ids are ids: it does not join the story of that label, which its full name leads to."""
    store((1, "labelled", {"labels": {"car_id": "7"}}), (1, "asked for", with_id("car_id=7")))

    assert main(["trace", "car_id=7"]) == 0
    text = capsys.readouterr().out
    assert ("asked for" in text, "labelled" in text) == (True, False)
    assert main(["trace", "labels.car_id=7"]) == 0
    assert "labelled" in capsys.readouterr().out


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


def test_tail_begins_with_the_newest(store, tmp_path):
    """Those before the command started, as many as are wanted."""
    store(*[(1 - number / 10, f"car {number}") for number in range(5)])
    command = [sys.executable, "-m", "dashcam", "tail", "-n", "2", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        printed = [json.loads(process.stdout.readline())["message"] for _ in range(2)]
        process.kill()

    assert printed == ["car 3", "car 4"]
