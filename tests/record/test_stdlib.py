"""The standard library's log calls, and the formatter for other streams."""

import io
import logging
import logging.handlers
import queue
import subprocess
import sys
import time

import orjson
import pytest

import dashcam
from dashcam.event import Event
from dashcam.record.context import recorder
from dashcam.record.logs.logger import level_name
from dashcam.record.logs.stdlib import record_log

from ..processes import run

library = logging.getLogger("library.part")


def _only(recording):
    (event,) = recording.events()
    return event


def _hand_over(message, arguments, **attributes):
    """Log past pytest's own handlers, which raise what is wrong with a call."""
    record = logging.LogRecord("library", logging.WARNING, "part.py", 1, message, arguments, None)
    record.__dict__.update(attributes)
    record_log(record, recorder.current())


def test_a_call_is_an_event(cars):
    """The message with its arguments, and `extra` as labels."""
    library.warning("%d cars of %s", 7, "VW", extra={"car_id": 7, "nested": {"a": [1]}})

    event = _only(cars)
    assert event.get("message") == "7 cars of VW"
    assert event.get("log.level") == "warning"
    assert event.get("log.logger") == "library.part"
    assert event.labels == {"car_id": 7, "nested": {"a": [1]}}


def test_a_call_without_arguments(cars):
    """A percent sign is one."""
    library.warning("100% of %s")

    assert _only(cars).get("message") == "100% of %s"


def test_arguments_by_name(cars):
    """One mapping."""
    library.warning("%(count)d cars", {"count": 7})

    assert _only(cars).get("message") == "7 cars"


@pytest.mark.parametrize(
    ("message", "arguments", "expected"),
    [
        ("%d cars", ("seven",), "('%d cars', ('seven',))"),
        ("a car", (7,), "('a car', (7,))"),
        ("%s and %s", (1,), "('%s and %s', (1,))"),
        (7, (), "7"),
        (None, (), "None"),
        (ValueError("no wheel"), (), "no wheel"),
        ({"a": 1}, (), "{'a': 1}"),
    ],
)
def test_a_call_that_is_no_proper_one(cars, message, arguments, expected):
    """It is recorded with all that was given."""
    _hand_over(message, arguments)

    assert _only(cars).get("message") == expected


def test_arguments_that_have_no_text(cars):
    """What can be told is told."""

    class Mute:
        def __repr__(self):
            raise KeyError("no")

    _hand_over("%s", (Mute(),))

    assert _only(cars).get("message") == "(%s, (<Mute whose text fails with KeyError>))"


def test_a_record_of_a_programs_own_class(cars):
    """Its message is what the class says; attributes that it sets before Python's own are labels."""

    class Braces(logging.LogRecord):
        def __init__(self, *args, **kwargs):
            self.tenant = "acme"
            super().__init__(*args, **kwargs)

        def getMessage(self):  # noqa: N802 — the name is the standard library's
            return self.msg.format(*self.args)

    record = Braces("library", logging.WARNING, "part.py", 1, "{} cars of {:>4}", (7, "VW"), None)
    record_log(record, recorder.current())

    assert (_only(cars).get("message"), _only(cars).labels) == ("7 cars of   VW", {"tenant": "acme"})


def test_a_handler_finds_its_caller_as_without_us(cars):
    """Handlers such as loguru's count frames, or leave out those of `logging`: there are as many, and all look so."""
    frames = []

    class Walker(logging.Handler):
        def emit(self, record):
            frame = sys._getframe(1)
            while frame.f_code is not here.__code__:
                frames.append((frame.f_code.co_filename, frame.f_globals["__name__"], frame.f_code.co_name))
                frame = frame.f_back

    def here(logger):
        logger.warning("who calls?")

    logger = logging.Logger("walked")  # noqa: LOG001 — pytest's handlers are not its
    logger.addHandler(Walker())
    here(logger)

    assert [name for *_, name in frames] == ["handle", "callHandlers", "handle", "_log", "warning"]
    assert {(file, module) for file, module, _ in frames} == {(logging.__file__, "logging")}
    assert _only(cars).get("message") == "who calls?"


def test_an_exception(cars):
    """`exc_info` in each of its forms."""
    try:
        {}["no"]
    except KeyError as error:
        library.exception("one")
        library.error("two", exc_info=error)
        library.error("three", exc_info=(type(error), error, error.__traceback__))
    library.error("four", exc_info=True)

    errors = {event.get("message"): event.get("error.type") for event in cars.events()}
    assert errors == {"one": "KeyError", "two": "KeyError", "three": "KeyError", "four": None}


@pytest.mark.parametrize(
    ("level", "expected"),
    [(-7, "debug"), (0, "debug"), (5, "debug"), (10, "debug"), (25, "info"), (35, "warning"), (99, "critical")],
)
def test_levels_of_others(level, expected):
    """A custom level counts as the standard one below it."""
    assert level_name(level) == expected


