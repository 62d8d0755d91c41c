"""Log calls with fields."""

import os
import platform
import time

import orjson
import pytest

import dashcam
from dashcam.record import recorder
from dashcam.spool.reader import segment_files

from ..processes import run
from .test_line import VALUES

log = dashcam.get_logger("cars.api")


def test_a_log_call_is_an_event(cars):
    """With everything that finds it again."""
    before_ns = time.time_ns() // 1000 * 1000
    log.info("car created", car_id=7, model="Golf")
    after_ns = time.time_ns()

    (event,) = cars.events()
    assert before_ns <= event.time_ns <= after_ns
    (path,) = segment_files(cars.folder / "spool")
    del event.fields["@timestamp"]
    assert event.fields == {
        "log.level": "info",
        "message": "car created",
        "labels": {"car_id": 7, "model": "Golf"},
        "log": {"logger": "cars.api"},
        "event": {"kind": "event", "id": f"{path.stem}-00000001", "sequence": 1, "dataset": "cars"},
        "ecs.version": "8.17.0",
        "service": {"name": "cars", "version": "1.0.0", "node": {"name": platform.node()}},
        "process": {"pid": os.getpid()},
        "host": {"name": platform.node()},
        "agent": {"name": "dashcam", "version": dashcam.__version__},
    }


@pytest.mark.parametrize("level", ["info", "warning", "error", "critical"])
def test_each_level(cars, level):
    """In small letters, as ECS has them."""
    getattr(log, level)("m")

    assert [event.get("log.level") for event in cars.events()] == [level]


@pytest.mark.parametrize(("least", "expected"), [("DEBUG", "diwc"), ("WARNING", "wc"), ("CRITICAL", "c")])
def test_the_least_level(recording, monkeypatch, least, expected):
    """`LOG_LEVEL` says from which one on calls are recorded."""
    monkeypatch.setenv("LOG_LEVEL", least)
    dashcam.init("cars")
    log.debug("d")
    log.info("i")
    log.warning("w")
    log.critical("c")

    assert "".join(event.get("message") for event in recording.events()) == expected


def test_an_exception(cars):
    """`exception` adds the one that is being handled."""
    try:
        {}["no"]
    except KeyError:
        log.exception("failed", car=7)

    (event,) = cars.events()
    assert event.get("log.level") == "error"
    assert event.get("error.type") == "KeyError"
    assert event.labels == {"car": 7}


def test_any_field_name(cars):
    """Also those that a log call's own parameters might have."""
    log.info("m", message="n", level="o", self="p", name="q", fields="r")

    (event,) = cars.events()
    assert event.get("message") == "m"
    assert event.labels == {"message": "n", "level": "o", "self": "p", "name": "q", "fields": "r"}


@pytest.mark.parametrize("name", VALUES)
def test_any_value_reaches_the_spool(cars, name):
    """Nothing is raised, nothing dropped."""
    log.info("m", value=VALUES[name][0])
    log.info(VALUES[name][0])

    as_label, as_message = cars.events()
    assert "value" in as_label.labels
    assert as_message.get("message")


def test_a_value_that_logs(cars):
    """A log call within a log call is recorded too, and harms neither."""

    class Talkative:
        def __str__(self):
            log.info("asked for its text")
            return "talkative"

    log.info("outer", value=Talkative())

    assert {event.get("message") for event in cars.events()} == {"outer", "asked for its text"}
    assert len(cars.events()) == 2


def test_names_of_loggers(cars):
    """Any text; the same name is the same logger."""
    for name in ('a"b\\', "é", "\ud800", "x" * 10_000, ""):
        dashcam.get_logger(name).info("m")

    assert len(cars.events()) == 5
    assert dashcam.get_logger("cars.api") is log
    assert repr(log) == "<Logger cars.api>"


def test_before_the_beginning():
    """Log calls and fields without `init` go nowhere."""
    assert recorder.current().min_level == recorder.OFF
    log.critical("m", a=1)
    dashcam.add(a=1)
    assert dashcam.request_id() == ""


def test_a_second_init_goes_on_elsewhere(recording):
    """The spool before is sealed; each event is in the spool of its time."""
    dashcam.init("cars")
    log.info("as cars")
    dashcam.init("parts")
    log.info("as parts")

    services = {event.get("message"): event.get("service.name") for event in recording.events()}
    assert services == {"as cars": "cars", "as parts": "parts"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, {"name": "given"}),
        ({"OTEL_SERVICE_NAME": "cars"}, {"name": "cars"}),
        ({"OTEL_SERVICE_NAME": "größe ../\udcff"}, {"name": "größe ../?"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=spare%20parts%2C"}, {"name": "spare parts,"}),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.version=2.0,deployment.environment.name=demo,service.instance.id=a1"},
            {"name": "given", "version": "2.0", "environment": "demo", "node": {"name": "a1"}},
        ),
    ],
)
def test_who_records(recording, monkeypatch, environment, expected):
    """OpenTelemetry's own variables name the service."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    dashcam.init("given")
    log.info("m")

    (event,) = recording.events()
    assert event.get("service") == {"node": {"name": platform.node()}} | expected


LIFE = """
import atexit, logging, os, sys, threading
import dashcam

