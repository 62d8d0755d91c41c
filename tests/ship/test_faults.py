"""Real shippers over disks, files and folders that fail: trouble is reported, retried, and nothing is lost."""

import json
import os
import re
import shutil
import subprocess
import threading
from contextlib import closing, suppress

import pytest

from dashcam.ship.inspection.stats import collect_stats, count_before
from dashcam.ship.state.checkpoint import CheckpointFile, load
from dashcam.ship.state.heartbeat import read_heartbeat
from dashcam.ship.upkeep.housekeeping import Housekeeping
from dashcam.spool.drops import read_drops
from dashcam.spool.reader import segment_files
from dashcam.testing.fake_loggly import StandIn

from .. import prepared
from ..cli.recorded import numbers, record
from ..hosted.processes import Stage, numbers_in
from ..processes import dashcam, running_dashcam, until
from ..spool.spools import dropped, log_line, run_writer, running_writer, write_to


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 10 MB, which needs the rights to mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=10m", "dashcam", disk]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the rights to mount a file system: run as root")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def _fill_disk(disk):
    """Take what is free, but for nothing."""
    with (disk / "filling").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def _segments(spool, count, service="cars"):
    """Finished segments of 16 kB each, of numbered events."""
    writer = write_to(spool, service)
    for number in range(count):
        writer.append(log_line(number))
    writer.close()


def test_a_shipper_starts_on_a_full_disk(tmp_path, small_disk):
    """What is delivered goes first: it holds the room that the shipper needs."""
    _segments(small_disk / "spool", 20_000)
    dashcam("ship", "--drain", folder=small_disk)
    before = len(segment_files(small_disk / "spool"))
    _fill_disk(small_disk)

    done = dashcam("ship", "--drain", folder=small_disk)

    assert done.returncode == 0, done.stderr
    assert len(segment_files(small_disk / "spool")) < before
    account = collect_stats(small_disk)
    assert account.recorded == account.routes["stdout"].delivered == 20_000


