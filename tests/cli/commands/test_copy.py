"""History moves between stores and backends: whole, once, and on from where it was stopped."""

import json
import os
import signal
import subprocess
import sys
from contextlib import closing

import pytest

from dashcam.cli import main
from dashcam.destinations.registry import connect, open_store
from dashcam.find.query import Query
from dashcam.testing.backend_contract import line
from dashcam.testing.fake_loggly import Behaviour, StandIn
from dashcam.testing.sample import events, lines

from ... import prepared
from ...hosted.processes import numbers_in
from ...processes import until

SINCE = "2026-11-23T00:00:00Z"
EVENTS = events()


@pytest.fixture
def loggly(request):
    with StandIn(getattr(request, "param", None)) as stand_in:
        yield stand_in


@pytest.fixture
def environment(loggly, tmp_path, monkeypatch):
    """Settings of the stand-in, and a local store with the sample's events."""
    environment = loggly.environment() | {"DASHCAM_DIR": str(tmp_path), "DASHCAM_RETENTION": "9999d"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    fill("local", lines())
    return environment


def fill(route, some):
    with closing(connect(route)) as backend:
        backend.ship(some)


def found_in(route):
    with closing(open_store(route)) as store:
        return list(store.find(Query(since_ns=EVENTS[0].time_ns)))


def copy(source, to, *options):
    return main(["copy", "--from", source, "--to", to, "--since", SINCE, *options])


def test_history_goes_there_and_back(environment, tmp_path, monkeypatch, capsys):
    """From the file to Loggly, and from Loggly to another file: every event, line by line."""
    assert copy("local", "loggly") == 0
    assert found_in("loggly") == EVENTS

    monkeypatch.setenv("DASHCAM_DIR", str(tmp_path / "other"))
    assert copy("loggly", "local") == 0
    assert found_in("local") == EVENTS
    told = capsys.readouterr().err
    assert f"copied {len(EVENTS)} events from local to loggly\n" in told
    assert f"copied {len(EVENTS)} events from loggly to local\n" in told


def test_what_is_there_already_is_left_out(environment, loggly, capsys):
    """Loggly has no key against doubles, so none is sent."""
    fill("loggly", lines()[:100])

    assert copy("local", "loggly") == 0
    assert copy("local", "loggly", "--json") == 0

    assert len(loggly.lines()) == 100 + len(EVENTS) - len({line.id for line in lines()[:100]})
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"copied": 0, "dead": 0, "is_stopped": False}


def test_a_query_chooses(environment):
    """Only what matches, within the span of time."""
    until_time = EVENTS[200].fields["@timestamp"]

    assert copy("local", "loggly", "--query", "service:cars", "--until", until_time) == 0

    assert found_in("loggly") == [event for event in EVENTS[:200] if event.get("service.name") == "cars"]


def test_a_refused_event_goes_to_the_dead_letters(environment, loggly, capsys):
    """The others are across; exit status 1; a replay brings it when it is taken."""
    loggly.sending.plan(*["400"] * 10)

    assert copy("local", "loggly", "--until", EVENTS[40].fields["@timestamp"]) == 1
    assert 0 < len(found_in("loggly")) < 40
    assert "refused" in capsys.readouterr().err

    assert main(["replay"]) == 0
    assert found_in("loggly") == EVENTS[:40]


@pytest.mark.parametrize("loggly", [Behaviour(delay_s=3600)], ids=["not searchable yet"], indirect=True)
def test_a_stopped_copy_goes_on_where_it_was(environment, loggly, tmp_path, monkeypatch):
    """Told to stop while Loggly is busy: the same command sends the rest, though a search finds none of it yet."""
    monkeypatch.setenv("DASHCAM_DIR", str(tmp_path / "other"))
    fill("local", [line(number) for number in range(12_000)])
    command = [sys.executable, "-m", "dashcam", "copy", "--from", "local", "--to", "loggly", "--since", SINCE]
    loggly.sending.plan("ok", "503", retry_after="100")
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until(lambda: loggly.answers().get("503"), "busy answer")

    first.send_signal(signal.SIGTERM)
    _, told = first.communicate(timeout=20)
    assert first.returncode == 1
    assert "run the same command to continue" in told
    assert len(loggly.lines()) == 5000

    second = prepared.run([*command[1:], "--json"], os.environ, 100)

    assert json.loads(second.stdout)["copied"] == 7000
    assert sorted(numbers_in(loggly.lines())) == list(range(12_000))


def test_a_store_that_is_nowhere_is_unreachable(environment, loggly, capsys):
    """Exit status 3, and its address; nothing was sent."""
    loggly.stop()

    assert copy("loggly", "local") == 3
    assert "127.0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--from", "local"], ["--from", "nowhere", "--to", "local", "--since", "1d"]])
def test_what_cannot_be_meant_is_told(environment, options, capsys):
    """Exit status 2."""
    try:
        status = main(["copy", *options])
    except SystemExit as exit_:
        status = exit_.code

    assert status == 2
    assert capsys.readouterr().err


def test_a_copy_ends_with_its_reader(environment, tmp_path):
    """`dashcam copy --to stdout | head -1`: nobody reads what is left."""
    with subprocess.Popen(
        [sys.executable, "-m", "dashcam", "copy", "--from", "local", "--to", "stdout", "--since", SINCE, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()  # before the first event is written
        errors = process.stderr.read()

        assert process.wait(60) == 0
    assert b"Traceback" not in errors
