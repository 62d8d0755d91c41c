"""What `dashcam doctor` says of an event that came back."""

import time
from contextlib import closing

import orjson
import pytest

from dashcam.destinations import registry
from dashcam.destinations.canary import make_canary, wait_for
from dashcam.destinations.checks import Broken


@pytest.fixture
def come_back(tmp_path):
    """A function that has a canary found again, with other fields than it was sent with."""
    local, options = registry.get("local"), registry.options("local", {"DASHCAM_DIR": str(tmp_path)})

    def find(change):
        sent = make_canary()
        event = orjson.loads(sent.data)
        change(event)
        with closing(local.backend(options)) as backend:
            backend.ship([sent._replace(data=orjson.dumps(event))])
        with closing(local.store(options)) as store:
            return wait_for(store, sent, time.monotonic(), 5, "")

    return find


def test_what_the_way_adds_is_no_change(come_back):
    """As fluentd adds `event.ingested`."""
    assert "found" in come_back(lambda event: event["event"].update(ingested="2026-11-25T00:00:00.000000Z"))


def test_what_the_way_changes_is_named(come_back):
    """By the field's whole name."""
    with pytest.raises(Broken, match=r"came back with a different event\.kind"):
        come_back(lambda event: event["event"].update(kind="metric"))
