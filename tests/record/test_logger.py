"""Log calls with fields."""

import asyncio
import copy
import io
import logging
import os
import pickle
import platform
import time
import unittest

import orjson
import pytest

import dashcam
from dashcam.record.context import recorder
from dashcam.spool.reader import segment_files

from ..processes import run, run_alone
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
    offset = path.read_bytes().index(b"\n") + 1
    del event.fields["@timestamp"]
    assert event.fields == {
        "log.level": "info",
        "message": "car created",
        "labels": {"car_id": 7, "model": "Golf"},
        "log": {"logger": "cars.api"},
        "event": {"kind": "event", "id": f"{path.stem}-{offset:08d}", "sequence": offset, "dataset": "cars"},
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


def test_arguments(cars):
    """As in `logging`: `%`-arguments, one mapping, and fields besides."""
    log.info("%d cars of %s", 7, "VW", car_id=8)
    log.info("%(count)d cars", {"count": 7})
    log.info("100%")

    assert [event.get("message") for event in cars.events()] == ["7 cars of VW", "7 cars", "100%"]
    assert cars.events()[0].labels == {"car_id": 8}


MISUSES = {
    "one argument too many": (("x", 1), {}, "('x', (1,))"),
    "one too few": (("%s and %s", 1), {}, "('%s and %s', (1,))"),
    "of another type": (("%d", "seven"), {}, "('%d', ('seven',))"),
    "no message": ((), {"car_id": 7}, ""),
    "a message that is not a text": (({"a": 1},), {}, "{'a': 1}"),
    "a stack level that is not a number": (("m",), {"stacklevel": "2"}, "m"),
    "a stack level beyond the stack": (("m",), {"stacklevel": 1000}, "m"),
    "an extra that is not a mapping": (("m",), {"extra": 7}, "m"),
    "an extra that `logging` refuses": (("m",), {"extra": {"message": 1, "args": 2}}, "m"),
    "an exception that is none": (("m",), {"exc_info": (ValueError, "boom", None)}, "m"),
    "an exception that is a text": (("m",), {"exc_info": "boom"}, "m"),
}


@pytest.mark.parametrize("name", MISUSES)
@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_misuse_is_recorded(recording, monkeypatch, level, name):
    """With all that was given, whatever level; nothing is raised, and pytest's own handler has nothing to raise."""
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    dashcam.init("cars")
    arguments, fields, expected = MISUSES[name]
    getattr(log, level)(*arguments, **fields)

    (event,) = recording.events()
    assert (event.get("message"), event.get("log.level")) == (expected, level)


@pytest.mark.parametrize(("level", "expected"), [(25, "info"), ("WARNING", "warning"), ("no level", "info")])
def test_log(cars, level, expected):
    """Any level, by number or name."""
    log.log(level, "%d cars", 7, car_id=8)

    (event,) = cars.events()
    assert (event.get("message"), event.get("log.level"), event.labels) == ("7 cars", expected, {"car_id": 8})


def test_warn_and_fatal(cars):
    """The short names, without a warning of their own."""
    log.warning("w")
    log.fatal("f")

    assert [event.get("log.level") for event in cars.events()] == ["warning", "critical"]


def test_extra(cars):
    """Fields like the others."""
    log.info("m", extra={"car_id": 7, "model": "Polo"}, model="Golf")

    assert cars.events()[0].labels == {"car_id": 7, "model": "Golf"}


def test_the_stack(cars):
    """`stack_info` is where the call stands."""
    log.info("m", stack_info=True)
    log.info("m", stack_info=True, exc_info=ValueError("v"))

    plain, with_error = cars.events()
    assert "test_the_stack" in plain.get("error.stack_trace")
    assert with_error.get("error.type") == "ValueError"


def test_bound_fields(cars):
    """Each call of the bound logger has them; a call's own go first, and the logger itself stays as it is."""
    bound = log.bind(car_id=7, model="Golf").bind(bay="north")
    bound.info("%d wheels", 4, model="Polo")
    bound.exception("none", exc_info=None)
    bound.log(logging.INFO, "m")
    bound.getChild("part").info("m")
    log.info("m")

    events = cars.events()
    assert events[0].labels == {"car_id": 7, "model": "Polo", "bay": "north"}
    assert [event.labels for event in events[1:4]] == [{"car_id": 7, "model": "Golf", "bay": "north"}] * 3
    assert events[3].get("log.logger") == "cars.api.part"
    assert events[4].labels == {}


def test_context_fields(cars):
    """On every call within, of any logger; the call's own go first."""
    with dashcam.context(tenant="acme", bay="south"):
        with dashcam.context(bay="north"):
            log.info("m", car_id=7)
            logging.getLogger("library").warning("m", extra={"tenant": "other"})
        log.bind(car_id=8).info("m")
    log.info("m")

    assert [event.labels for event in cars.events()] == [
        {"tenant": "acme", "bay": "north", "car_id": 7},
        {"tenant": "other", "bay": "north"},
        {"tenant": "acme", "bay": "south", "car_id": 8},
        {},
    ]


def test_context_fields_in_tasks_and_threads(cars):
    """They go where the context goes, and nowhere else."""

    async def work(tenant):
        with dashcam.context(tenant=tenant):
            await asyncio.sleep(0)
            log.info("task")
            await asyncio.to_thread(log.info, "thread")

    async def both():
        await asyncio.gather(work("a"), work("b"))

    asyncio.run(both())

    found = sorted((event.get("message"), event.labels["tenant"]) for event in cars.events())
    assert found == [("task", "a"), ("task", "b"), ("thread", "a"), ("thread", "b")]


def test_it_is_a_logger_of_logging(cars):
    """For `isinstance`, and with the state of the logger of the same name."""
    same = logging.getLogger("cars.api")

    assert isinstance(log, logging.Logger)
    assert (log.name, log.level, log.propagate, log.parent) == (same.name, same.level, same.propagate, same.parent)
    assert log.handlers is same.handlers
    assert log.hasHandlers()
    assert log.getEffectiveLevel() == logging.INFO
    assert log.getChild("part").name == "cars.api.part"
    assert pickle.loads(pickle.dumps(log)).name == "cars.api"
    assert copy.deepcopy(log.bind(a=1)).bound == {"a": 1}


def test_it_can_be_the_class_of_every_logger(cars, monkeypatch):
    """`logging.setLoggerClass` takes it: loggers that are made from then on accept fields, and are in the same tree."""
    monkeypatch.setattr(logging, "_loggerClass", logging.Logger)  # what `setLoggerClass` changes, for this test alone
    logging.getLogger("paint.shop.north.made.before")
    logging.setLoggerClass(dashcam.Logger)

    shop = logging.getLogger("paint.shop")
    logging.getLogger("paint").setLevel(logging.DEBUG)
    shop.info("%d coats", 2, colour="red")
    shop.getChild("north.made").info("below", bay=1)
    logging.getLogger("paint.shop.north.made.before").info("before")
    dashcam.get_logger("paint.shop").bind(bay=2).info("bound")

    assert logging.getLogger("paint.shop") is shop
    assert shop.parent is logging.getLogger("paint")
    names = ("paint", "paint.shop", "paint.shop.north", "paint.shop.north.made")
    assert {type(logging.getLogger(name)) for name in names} == {dashcam.Logger}
    assert logging.getLogger("paint.shop.north.made.before").parent.name == "paint.shop.north.made"
    assert [(event.get("message"), event.labels) for event in cars.events()] == [
        ("2 coats", {"colour": "red"}),
        ("below", {"bay": 1}),
        ("before", {}),
        ("bound", {"bay": 2}),
    ]


@pytest.mark.parametrize("name", ["cars.api", "cars"])
def test_a_level_of_its_own(cars, name):
    """Set on the logger of `logging` or on one above, it holds for both ways to log; `isEnabledFor` knows."""
    logging.getLogger(name).setLevel(logging.ERROR)
    try:
        log.warning("no")
        log.error("yes")
        enabled = log.isEnabledFor(logging.WARNING), log.isEnabledFor(logging.ERROR)
    finally:
        log.setLevel(logging.NOTSET)
        logging.getLogger(name).setLevel(logging.NOTSET)
    log.warning("again")

    assert enabled == (False, True)
    assert [event.get("message") for event in cars.events()] == ["yes", "again"]


def test_the_level_of_the_root_logger_is_for_handlers(cars, caplog):
    """`LOG_LEVEL` says what is recorded, also where a program lets its handlers have only errors."""
    with caplog.at_level(logging.ERROR):
        log.info("recorded")
        log.error("printed, too")

    assert [event.get("message") for event in cars.events()] == ["recorded", "printed, too"]
    assert caplog.messages == ["printed, too"]


def test_logging_disable(cars):
    """It silences this logger like any other."""
    logging.disable(logging.WARNING)
    try:
        log.warning("no")
        log.error("yes")
    finally:
        logging.disable(logging.NOTSET)

    assert [event.get("message") for event in cars.events()] == ["yes"]


def test_caplog_sees_a_call(cars, caplog):
    """With message, level, the place of the call, and fields as attributes; a name of its own gets an underscore."""
    log.info("%d cars", 7, car_id=8, name="Golf")

    (record,) = caplog.records
    assert (record.message, record.levelname, record.name) == ("7 cars", "INFO", "cars.api")
    assert (record.filename, record.funcName) == ("test_logger.py", "test_caplog_sees_a_call")
    assert (record.car_id, record.name_) == (8, "Golf")
    assert vars(record).keys() - vars(logging.makeLogRecord({})).keys() == {"car_id", "name_", "message"}
    assert cars.events()[0].labels == {"car_id": 8, "name": "Golf"}


@pytest.mark.parametrize("call", ["info", "exception", "log"])
def test_the_place_of_a_call(cars, caplog, call):
    """`stacklevel` counts as in `logging`, for each way to call."""
    arguments = (logging.INFO,) if call == "log" else ()

    def helper():
        getattr(log, call)(*arguments, "m", stacklevel=2)

    def caller():
        helper()

    caller()

    assert [record.funcName for record in caplog.records] == ["caller"]


def test_assert_logs(cars):
    """unittest's own check takes it for a logger."""
    case = unittest.TestCase()
    with case.assertLogs(log, "INFO") as seen:
        log.info("m %d", 7)
    with case.assertLogs("cars.api", "INFO") as by_name:
        log.info("n")

    assert seen.output == ["INFO:cars.api:m 7"]
    assert by_name.output == ["INFO:cars.api:n"]


def test_without_init_it_logs_like_any_logger():
    """A module that is tested, or a script without Dashcam's `init`: handlers get calls at the root logger's level."""
    code = """
import logging, sys
import dashcam
log = dashcam.get_logger("cars")
logging.basicConfig(format="%(levelname)s %(message)s %(car_id)s", stream=sys.stdout)
log.info("no", car_id=7)
log.warning("%s", "yes", car_id=7)
"""
    assert run(code).splitlines() == ["WARNING yes 7"]


def test_a_handler_of_its_own(cars):
    """Added to this logger or to the one of `logging`, it gets calls of both."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    log.addHandler(handler)
    try:
        log.info("ours")
        logging.getLogger("cars.api").warning("theirs")
    finally:
        log.removeHandler(handler)

    assert stream.getvalue() == "ours\ntheirs\n"


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
    run_alone(LIFE, env=recording.environment)

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
