"""What is below a level is held, and comes with the request that failed: all of it, nothing else, and once."""

import itertools
import math
import re
import threading
import time

import orjson
import pytest

from dashcam import machine
from dashcam.errors import BackendUnavailable
from dashcam.ship.batch import Limits
from dashcam.ship.clips.clip_journal import ask, load_clips
from dashcam.ship.clips.held_index import PART_BYTES
from dashcam.ship.inspection.stats import collect_stats
from dashcam.ship.state import checkpoint
from dashcam.ship.state.checkpoint import Checkpoint, CheckpointFile
from dashcam.ship.upkeep.housekeeping import Housekeeping
from dashcam.spool.reader import segment_files

from ...processes import until
from ...spool.spools import run_writer, write_to
from ..played import Played
from .clip_lines import call_line, drain, holding_route, served_line

LIMITS = Limits(events=10, bytes=100_000)


class Kept(Played):
    """Takes everything, and remembers it as it was sent."""

    def __init__(self, *answers):
        super().__init__(*answers, limits=LIMITS)
        self.events = []

    def ship(self, batch):
        """Take it."""
        answer = super().ship(batch)
        self.events += [orjson.loads(event.data) for event in batch]
        return answer


def _story(writer, request, status, lines=5, level="debug"):
    for number in range(lines):
        writer.append(call_line(number, level, request, f"{request} step {number}"))
    writer.append(served_line(99, request, status))


def _calls(backend):
    return [event["message"] for event in backend.events if event.get("log", {}).get("logger") == "cars"]


def _account(folder):
    stats = collect_stats(folder)
    (route,) = stats.routes.values()
    parts = route.earlier, route.delivered, route.held, route.expired, route.waiting, route.dead
    assert stats.recorded == sum(parts)
    return dict(zip(("earlier", "delivered", "held", "expired", "waiting", "dead"), parts, strict=True))


def test_debug_is_held_and_the_rest_is_shipped(tmp_path):
    """Spans and lines from the level on go at once; what is below stays, and is counted as held."""
    writer = write_to(tmp_path / "spool")
    _story(writer, "golf-1", 200)
    writer.append(call_line(7, "info", "golf-1", "told"))
    backend = Kept()

    drain(tmp_path, backend)

    assert _calls(backend) == ["told"]
    assert len(backend.events) == 2
    assert _account(tmp_path) == {"earlier": 0, "delivered": 2, "held": 5, "expired": 0, "waiting": 0, "dead": 0}


@pytest.mark.parametrize(
    ("level", "held"), [("DEBUG", ""), ("INFO", "d"), ("WARNING", "di"), ("ERROR", "diw"), ("CRITICAL", "diw")]
)
def test_the_level_says_what_is_held(tmp_path, level, held):
    """Errors and worse never are."""
    writer = write_to(tmp_path / "spool")
    for number, name in enumerate(("debug", "info", "warning", "error", "critical")):
        writer.append(call_line(number, name, message=name[0]))
    backend = Kept()

    drain(tmp_path, backend, DASHCAM_SHIP_LEVEL=level, DASHCAM_CLIP_LIMIT="0")

    assert _calls(backend) == [each for each in "diwec" if each not in held]


def test_a_failed_request_comes_with_all_of_its_lines(tmp_path):
    """Those of both services, of this request alone, each once, and each says why it came."""
    cars, parts = write_to(tmp_path / "spool", "cars"), write_to(tmp_path / "spool", "parts")
    for number in range(20):
        status = 503 if number == 7 else 200
        _story(parts, f"golf-{number}", status)
        _story(cars, f"golf-{number}", status)
    backend = Kept()

    drain(tmp_path, backend)

    kept = [event for event in backend.events if event["event"].get("reason") and event["log"]["logger"] == "cars"]
    assert sorted(event["message"] for event in kept) == sorted(2 * [f"golf-7 step {number}" for number in range(5)])
    assert {event["service"]["name"] for event in kept} == {"cars", "parts"}
    assert {event["event"]["reason"] for event in kept} == {"5xx"}
    assert len(_calls(backend)) == 10
    assert _account(tmp_path)["held"] == 2 * 19 * 5


def test_a_request_that_is_kept_is_told(tmp_path):
    """By one event, with the rule; other hosts look for it."""
    _story(write_to(tmp_path / "spool"), "golf-1", 500)
    backend = Kept()

    drain(tmp_path, backend)

    (event,) = [each for each in backend.events if each["event"].get("action") == "request-kept"]
    assert event["event"]["reason"] == "5xx"
    assert event["http"]["request"]["id"] == "golf-1"
    assert event["trace"]["id"] == "ab"
    assert event["message"] == "request kept: 5xx"
    assert _account(tmp_path)["delivered"] == 6