class Last:
    def __del__(self):
        log.info("finalizer")

atexit.register(lambda: log.info("atexit"))
dashcam.init("cars")
log = dashcam.get_logger("life")
last = Last()
logging.getLogger("library").warning("before")
logging.shutdown()
logging.getLogger("library").warning("after shutdown")
log.info("after shutdown too")
"""


def test_the_end_of_a_process(recording):
    """`logging.shutdown`, `atexit` and the last finalizers: all of it is kept."""
    run(LIFE, env=recording.environment)

    messages = [event.get("message") for event in recording.events()]
    assert messages == ["before", "after shutdown", "after shutdown too", "atexit", "finalizer"]


FORKS = """
import logging, os, signal, sys, threading
import dashcam

dashcam.init("cars")
log, library = dashcam.get_logger("forks"), logging.getLogger("library")
stopping = threading.Event()
told = []

def work(name):
    number = 0
    while not stopping.is_set():
        log.info("thread", place=f"{name}/{number}")
        library.info("thread", extra={"place": f"{name}/{number}/library"})
        number += 1
        if number % 50 == 0:
            stopping.wait(0.005)
    told.append((name, number))

threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
for thread in threads: thread.start()
for fork in range(int(sys.argv[1])):
    if not (child := os.fork()):
        log.info("child", place=fork)
        library.info("child %s", "too", extra={"place": f"{fork}/library"})
        os._exit(0)
    log.info("parent", place=f"{fork}/parent")
    assert os.waitpid(child, 0)[1] == 0
stopping.set()
for thread in threads: thread.join()
for name, number in told: print(name, number)
"""


@pytest.mark.parametrize("forks", [20, pytest.param(1000, marks=pytest.mark.long)])
def test_forks_in_the_middle_of_log_calls(recording, forks):
    """Threads log while the process forks: no child hangs, and every event is found exactly once."""
    environment = recording.environment | {"DASHCAM_SPOOL_LIMIT": "8GB"}
    printed = run(FORKS, forks, env=environment)

    expected = [str(place) for n in range(forks) for place in (n, f"{n}/library", f"{n}/parent")]
    for line in printed.splitlines():
        name, count = line.split()
        expected += [f"{name}/{number}{way}" for number in range(int(count)) for way in ("", "/library")]
    assert sorted(str(event.labels["place"]) for event in recording.events()) == sorted(expected)


SIGNALS = """
import logging, signal
import dashcam

dashcam.init("cars")
log, library = dashcam.get_logger("signals"), logging.getLogger("library")
signals = 0

def on_alarm(*_):
    global signals
    log.info("signal", number=signals)
    library.warning("signal of %s", "library", exc_info=ValueError("v"), extra={"number": signals})
    signals += 1
    signal.setitimer(signal.ITIMER_REAL, 0.0002)

signal.signal(signal.SIGALRM, on_alarm)
on_alarm()
number = 0
while signals < 1000:
    log.info("call", number=number, any={"nested": number})
    library.info("call %d", number, extra={"number": number})
    number += 1
signal.setitimer(signal.ITIMER_REAL, 0)
print(number, signals)
"""


def test_signals_in_the_middle_of_log_calls(recording):
    """A handler that logs, at a thousand moments: no hang, and every event exactly once."""
    calls, signals = map(int, run(SIGNALS, env=recording.environment).split())

    found = sorted(
        (event.get("log.logger"), event.get("message")[:4], event.labels["number"]) for event in recording.events()
    )
    expected = [(name, "call", number) for name in ("library", "signals") for number in range(calls)]
    expected += [(name, "sign", number) for name in ("library", "signals") for number in range(signals)]
    assert found == sorted(expected)


def test_the_raw_lines_are_json(cars):
    """Each by itself, whatever was logged."""
    for value, _, _ in VALUES.values():
        log.info("m", value=value)
    cars.events()

    (path,) = segment_files(cars.folder / "spool")
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert all(isinstance(orjson.loads(line), dict) for line in lines)
    assert len(lines) == 1 + len(VALUES)
