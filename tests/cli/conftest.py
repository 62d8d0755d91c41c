"""Events in a local store, for commands to find."""

import time
from contextlib import closing

import orjson
import pytest

from dashcam.destinations.registry import connect
from dashcam.event import EncodedEvent, format_time
from dashcam.testing.backend_contract import line

from ..show import events
from ..show.test_comparison import moved

HOUR_NS = 3600 * 10**9


@pytest.fixture
def ship(tmp_path, monkeypatch):
    """Send encoded events to the local store of a folder."""
    monkeypatch.delenv("LOG_BACKEND", raising=False)
    monkeypatch.setenv("DASHCAM_DIR", str(tmp_path))
    monkeypatch.setenv("DASHCAM_RETENTION", "36500d")
    monkeypatch.setenv("NO_COLOR", "1")

    def ship(*encoded):
        with closing(connect("local")) as backend:
            assert backend.ship(list(encoded)) is None

    return ship


@pytest.fixture
def put(ship):
    """Put events into the store."""
    return lambda *found: ship(*[EncodedEvent(event.id, event.is_span, event.to_json()) for event in found])


@pytest.fixture
def store(ship):
    """Put messages into the store: each with its age in hours, a text, and other fields."""
    return lambda *messages: ship(*[_encoded(number, *one) for number, one in enumerate(messages)])


@pytest.fixture
def orders(put):
    """A good order, and a failed one a minute later."""
    put(*moved(events.created(), "good", 0), *moved(events.failed(), "bad", 1))


def _encoded(number, hours, message, fields=None):
    like = line(number, message)
    at = {"@timestamp": format_time(time.time_ns() - int(hours * HOUR_NS))}
    return like._replace(data=orjson.dumps(orjson.loads(like.data) | at | (fields or {})))