def test_a_level_below_the_least_is_not_recorded(cars):
    """Though its logger lets it through."""
    library.setLevel(1)
    try:
        library.log(5, "trace")
        library.debug("debug")
        library.log(25, "notice")
    finally:
        library.setLevel(logging.NOTSET)

    assert [event.get("message") for event in cars.events()] == ["notice"]


def test_formatters_of_others(cars):
    """What another handler's formatter left on the record, or uvicorn for its own, is no label."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    root = logging.getLogger()
    root.handlers.insert(0, handler)
    try:
        library.warning("%s", "car", extra={"car_id": 7})
        root.removeHandler(handler)
        library.warning("%s", "car", extra={"car_id": 7, "color_message": "\x1b[36m%s"})
    finally:
        root.removeHandler(handler)

    assert stream.getvalue().endswith(" car\n")
    assert [event.labels for event in cars.events()] == [{"car_id": 7}] * 2


def test_an_event_of_structlog(cars):
    """As `ProcessorFormatter.wrap_for_formatter` hands it on: its values are labels, its event is the message."""
    values = {"event": "car created", "car_id": 7, "exc_info": ValueError("no wheel")}

    library.warning(values, extra={"_logger": library, "_name": "warning"})

    event = _only(cars)
    assert (event.get("message"), event.labels) == ("car created", {"car_id": 7})
    assert event.get("error.type") == "ValueError"
    assert list(values) == ["event", "car_id", "exc_info"]


def test_a_filter_on_the_logger(cars):
    """What it keeps back is not recorded."""
    keep_back = lambda record: "secret" not in record.msg  # noqa: E731
    library.addFilter(keep_back)
    try:
        library.warning("a secret")
        library.warning("a car")
    finally:
        library.removeFilter(keep_back)

    assert _only(cars).get("message") == "a car"


def test_the_stack(cars):
    """`stack_info` is the stack trace, and follows the one of an exception only where there is none."""
    library.warning("where", stack_info=True)

    assert "test_the_stack" in _only(cars).get("error.stack_trace")


@pytest.mark.parametrize("exc_info", ["text", (ValueError, "boom", None), (1, 2, 3), ("a",), [], 7])
def test_an_exc_info_that_is_none(cars, exc_info):
    """It is recorded without an error; nothing is raised."""
    _hand_over("m", (), exc_info=exc_info)

    assert _only(cars).get("message") == "m"


def test_records_made_by_others(cars):
    """As they come through a queue or a socket."""
    passed = queue.Queue()
    sender = logging.getLogger("sender")
    sender.propagate = False
    sender.addHandler(logging.handlers.QueueHandler(passed))
    sender.warning("%d cars", 7, extra={"car_id": 7})
    logging.getLogger("receiver").handle(passed.get())
    library.handle(logging.makeLogRecord({"msg": "made up", "levelno": 30, "name": "n", "car_id": 8}))

    assert {event.get("message"): event.labels for event in cars.events()} == {
        "7 cars": {"car_id": 7},
        "made up": {"car_id": 8},
    }


def test_a_record_of_the_distant_future(cars):
    """A time that fits no line is counted, and the next line is fine."""
    library.handle(logging.makeLogRecord({"msg": "far", "levelno": 30, "name": "n", "created": 1e30}))
    library.warning("near")

    found = {event.get("event.action") or event.get("message"): event.labels for event in cars.events()}
    assert found["near"] == {}


def test_the_formatter_gives_the_same_event(cars, monkeypatch):
    """Field by field, but for the id, and the sequence that only a spool has."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=cars,service.version=1.0.0")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(dashcam.EcsFormatter())
    library.addHandler(handler)
    try:
        library.error("%d cars: %s", 7, "é", extra={"password": "hunter2", "nested": {1: b"x"}}, exc_info=KeyError("k"))
    finally:
        library.removeHandler(handler)

    recorded = _only(cars).fields
    (line,) = stream.getvalue().splitlines()
    formatted = Event.from_json(line).fields
    own_id = formatted["event"].pop("id")
    del recorded["event"]["id"], recorded["event"]["sequence"]
    assert formatted == recorded
    assert len(own_id) == 24
    assert "hunter2" not in line


def test_the_formatter_without_a_spool():
    """Any stream gets one JSON object a line, with nothing begun before."""
    formatter = dashcam.EcsFormatter()
    record = logging.LogRecord("gunicorn.error", logging.INFO, "x", 1, "line\nbreak %s", ("x",), None)

    line = formatter.format(record)

    assert "\n" not in line
    fields = orjson.loads(line)
    assert list(fields)[:3] == ["@timestamp", "log.level", "message"]
    assert fields["message"] == "line\nbreak x"


@pytest.mark.parametrize("created", [-1.0, 1e300, float("nan"), "yesterday", None])
def test_a_record_of_no_time(cars, created):
    """Anybody can make one: it is recorded as of now."""
    before_ns = time.time_ns() // 1000 * 1000

    _hand_over("odd", (), created=created)

    assert before_ns <= _only(cars).time_ns <= time.time_ns()