def test_lines_that_come_later_are_shipped_at_once(tmp_path):
    """Also by the next shipper."""
    writer = write_to(tmp_path / "spool")
    _story(writer, "golf-1", 500)
    drain(tmp_path, Kept())
    writer.append(call_line(200, "debug", "golf-1", "afterwards"))
    writer.append(call_line(201, "debug", "golf-2", "of another"))
    backend = Kept()

    drain(tmp_path, backend)

    assert _calls(backend) == ["afterwards"]
    assert _account(tmp_path)["held"] == 1


def test_a_verdict_after_a_restart(tmp_path):
    """What a shipper before this one held is found again."""
    cars, parts = write_to(tmp_path / "spool", "cars"), write_to(tmp_path / "spool", "parts")
    for number in range(300):
        parts.append(call_line(number, "debug", f"golf-{number % 10}", f"{number}"))
    parts.close()
    drain(tmp_path, Kept())
    cars.append(served_line(400, "golf-3", 500))
    backend = Kept()

    drain(tmp_path, backend)

    assert sorted(map(int, _calls(backend))) == list(range(3, 300, 10))


def test_a_verdict_is_kept_before_anything_of_it_is_sent(tmp_path):
    """A shipper that is killed right then goes on with it: the line that says so is behind the offset."""
    writer, known = write_to(tmp_path / "spool"), {}

    def look(batch):
        for event in map(orjson.loads, (event.data for event in batch)):
            if "processor" in event:
                request = event["http"]["request"]["id"]
                known[request] = request in load_clips(tmp_path, "played").clips
        if "golf-2" not in known:  # sums are noted each second, and a clip with them: not the second one
            _story(writer, "golf-2", 500)

    _story(writer, "golf-1", 500)

    drain(tmp_path, Kept(look, look, look, look))

    assert known == {"golf-1": True, "golf-2": True}


def test_nothing_comes_twice(tmp_path):
    """A second shipper has nothing to do."""
    _story(write_to(tmp_path / "spool"), "golf-1", 500)
    drain(tmp_path, Kept())
    again = Kept()

    drain(tmp_path, again)

    assert again.events == []


def test_without_the_setting_everything_is_shipped(tmp_path):
    """As before."""
    writer = write_to(tmp_path / "spool")
    _story(writer, "golf-1", 200)
    backend = Kept()

    drain(tmp_path, backend, DASHCAM_SHIP_LEVEL="DEBUG")

    assert len(backend.events) == 6
    assert _account(tmp_path)["held"] == 0


def _many_segments(folder, service="cars", count=2000):
    writer = write_to(folder / "spool", service)
    for number in range(count):
        writer.append(call_line(number, "debug", f"golf-{number // 10}", f"{number}"))
        if number % 10 == 9:
            writer.append(served_line(number, f"golf-{number // 10}"))
    writer.close()


def _keeper(folder, limit_bytes, disk=(1 << 40, 1 << 40)):
    file = CheckpointFile(folder / "positions", "played", checkpoint.load(folder / "positions")["played"])
    file.rewrite()
    return file, Housekeeping(folder, limit_bytes, [file], disk_bytes=lambda _: disk, hold_s=600)


def test_held_lines_stay_while_there_is_room(tmp_path, monkeypatch):
    """Longer than what is delivered; for DASHCAM_HOLD by a clock that does not jump; then they expire, and count."""
    _many_segments(tmp_path)
    drain(tmp_path, Kept())
    used = sum(path.stat().st_size for path in segment_files(tmp_path / "spool"))
    clock_s = [0.0]
    monkeypatch.setattr(machine, "monotonic", lambda: clock_s[0])
    file, keeper = _keeper(tmp_path, int(used * 0.7))

    keeper.make_room()
    assert _account(tmp_path)["held"] == 2000
    clock_s[0] = 599
    keeper.make_room()
    assert _account(tmp_path)["held"] == 2000
    clock_s[0] = 600
    keeper.make_room()
    file.close()

    account = _account(tmp_path)
    assert 0 < account["held"] < 2000
    assert account["expired"] == 2000 - account["held"]


