"""`dashcam ship`: to standard output here, by real processes."""

import json
import signal

import pytest

from dashcam.ship.inspection.stats import collect_stats
from dashcam.spool.reader import segment_files

from ...processes import dashcam, running_dashcam, until
from ..recorded import numbers, record


def test_a_drain(tmp_path):
    """What waits is sent, then it ends; a second one has nothing to send."""
    record(tmp_path, 100)

    first, second = (dashcam("ship", "--drain", folder=tmp_path) for _ in range(2))

    assert (first.returncode, second.returncode) == (0, 0)
    assert numbers(first.stdout) == list(range(100))
    assert second.stdout == ""
    assert "ships to stdout from" in first.stderr


def test_what_it_does_as_json(tmp_path):
    """An event a line, on standard error."""
    record(tmp_path, 3)

    said = dashcam("ship", "--drain", "--json", folder=tmp_path).stderr

    messages = [json.loads(line)["message"] for line in said.splitlines()]
    assert messages[0].startswith("ships to stdout")
    assert messages[-1] == "stops"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_settles_what_is_under_way(tmp_path, number):
    """A signal ends it soon and in order; the account says what is delivered."""
    record(tmp_path, 100)
    with running_dashcam("ship", folder=tmp_path, DASHCAM_SYNC_INTERVAL="30") as shipper:
        until(lambda: len(numbers(shipper.output.read_text())) == 100, "arrival")

        shipper.send_signal(number)

        assert shipper.wait(timeout=10) == 0
    account = collect_stats(tmp_path)
    assert account.recorded == account.routes["stdout"].delivered == 100


def test_events_arrive_while_they_are_recorded(tmp_path):
    """From services that come and go."""
    with running_dashcam("ship", folder=tmp_path) as shipper:
        for count in (5, 7):
            record(tmp_path, count)
        until(lambda: len(numbers(shipper.output.read_text())) == 12, "arrival")


def test_a_shipper_that_is_killed(tmp_path):
    """The next one goes on where it was: nothing is missing, and what comes twice has the same id."""
    record(tmp_path, 20_000)
    with running_dashcam("ship", folder=tmp_path) as killed:
        until(lambda: killed.output.read_text().count("\n") > 3000, "first events")
        killed.kill()
    rest = dashcam("ship", "--drain", folder=tmp_path).stdout

    events = {}
    for line in (killed.output.read_text() + "\n" + rest).splitlines():
        if line.startswith("{") and line.endswith("}"):
            event = json.loads(line)
            assert events.setdefault(event["event"]["id"], event) == event
    assert sorted(event["labels"]["number"] for event in events.values()) == list(range(20_000))


def test_two_shippers_take_turns(tmp_path):
    """The second one waits until the first one has ended: nothing is sent twice."""
    record(tmp_path, 50)
    with running_dashcam("ship", folder=tmp_path) as first, running_dashcam("ship", folder=tmp_path) as second:
        until(lambda: len(numbers(first.output.read_text() + second.output.read_text())) == 50, "arrival")
        both = [first, second] if numbers(first.output.read_text()) else [second, first]
        assert "ships to" not in both[1].output.read_text()

        both[0].terminate()
        assert both[0].wait(timeout=10) == 0
        record(tmp_path, 5)

        until(lambda: len(numbers(both[1].output.read_text())) == 5, "arrival at the second one")


@pytest.mark.long
def test_a_second_shipper_does_not_wait_for_ever(tmp_path):
    """It says who is in the way, and what to do."""
    with running_dashcam("ship", folder=tmp_path) as first:
        until(lambda: "ships to" in first.output.read_text(), "first shipper")

        second = dashcam("ship", folder=tmp_path)

    assert second.returncode == 1
    assert f"another shipper works in {tmp_path}; stop it, or set DASHCAM_DIR" in second.stderr


def test_room_is_made(tmp_path):
    """Segments that are delivered go when they take more than half of the limit; the account knows them still."""
    for _ in range(6):
        record(tmp_path, 10)
    limit = sum(path.stat().st_size for path in segment_files(tmp_path / "spool"))
    with running_dashcam("ship", folder=tmp_path, DASHCAM_SPOOL_LIMIT=str(limit), DASHCAM_SYNC_INTERVAL="0.1"):
        until(lambda: len(segment_files(tmp_path / "spool")) == 3, "removal")

    account = collect_stats(tmp_path)
    assert account.recorded == account.routes["stdout"].delivered == 60


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"LOG_BACKEND": "logly"}, "LOG_BACKEND='logly' is not a backend. Known: "),
        ({"LOG_BACKEND": "loggly", "LOGGLY_TOKEN": ""}, "LOGGLY_TOKEN"),
        ({"LOG_LEVEL": "loud", "DASHCAM_X": "1"}, "DASHCAM_X is not a setting"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path, environment, expected):
    """It ends before anything is sent."""
    done = dashcam("ship", "--drain", folder=tmp_path, **environment)

    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