CONFIGURED = """
import logging, logging.config, sys
import dashcam
before = logging.getLogger("before")
dashcam.init("cars")
{configure}
logging.getLogger("after").warning("%d cars", 7)
before.warning("of before")
apart = logging.getLogger("gunicorn.error")
apart.propagate = False
apart.addHandler(logging.StreamHandler(sys.stdout))
apart.setLevel("INFO")
apart.info("not propagated")
"""
CONFIGURATIONS = {
    "nothing": "",
    "basicConfig": "logging.basicConfig(format='own %(message)s', stream=sys.stdout)",
    "basicConfig, forced": "logging.basicConfig(format='own %(message)s', stream=sys.stdout, force=True)",
    "dictConfig": "logging.config.dictConfig({'version': 1, 'disable_existing_loggers': False, 'handlers': {'own': "
    "{'class': 'logging.StreamHandler', 'stream': 'ext://sys.stdout', 'formatter': 'own'}}, 'formatters': {'own': "
    "{'format': 'own %(message)s'}}, 'root': {'handlers': ['own'], 'level': 'INFO'}})",
    "all handlers removed": "logging.getLogger().handlers.clear()",
}


@pytest.mark.parametrize("way", CONFIGURATIONS)
def test_logging_that_is_configured_after_init(recording, way):
    """Everything is recorded all the same, once, and the program's own handlers print as they would without Dashcam."""
    printed = run(CONFIGURED.format(configure=CONFIGURATIONS[way]), env=recording.environment)

    assert [event.get("message") for event in recording.events()] == ["7 cars", "of before", "not propagated"]
    own = ["own 7 cars", "own of before"] if "own" in CONFIGURATIONS[way] else []
    assert printed.splitlines() == [*own, "not propagated"]


FILE = """[loggers]
keys=root
[handlers]
keys=
[formatters]
keys=
[logger_root]
handlers=
"""


@pytest.mark.parametrize(
    "configure",
    [
        "logging.config.dictConfig({'version': 1})",
        f"import io; from logging.config import fileConfig; fileConfig(io.StringIO({FILE!r}))",
    ],
    ids=["dictConfig", "fileConfig"],
)
def test_a_configuration_that_disables_loggers(recording, configure):
    """What it silences by default is not silenced without a word: a warning says which, and what to do."""
    run(CONFIGURED.format(configure=configure), env=recording.environment)

    found = {event.get("message"): event for event in recording.events()}
    warning = found["logging configuration disabled loggers: their calls are not recorded"]
    assert warning.get("log.level") == "warning"
    assert "before" in warning.labels["loggers"]
    assert not [name for name in warning.labels["loggers"] if "." in name]
    assert warning.labels["below_these"] > 0
    assert "disable_existing_loggers" in warning.labels["fix"]
    assert {"7 cars", "not propagated"} <= found.keys()


@pytest.mark.parametrize("first", ["", "import asyncio, concurrent.futures"], ids=["after", "before"])
def test_a_logger_that_only_we_have_made_is_not_disabled(recording, first):
    """Of what we import: the program's configuration disables what exists, and without us these would not yet."""
    code = """
import logging.config, sys
{first}
{ours}
logging.config.dictConfig({{"version": 1, "handlers": {{"own": {{"class": "logging.StreamHandler"}}}},
                           "root": {{"handlers": ["own"]}}}})
import asyncio, concurrent.futures
logging.getLogger("asyncio").error("never retrieved")
logging.getLogger("concurrent.futures").error("exception calling callback")
print([logging.getLogger(name).disabled for name in ("asyncio", "concurrent.futures")])
"""

    def printed(ours):  # by a Python that has imported nothing before
        command = [sys.executable, "-c", code.format(first=first, ours=ours)]
        return subprocess.run(command, env=recording.environment, capture_output=True, text=True, check=True)

    plain, recorded = printed(""), printed("import dashcam; dashcam.init('cars')")

    assert (recorded.stdout, recorded.stderr) == (plain.stdout, plain.stderr)
    assert len(recording.events()) == (1 if first else 2)  # the warning, or the errors


def test_others_handlers_get_what_they_got_before(recording):
    """The level that Dashcam gives the root logger is for the record; a program's file does not get longer by it."""
    code = """
import logging, sys
logging.basicConfig(format="own %(levelname)s %(message)s", stream=sys.stdout)
import dashcam
dashcam.init("cars")
logging.getLogger("library").info("an info")
logging.getLogger("library").warning("a warning")
chosen = logging.getLogger("chosen")
chosen.setLevel("INFO")
chosen.info("an info that was asked for")
"""
    printed = run(code, env=recording.environment)

    assert printed.splitlines() == ["own WARNING a warning", "own INFO an info that was asked for"]
    assert len(recording.events()) == 3