@pytest.mark.parametrize("disk", [(1 << 40, 1 << 40), (0, 1 << 40)])
def test_held_lines_are_the_first_to_go(tmp_path, disk):
    """Where their service's spool is about to be full, or the disk, also the young ones."""
    _many_segments(tmp_path)
    drain(tmp_path, Kept())
    used = sum(path.stat().st_size for path in segment_files(tmp_path / "spool"))
    file, keeper = _keeper(tmp_path, used // 2 if disk[0] else used, disk=disk)

    keeper.make_room()
    file.close()

    account = _account(tmp_path)
    left = sum(path.stat().st_size for path in segment_files(tmp_path / "spool"))
    assert account["expired"] > 0
    assert left <= (used * 3 / 4 if disk[0] else 0)


def test_what_waits_stays(tmp_path):
    """However little room there is: only what every route is done with can go."""
    _many_segments(tmp_path)
    checkpoint.save(tmp_path / "positions", "played", Checkpoint())
    file, keeper = _keeper(tmp_path, 0)

    keeper.make_room()
    file.close()

    assert _account(tmp_path)["waiting"] == 2200


def test_what_was_held_before_a_restart_counts_by_its_lines(tmp_path):
    """Neither what was shipped of a request, nor a line at the place where the shipper before stopped, counts twice."""
    parts = write_to(tmp_path / "spool", "parts")
    _story(parts, "golf-3", 200)
    parts.append(call_line(7, "info", "golf-3", "shipped"))
    drain(tmp_path, Kept())
    _story(parts, "golf-3", 200)
    parts.close()
    with holding_route(tmp_path, Kept()) as route:
        route.run(is_drain=True)
        Housekeeping(tmp_path, 0, [route.file], disk_bytes=lambda _: (0, 1 << 40)).make_room()
        route._clips.forget_removed({})
        expired = route._clips._held_index.expired(b"golf-3")

    assert expired == _account(tmp_path)["expired"] == 10


def test_the_index_is_small_whatever_stands_between_held_lines(tmp_path):
    """Lines outside of requests, and those that are shipped: a part of a quarter of a megabyte is one entry."""
    writer = write_to(tmp_path / "spool")
    for number in range(4000):
        writer.append(call_line(number, "debug" if number % 2 else "info"))
    with holding_route(tmp_path, Kept()) as route:
        route.run(is_drain=True)

        parts = route._clips._held_index._parts

    assert _account(tmp_path)["held"] == 2000
    assert all(path.stat().st_size < PART_BYTES for path in segment_files(tmp_path / "spool"))
    assert {len(of_segment) for of_segment in parts.values()} == {1}


def _bytes_read():
    with open("/proc/self/io") as io:  # noqa: PTH123
        return int(io.readline().split()[1])


def test_a_restart_ships_before_it_reads_what_is_held(tmp_path, monkeypatch):
    """What is new goes first, however much is held; the index is made again little by little behind it."""
    writer = write_to(tmp_path / "spool", "parts")
    for number in range(30_000):
        writer.append(call_line(number, "debug", f"golf-{number // 10}", "x" * 100))
    drain(tmp_path, Kept())
    write_to(tmp_path / "spool").append(served_line(400, "golf-3", 500))
    read = []
    backend = Kept()
    backend.answers = [lambda _: read.append(_bytes_read())]
    with holding_route(tmp_path, backend) as route:
        clock_s = itertools.count(machine.monotonic(), 0.005)
        monkeypatch.setattr(machine, "monotonic", lambda: next(clock_s))
        begun = _bytes_read()

        route.run(is_drain=True)

    held = sum(path.stat().st_size for path in segment_files(tmp_path / "spool"))
    assert read[0] - begun < held / 10
    assert len(_calls(backend)) == 10
    assert _bytes_read() - begun > held / 2


def test_a_verdict_that_comes_too_late_is_reported(tmp_path, caplog):
    """With how many lines are gone, and why."""
    _many_segments(tmp_path, "parts")
    backend = Kept()
    with holding_route(tmp_path, backend) as route:
        ended = threading.Thread(target=route.run)
        ended.start()
        until(lambda: collect_stats(tmp_path).routes["played"].held == 2000, "everything is held")
        gone = segment_files(tmp_path / "spool")[:3]
        keeper = Housekeeping(tmp_path, 0, [route.file], disk_bytes=lambda _: (1 << 40, 1 << 40))
        keeper.make_room()
        assert not any(path.exists() for path in gone)
        write_to(tmp_path / "spool").append(served_line(9000, "golf-3", 500))
        until(lambda: any(each["event"].get("action") == "request-kept" for each in backend.events), "it is told")
        route._stopping.set()
        ended.join()

    (event,) = [each for each in backend.events if each["event"].get("action") == "request-kept"]
    assert event["message"].startswith("request kept: 5xx; clip incomplete: 10 lines expired, DASHCAM_SPOOL_LIMIT is 5")
    assert event["log.level"] == "warning"
    assert "golf-3: clip incomplete" in caplog.text


def test_the_lines_before_an_error_outside_of_any_request(tmp_path):
    """Of the same process, of the seconds before; not those of a request, nor of another process."""
    cars, parts = write_to(tmp_path / "spool"), write_to(tmp_path / "spool", "parts")
    cars.append(call_line(-20_000_000, message="long before"))
    parts.append(call_line(0, message="elsewhere"))
    cars.append(call_line(1, message="reading the queue"))
    cars.append(call_line(2, request="golf-1", message="in a request"))
    cars.append(call_line(3, "error", message="the queue is gone"))
    cars.append(call_line(4, message="afterwards"))
    backend = Kept()

    drain(tmp_path, backend)

    assert _calls(backend) == ["the queue is gone", "reading the queue"]
    messages = [event["message"] for event in backend.events]
    assert "lines before an error outside of any request kept: error" in messages


@pytest.mark.parametrize(
    ("request_id", "last"), [("golf-1", served_line(9, "golf-1", 500)), ("", call_line(9, "error"))]
)
@pytest.mark.parametrize("damage", [(b"2nd", b"2\0d"), (b'"time_ns":', b'"time_ns":x'), (b"}}\n", b"}?\n")])
def test_damage_among_held_lines_costs_itself_alone(tmp_path, request_id, last, damage):
    """It is no line that is held, so it comes with no clip; those before and behind it do."""
    writer = write_to(tmp_path / "spool")
    for number, message in enumerate(("1st", "2nd", "3rd")):
        line = call_line(number, "debug", request_id, message)
        writer.append(line.replace(*damage) if message == "2nd" else line)
    writer.append(last)
    writer.close()
    backend = Kept()

    drain(tmp_path, backend)

    assert sorted(message for message in _calls(backend) if message[1:] in {"st", "nd", "rd"}) == ["1st", "3rd"]
    (route,) = collect_stats(tmp_path).routes.values()
    assert (route.held, route.delivered, route.waiting) == (0, 3, 0)


@pytest.mark.parametrize(
    "damaged",
    [
        call_line(2, "error", "golf-1").replace(b'"message":"', b'"message":"an "unquoted" part '),
        call_line(2, "error", "golf-\xff").replace("\xff".encode(), b"\xff"),
        served_line(2, "golf-1", 500).replace(b'"http":{', b'"http":['),
        served_line(2, "golf-1", 500).replace(b'"id":"golf-1"', b'"id":["golf-1"]'),
        served_line(2, "golf-1", 500).replace(b'"trace":{"id":"ab"}', b'"trace":7'),
    ],
)
def test_a_damaged_line_is_no_verdict(tmp_path, damaged):
    """And holds up nothing: what cannot be read of it is no reason to end."""
    writer = write_to(tmp_path / "spool")
    writer.append(call_line(1, "debug", "golf-1", "held"))
    writer.append(damaged)
    writer.append(call_line(3, "info", "golf-1", "behind it"))
    backend = Kept()
    backend.ship = lambda batch: backend.attempts.append([event.data for event in batch])

    drain(tmp_path, backend)

    sent = b"".join(data for batch in backend.attempts for data in batch)
    assert b'"behind it"' in sent
    assert b'"held"' not in sent
    assert _account(tmp_path)["held"] == 1


@pytest.mark.parametrize(
    ("requests", "limit"), [(100, 10), pytest.param(100_000, 600, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
def test_an_outage_has_a_bound(tmp_path, caplog, requests, limit):
    """So many clips a minute, and the rest is counted; the spans of all are shipped."""
    writer = write_to(tmp_path / "spool")
    for number in range(requests):
        _story(writer, f"golf-{number}", 500, lines=2)
    backend, began_s = Kept(), time.monotonic()

    drain(tmp_path, backend, DASHCAM_CLIP_LIMIT=str(limit))

    kept, lines = divmod(len(_calls(backend)), 2)
    assert lines == 0
    assert limit <= kept <= limit + math.ceil((time.monotonic() - began_s) * limit / 60)
    assert sum(event.get("processor", {}).get("event") == "transaction" for event in backend.events) == requests
    assert load_clips(tmp_path, "played").totals.left_out == requests - kept
    assert "recent requests have no clip: DASHCAM_CLIP_LIMIT is reached" in caplog.text
    assert _account(tmp_path)["held"] == 2 * (requests - kept)


def test_what_is_kept_by_hand(tmp_path):
    """Also what the budget left out."""
    _story(write_to(tmp_path / "spool"), "golf-1", 200)
    drain(tmp_path, Kept())
    path = ask(tmp_path, "played", "golf-1")
    backend = Kept()

    drain(tmp_path, backend)

    assert not path.exists()
    assert _calls(backend) == [f"golf-1 step {number}" for number in range(5)]
    assert {event["event"]["reason"] for event in backend.events} == {"by hand"}
    clip = load_clips(tmp_path, "played").clips["golf-1"]
    assert (clip.reason, clip.lines, clip.expired) == ("by hand", 5, 0)


def _slow(number, duration_ns, name="POST /cars"):
    return served_line(number, f"golf-{number}", 200, duration_ns, name)


def test_slow_requests_are_kept(tmp_path):
    """Longer than a time."""
    writer = write_to(tmp_path / "spool")
    for number, duration_ns in enumerate((1_999_999_999, 2_000_000_001)):
        writer.append(call_line(number, "debug", f"golf-{number}"))
        writer.append(_slow(number, duration_ns))
    backend = Kept()

    drain(tmp_path, backend, DASHCAM_CLIP_SLOWER="2s")

    assert [(e["message"], e["event"]["reason"]) for e in backend.events if e["log.level"] == "debug"] == [
        ("1", "slow")
    ]


def test_what_is_usual_is_known_after_a_restart(tmp_path):
    """A shipper that follows another does not learn anew what a route takes."""
    writer = write_to(tmp_path / "spool")
    for number in range(200):
        writer.append(_slow(number, 1_000_000))
    drain(tmp_path, Kept(), DASHCAM_CLIP_SLOWER="3x")
    writer.append(call_line(300, "debug", "golf-300", "late"))
    writer.append(_slow(300, 9_000_000))
    backend = Kept()

    drain(tmp_path, backend, DASHCAM_CLIP_SLOWER="3x")

    assert _calls(backend) == ["late"]


def test_slow_is_another_thing_for_each_route(tmp_path):
    """Three times what 99 of 100 requests of that route take; not before a hundred of them."""
    writer = write_to(tmp_path / "spool")
    for number in range(400):
        name, usual_ns = ("GET /fast", 1_000_000) if number % 2 else ("GET /slow", 100_000_000)
        writer.append(call_line(number, "debug", f"golf-{number}"))
        writer.append(_slow(number, 4 * usual_ns if number in {20, 21, 300, 301} else usual_ns, name))
    backend = Kept()

    drain(tmp_path, backend, DASHCAM_CLIP_SLOWER="3x")

    assert _calls(backend) == ["300", "301"]


def test_a_share_is_kept_by_chance(tmp_path):
    """The same requests on every host."""
    cars, parts = write_to(tmp_path / "a" / "spool"), write_to(tmp_path / "b" / "spool")
    for writer in (cars, parts):
        for number in range(1000):
            writer.append(call_line(number, "debug", f"golf-{number}"))
            writer.append(served_line(number, f"golf-{number}"))
    here, there = Kept(), Kept()

    drain(tmp_path / "a", here, DASHCAM_CLIP_BASELINE="10%")
    drain(tmp_path / "b", there, DASHCAM_CLIP_BASELINE="10%")

    assert _calls(here) == _calls(there)
    assert 60 < len(_calls(here)) < 140


def test_an_aborted_request_is_kept(tmp_path):
    """With what its process had recorded, though it never ended."""
    run_writer(
        "from tests.ship.clips.clip_lines import call_line\n"
        "writer.append(start_line(1, 'a'))\n"
        "writer.append(call_line(2, 'debug', 'golf-a', 'last words'))\n"
        "if os.fork() == 0:\n"
        "    pass\n"
        "os._exit(0)",
        tmp_path / "spool",
    )
    backend = Kept()

    drain(tmp_path, backend)

    assert [(e["message"], e["event"]["reason"]) for e in backend.events if e["log.level"] == "debug"] == [
        ("last words", "aborted")
    ]


def test_what_the_code_asks_for_is_kept(tmp_path):
    """With its reason."""
    writer = write_to(tmp_path / "spool")
    _story(writer, "golf-1", 200, lines=2)
    mark = (
        b'{"time_ns":1795484100000000009,"tags":["keep"],"log.level":"info","message":"to be kept: large order",'
        b'"http":{"request":{"id":"golf-1"}},"log":{"logger":"dashcam.keep"},'
        b'"event":{"kind":"event","action":"request-keep","reason":"large order"}}\n'
    )
    writer.append(mark)
    backend = Kept()

    drain(tmp_path, backend)

    assert len(_calls(backend)) == 2
    assert {event["event"]["reason"] for event in backend.events if "reason" in event["event"]} == {"large order"}


@pytest.mark.parametrize(
    "text", ['","http":{"request":{"id":"golf-1"}},"log":{"logger":"x"}', "golf-1", '"id":"golf-1"']
)
def test_nobody_can_write_lines_into_another_request(tmp_path, text):
    """Whatever a caller's text or label looks like: whose a line is stands at its end."""
    writer = write_to(tmp_path / "spool")
    quoted = text.replace('"', '\\"')
    writer.append(call_line(1, "debug", "golf-2", quoted))
    writer.append(call_line(2, "debug", "", quoted))
    label = b'"labels":{"x":1,"http":{"request":{"id":"golf-1"}}},"log"'
    writer.append(call_line(3, "debug").replace(b'"log"', label, 1))
    _story(writer, "golf-1", 500, lines=1)
    backend = Kept()

    drain(tmp_path, backend)

    assert _calls(backend) == ["golf-1 step 0"]


def test_a_header_that_was_refused_is_counted(tmp_path):
    """And keeps nothing: the span that says so went well."""
    writer = write_to(tmp_path / "spool")
    writer.append(call_line(1, "debug", "golf-1"))
    writer.append(served_line(2, "golf-1").replace(b'"event":{', b'"labels":{"keep_refused":true},"event":{', 1))
    writer.append(served_line(3, "golf-2"))

    drain(tmp_path, Kept())

    found = load_clips(tmp_path, "played")
    assert (found.totals.refused, found.clips) == (1, {})


@pytest.mark.parametrize("time_ns", [7, 86_400_000_000_000, 2**62, 4_000_000_000_000_000_000])
def test_a_clock_that_jumps_neither_keeps_nor_expires(tmp_path, time_ns):
    """Lines of any time are held, and come with their request."""
    writer = write_to(tmp_path / "spool")
    for request, status in (("golf-1", 200), ("golf-2", 500)):
        for line in (call_line(1, "debug", request, request), served_line(2, request, status)):
            writer.append(re.sub(rb"^.{11}\d+", b'{"time_ns":%d' % time_ns, line))
    backend = Kept()

    drain(tmp_path, backend)

    assert _calls(backend) == ["golf-2"]
    assert _account(tmp_path)["held"] == 1


class Interrupted(Kept):
    """Takes some batches, then nothing more; the shipper is stopped meanwhile."""

    def __init__(self, batches, stopping):
        super().__init__(*[None] * batches, self._stop)
        self._stopping = stopping

    def _stop(self, _):
        self.answers.append(self._stop)
        self._stopping.set()
        return BackendUnavailable("no more", 0.001)

    def ship(self, batch):
        """Take it, or do not."""
        before = len(self.events)
        answer = super().ship(batch)
        if self._stopping.is_set():
            del self.events[before:]
        return answer


def test_stopped_anywhere_each_line_comes_once(tmp_path):
    """After any number of batches: held lines of failed requests all arrive, none twice, none of others."""
    writers = [write_to(tmp_path / "spool", name) for name in ("cars", "parts")]
    for number in range(60):
        for writer in writers:
            _story(writer, f"golf-{number}", 500 if number % 5 == 0 else 200, lines=4)
    arrived, account = [], {}
    for attempt in range(200):
        stopping = threading.Event()
        backend = Interrupted(attempt % 4, stopping)
        with holding_route(tmp_path, backend, stopping) as route:
            route.run(is_drain=True)
        arrived += backend.events
        account = _account(tmp_path)
        if not backend.attempts:
            break

    assert account == {"earlier": 0, "delivered": 216, "held": 384, "expired": 0, "waiting": 0, "dead": 0}
    ids = [event["event"]["id"] for event in arrived]
    assert len(ids) == len(set(ids)) == 216 + 12
    assert sum(event["log.level"] == "debug" for event in arrived) == 2 * 12 * 4
