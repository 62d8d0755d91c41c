"""A process that records, and what it recorded."""

import pytest

import dashcam


@pytest.fixture
def cars(recording):
    """What this process recorded as the service cars."""
    dashcam.init("cars", "1.0.0")
    return recording


def assert_tells_of_failed_connect(recording, port):
    """A span of the job says so, where it was looked for and what was the matter, and nothing of the password."""
    (job,) = [event for event in recording.events() if event.get("transaction.type") == "job"]
    (span,) = [event for event in recording.events() if event.get("db")]
    assert (span.get("span.name"), span.get("event.outcome")) == ("connect", "failure")
    assert (span.get("db.name"), span.get("db.statement")) == ("garage", None)
    assert (span.get("server.address"), span.get("server.port")) == ("127.0.0.1", port)
    assert span.get("parent.id") == job.get("span.id")
    assert "Connection refused" in span.get("error.message")
    assert not [event for event in recording.events() if "hunter2" in event.to_json().decode()]
