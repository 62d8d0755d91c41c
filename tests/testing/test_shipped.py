"""What a test's request would have shipped."""

import pytest
from flask import Flask

import dashcam


@pytest.fixture
def client(monkeypatch, request):
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    recording = request.getfixturevalue("recording")
    dashcam.init("garage")
    app = Flask("garage")
    log = dashcam.get_logger("garage")

    @app.get("/<int:status>")
    def answer(status):
        log.debug("lift %d is free", 3)
        log.info("answered")
        return "", status

    dashcam.init_app(app)
    return app.test_client(), recording


def _messages(events, name):
    return [event.get("message") for event in events if event.get("http.request.id") == name and not event.is_span]


def test_a_failing_request_ships_its_debug_lines(client):
    """And one that works does not; the recording is as it was."""
    answer, recording = client
    answer.get("/200", headers={"X-Request-ID": "good"})
    answer.get("/503", headers={"X-Request-ID": "bad"})

    shipped = recording.shipped()

    assert _messages(shipped, "good") == ["answered"]
    assert _messages(shipped, "bad") == ["lift 3 is free", "answered", "request kept: 5xx"]
    assert _messages(shipped, "bad") == _messages(recording.shipped(), "bad")
    assert _messages(recording.events(), "good") == ["lift 3 is free", "answered"]


def test_any_rule_can_be_tried(client):
    """As the shipper has it in its environment."""
    answer, recording = client
    answer.get("/200", headers={"X-Request-ID": "good"})

    shipped = recording.shipped(DASHCAM_CLIP_SLOWER="1ms", DASHCAM_CLIP_BASELINE="100%")

    assert {event.get("event.reason") for event in shipped} - {None} <= {"slow", "baseline"}
    assert _messages(shipped, "good")[:1] == ["lift 3 is free"]


def test_nothing_recorded_ships_nothing(recording):
    """Not even a folder."""
    assert recording.shipped() == []