def test_a_shipper_waits_for_a_disk_that_is_full_of_other_things(tmp_path, small_disk):
    """It reports that, and ships when there is room again."""
    _segments(small_disk / "spool", 100)
    _fill_disk(small_disk)
    output = tmp_path / "output"
    with output.open("wb") as file:
        environment = os.environ | {"DASHCAM_DIR": str(small_disk), "LOG_BACKEND": "stdout"}
        shipper = prepared.start(["-m", "dashcam", "ship"], environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        until(lambda: "No space left on device; next try in" in output.read_text(), "word of the full disk")
        (small_disk / "filling").unlink()
        until(lambda: output.read_text().count('{"@timestamp"') == 100, "arrival")
    finally:
        shipper.terminate()
        assert shipper.wait(timeout=20) == 0


def test_a_shipper_that_was_here_before_starts_without_any_room(small_disk):
    """Nothing is delivered, and nothing is free: it goes on in the checkpoint that it left, and makes room."""
    _segments(small_disk / "spool", 100)
    dashcam("ship", "--drain", folder=small_disk)
    for path in segment_files(small_disk / "spool"):
        path.unlink()
    _segments(small_disk / "spool", 5_000)
    _fill_disk(small_disk)

    done = dashcam("ship", "--drain", folder=small_disk, DASHCAM_SYNC_INTERVAL="0.1")

    assert done.returncode == 0, done.stderr
    assert sorted(map(int, re.findall(r'"message":"(\d+)', done.stdout))) == list(range(5_000))
    assert collect_stats(small_disk).routes["stdout"].delivered == 5_100


def test_small_segments_go_on_a_disk_that_is_full_to_the_last_block(small_disk, monkeypatch):
    """None has room to give but its own block; all the same, none goes before the account has its events."""
    _segments(small_disk / "spool", 500)
    dashcam("ship", "--drain", folder=small_disk)
    paths = segment_files(small_disk / "spool")
    for path in paths:
        os.truncate(path, path.read_bytes().index(b"\n") + 1)  # as the lines of a segment that is done go
    _fill_disk(small_disk)
    file = CheckpointFile(small_disk / "positions", "stdout", load(small_disk / "positions")["stdout"])
    marks = dict(file.checkpoint.marks)
    unlink, recorded = os.unlink, []

    def watched(path, **options):
        unlink(path, **options)
        recorded.append(count_before(small_disk, marks))  # by a route that begins just then

    monkeypatch.setattr(os, "unlink", watched)
    with closing(Housekeeping(small_disk, 0, [file])) as keeper:
        keeper.make_room()

    assert recorded == [500] * len(recorded)
    assert not segment_files(small_disk / "spool")


# Takes all room that there is for its segments, and goes on meanwhile; in the end it says how many events it recorded.
TAKER = """
ending = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ending.set())
writer = write_to(Path(sys.argv[1]), segment_bytes=256 << 10, limit_bytes=1 << 40)
number = 0
while not ending.is_set():
    for number in range(number, number + 20):
        writer.append(log_line(number, "x" * 200))
    number += 1
    time.sleep(0.002)  # not a wait for the event, which the signal would set under the event's own lock
writer.close()
print(number)
"""


def _lost(folder):
    """The number of events that were dropped, whoever counted them."""
    return sum(dropped(folder / "spool").values()) + sum(read_drops(folder / "spool").values())


def _delivered(folder):
    routes = collect_stats(folder).routes
    return routes["stdout"].delivered if "stdout" in routes else 0


def test_a_shipper_starts_on_a_disk_that_a_service_fills(tmp_path, small_disk):
    """Nothing is delivered, and the service takes what room it gets: the shipper comes up, and makes room."""
    with running_writer(TAKER, small_disk / "spool") as service:
        until(lambda: _lost(small_disk), "loss: the disk is full")

        environment = {"DASHCAM_DIR": str(small_disk), "DASHCAM_SYNC_INTERVAL": "0.1"}
        with running_dashcam("ship", folder=tmp_path, **environment) as shipper:
            until(lambda: _delivered(small_disk) > 60_000, "delivery of far more than the disk holds", 40)
            service.terminate()
            recorded = int(service.stdout.read())
            shipper.terminate()
            assert shipper.wait(timeout=20) == 0
    drained = dashcam("ship", "--drain", folder=small_disk).stdout

    arrived = re.findall(r'"message":"(\d+)x', shipper.output.read_text() + drained)
    assert len(arrived) == len(set(arrived))
    assert len(arrived) + sum(collect_stats(small_disk).dropped.values()) == recorded


@pytest.mark.parametrize("name", ["positions", "dead-letters", "shipper.json", "positions/stdout.journal"])
def test_a_state_file_that_fails_for_a_while(tmp_path, name):
    """Whatever stands in its way: the shipper lives on, says so, and everything arrives once the obstacle is gone."""
    with running_dashcam("ship", folder=tmp_path, DASHCAM_SYNC_INTERVAL="0.1") as shipper:
        until(lambda: read_heartbeat(tmp_path).pid, "shipper")
        aside = tmp_path / "aside"
        if (tmp_path / name).exists():
            (tmp_path / name).rename(aside)
        (tmp_path / name).mkdir() if name != "positions" else (tmp_path / name).write_text("in the way")
        for count in (3, 4):
            record(tmp_path, count)
        threading.Event().wait(0.5)
        assert shipper.poll() is None
        shutil.rmtree(tmp_path / name) if name != "positions" else (tmp_path / name).unlink()
        until(lambda: len(numbers(shipper.output.read_text())) == 7, "arrival")
        until(lambda: (routes := collect_stats(tmp_path).routes) and routes["stdout"].delivered == 7, "account")
        shipper.terminate()
        assert shipper.wait(timeout=20) == 0

    assert dashcam("ship", "--drain", folder=tmp_path).stdout == ""


def test_state_that_is_removed_under_a_running_shipper(tmp_path):
    """It notices that its lock is gone, says what to do, and ends with a status."""
    folder = tmp_path / "state"
    record(folder, 3)
    log = tmp_path / "log"
    with log.open("wb") as file:
        environment = os.environ | {"DASHCAM_DIR": str(folder), "LOG_BACKEND": "stdout", "DASHCAM_SYNC_INTERVAL": "0.1"}
        shipper = prepared.start(["-m", "dashcam", "ship"], environment, stdout=file, stderr=file)
    until(lambda: read_heartbeat(folder).pid, "shipper at work, not only at its start")
    shutil.rmtree(folder)

    assert shipper.wait(timeout=30) == 1
    assert "was removed or replaced while the shipper was at work; start it again" in log.read_text()


def test_a_folder_that_the_shipper_may_not_read(tmp_path):
    """It is reported by the shipper and by `status`; the others are shipped."""
    record(tmp_path, 3)
    (tmp_path / "spool" / "loop").symlink_to("loop")
    with running_dashcam("ship", folder=tmp_path, DASHCAM_SYNC_INTERVAL="0.1") as shipper:
        until(lambda: len(numbers(shipper.output.read_text())) == 3, "arrival")
        until(lambda: read_heartbeat(tmp_path).troubles, "word of it")

    assert f"{tmp_path}/spool/loop cannot be read: Too many levels of symbolic links" in shipper.output.read_text()
    assert dashcam("status", folder=tmp_path).returncode == 1


TORN = """
writer.append(start_line(1, "a"))
writer.append(log_line(2))
writer._write(b'{"time_ns":17954841000000')
os.kill(os.getpid(), 9)
"""
STARTS = """
for number in range(int(600_000 / len(start_line(1, "a")))):
    writer.append(start_line(number, f"a{number}"))
writer.append(log_line(1))
writer.close()
"""


@pytest.mark.parametrize(("code", "events"), [(TORN, 2), (STARTS, 1)])
def test_drained_is_drained(tmp_path, code, events):
    """With half a line and a request that was open, or half a megabyte of marks alone: it ends when nothing waits."""
    with suppress(AssertionError):  # it kills itself
        run_writer(code, tmp_path / "spool")

    done = dashcam("ship", "--drain", folder=tmp_path)

    share = collect_stats(tmp_path).routes["stdout"]
    assert (done.returncode, share.delivered, share.waiting) == (0, events, 0)
    assert done.stdout.count('{"@timestamp"') == events


THREE_OPEN = """
for number in range(3):
    writer.append(start_line(number, f"a{number}"))
    writer.append(log_line(number))
os.kill(os.getpid(), 9)
"""


def _damage(path, find, replace):
    data = path.read_bytes()
    assert data.count(find) >= 1
    path.write_bytes(data.replace(find, replace, 1))


@pytest.mark.parametrize(
    ("find", "replace"),
    [
        (b'"message":"POST /cars"', b'"massage":"POST /cars"'),
        (b'"span":{"id"', b'"span":["id"'),
        (b'"event":"start"', b'"event":"stare"'),
    ],
)
def test_one_changed_byte_in_an_open_request(tmp_path, find, replace):
    """It costs that request alone; the rest goes on, and the shipper starts again as ever."""
    with pytest.raises(AssertionError):
        run_writer(THREE_OPEN, tmp_path / "spool")
    (path,) = segment_files(tmp_path / "spool")
    _damage(path, find, replace)

    first, second = (dashcam("ship", "--drain", folder=tmp_path) for _ in range(2))

    assert (first.returncode, second.returncode) == (0, 0)
    assert "Traceback" not in first.stderr
    messages = [json.loads(line)["message"] for line in first.stdout.splitlines()]
    assert {"0", "1", "2"} <= set(messages)
    assert sum(message.startswith(("request aborted", "request unknown")) for message in messages) == 2
    share = collect_stats(tmp_path).routes["stdout"]
    assert share.waiting == 0


def test_one_changed_byte_in_a_header(tmp_path):
    """The segment is moved aside with the reason, and counted; the others go on."""
    for service in ("cars", "parts"):
        _segments(tmp_path / "spool", 10, service)
    path = next((tmp_path / "spool" / "here" / "cars").iterdir())
    _damage(path, b'"service":', b'"servicf":')

    done = dashcam("ship", "--drain", folder=tmp_path)

    assert (done.returncode, done.stdout.count("\n")) == (0, 10)
    aside = tmp_path / "quarantine" / "here" / "cars" / path.name
    assert aside.exists()
    assert "checksum" in aside.with_suffix(".reason").read_text()
    status = dashcam("status", folder=tmp_path)
    assert status.returncode == 1
    assert "1 damaged places skipped" in status.stdout
    assert f"1 damaged files were moved to {tmp_path}/quarantine" in status.stdout


def _fifo(path):
    os.mkfifo(path)


def _link(path):
    path.symlink_to("nowhere")


def _sparse(path):
    with path.open("wb") as file:
        file.truncate(20 << 30)


def _copy(path):
    shutil.copy(next(file for file in path.parent.iterdir() if file.suffix == ".segment"), path)


@pytest.mark.parametrize("make", [_fifo, _link, _sparse, _copy, lambda path: path.touch()])
def test_a_malformed_file_costs_itself_alone(tmp_path, make):
    """It stops no route, and nothing of it is shipped."""
    _segments(tmp_path / "spool", 10)
    make(tmp_path / "spool" / "here" / "cars" / "0193a1b2c3d4e5f601020304.segment")

    done = dashcam("ship", "--drain", folder=tmp_path)

    assert (done.returncode, done.stdout.count("\n")) == (0, 10)
    assert len(segment_files(tmp_path / "spool")) == 1
    assert collect_stats(tmp_path).recorded == 10


def test_a_file_with_the_name_of_another_segment(tmp_path):
    """It does not suppress the other one's events."""
    _segments(tmp_path / "spool", 10)
    (path,) = segment_files(tmp_path / "spool")
    other = tmp_path / "spool" / "a" / "a" / path.name
    other.parent.mkdir(parents=True)
    other.write_bytes(b"garbage")

    done = dashcam("ship", "--drain", folder=tmp_path)

    assert done.stdout.count("\n") == 10


def test_what_was_acknowledged_out_of_order_survives_a_kill(tmp_path):
    """A later batch was acknowledged while the first one waits: a killed shipper does not send it again."""
    with StandIn() as loggly, Stage(tmp_path / "state", loggly.environment()) as stage:
        stage.record(15_000, 10**6)
        stage.recorder.wait()
        loggly.sending.plan("503", retry_after="100")
        stage.start_shipper("loggly")
        until(lambda: len(loggly.lines()) >= 10_000, "all but one body")
        until(lambda: collect_stats(stage.folder).routes["loggly"].delivered >= 10_000, "their acknowledgement")
        stage.kill_shipper()

        stage.drain("stdout")

        assert sorted(numbers_in(loggly.lines()) + stage.printed()) == list(range(15_000))
