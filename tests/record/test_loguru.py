"""What a service logs with loguru is recorded, by its handler, and its console stays as it is."""

import subprocess
import sys

import pytest
from flask import Flask
from loguru import logger

import dashcam

PROGRAM = """
import sys
from loguru import logger
import dashcam

dashcam.init("garage")
if "recorded" in sys.argv:
    logger.add(**dashcam.loguru_handler())
logger.info("car {} has {wheels} wheels", 7, wheels=4)
try:
    raise ValueError("no lift")
except ValueError:
    logger.exception("repair failed")
"""


@pytest.fixture(autouse=True)
def handler(cars):
    """The handler of ours alone, as loguru prints for each test else."""
    logger.configure(handlers=[dashcam.loguru_handler()])
    yield
    logger.remove()


def test_a_line(cars):
    """Message, level, module, and what was bound, as labels."""
    with logger.contextualize(tenant="acme"):
        logger.bind(car_id=7, password="hunter2").success("car {} of {name}", 7, name="Ann")

    (event,) = cars.events()
    assert [event.get(name) for name in ("message", "log.level", "log.logger")] == ["car 7 of Ann", "info", __name__]
    assert event.labels == {"tenant": "acme", "car_id": 7, "password": "***", "name": "Ann"}


def test_it_belongs_to_its_request(cars):
    """With the ids, as any log call."""
    app = Flask("garage")
    dashcam.init_app(app)

    @app.get("/cars")
    def see():
        logger.warning("no lift is free")
        return ""

    app.test_client().get("/cars", headers={"X-Request-ID": "golf-7"})
    assert {event.get("message") for event in cars.events() if event.get("http.request.id") == "golf-7"} >= {
        "no lift is free"
    }


def test_an_exception(cars):
    """With type, message and stack trace, of which no value of a variable is a part."""
    secret = "aB3456789012"  # noqa: F841 — loguru prints the values of variables

    @logger.catch
    def fail():
        raise ValueError("no lift")

    fail()
    (event,) = cars.events()
    assert [event.get(f"error.{name}") for name in ("type", "message")] == ["ValueError", "no lift"]
    assert "in fail" in event.get("error.stack_trace")
    assert "aB3456789012" not in str(event.fields)


def test_levels(recording, monkeypatch):
    """Those of the settings, as for `logging`."""
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    monkeypatch.setenv("LOG_LEVELS", f"{__name__}=DEBUG")
    dashcam.init("cars")
    logger.trace("1")
    logger.debug("2")
    logger.patch(lambda record: record.update(name="other")).info("3")
    logger.patch(lambda record: record.update(name=None)).error("4")

    assert [(event.get("message"), event.get("log.logger")) for event in recording.events()] == [
        ("2", __name__),
        ("4", "loguru"),
    ]


@pytest.mark.parametrize("extra", [{"exc_info": 7}, {"stack_info": 8}, {"odd": object()}, {"message": "x", "level": 1}])
def test_odd_values(cars, extra):
    """Nothing is raised, and nothing lost."""
    logger.bind(**extra).info("odd")

    assert [event.get("message") for event in cars.events()] == ["odd"]


def test_the_console_stays_as_it_is(recording):
    """A handler of the service prints what it printed, exception included."""
    environment = recording.environment | {"LOGURU_FORMAT": "{level} {message}"}
    printed = [
        subprocess.run([sys.executable, "-c", PROGRAM, how], env=environment, capture_output=True, check=True).stderr
        for how in ("alone", "recorded")
    ]

    assert printed[0] == printed[1]
    assert [event.get("message") for event in recording.events()] == ["car 7 has 4 wheels", "repair failed"]
