"""What structlog prints by itself is recorded, and printed as before."""

import json

import pytest
import structlog
from flask import Flask

import dashcam


@pytest.fixture(autouse=True)
def printed(capsys, cars):
    """What structlog prints, line by line."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            dashcam.structlog_processor,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )
    yield lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    structlog.reset_defaults()


def test_an_event(cars, printed):
    """Its values are labels, with what was bound; it goes on to the console as it is."""
    with structlog.contextvars.bound_contextvars(tenant="acme"):
        structlog.get_logger().bind(car_id=7).warning("no lift", password="hunter2")

    (event,) = cars.events()
    assert [event.get(name) for name in ("message", "log.level", "log.logger")] == ["no lift", "warning", "structlog"]
    assert event.labels == {"tenant": "acme", "car_id": 7, "password": "***"}
    assert printed() == [{"tenant": "acme", "car_id": 7, "password": "hunter2", "event": "no lift", "level": "warning"}]


def test_it_belongs_to_its_request(cars):
    """With the ids, as any log call."""
    app = Flask("garage")
    dashcam.init_app(app)

    @app.get("/cars")
    def see():
        structlog.get_logger().info("seen", logger="garage.cars")
        return ""

    app.test_client().get("/cars", headers={"X-Request-ID": "golf-7"})
    (event,) = [event for event in cars.events() if event.get("message") == "seen"]
    assert [event.get(name) for name in ("http.request.id", "log.logger")] == ["golf-7", "garage.cars"]


def test_an_exception(cars, printed):
    """With type, message and stack trace; the processor behind finds it as ever."""
    try:
        raise ValueError("no lift")  # noqa: TRY301 — the call is made while it is handled
    except ValueError:
        structlog.get_logger().exception("repair failed")

    (event,) = cars.events()
    assert [event.get(name) for name in ("log.level", "error.type")] == ["error", "ValueError"]
    assert "raise ValueError" in event.get("error.stack_trace")
    assert "raise ValueError" in printed()[0]["exception"]


def test_levels(recording, monkeypatch):
    """Those of the settings, as for `logging`."""
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    monkeypatch.setenv("LOG_LEVELS", "garage=DEBUG")
    dashcam.init("cars")
    log = structlog.get_logger()
    log.info("1")
    log.debug("2", logger="garage.cars")
    log.msg("3")
    log.error("4")

    assert [event.get("message") for event in recording.events()] == ["2", "4"]


@pytest.mark.parametrize(
    "values", [{"exc_info": 7}, {"stack_info": True}, {"odd": object()}, {"level": 1, "logger": 2}]
)
def test_odd_values(cars, values):
    """Nothing is raised, and nothing lost."""
    dashcam.structlog_processor(None, "info", {"event": "odd", **values})

    assert [event.get("message") for event in cars.events()] == ["odd"]
