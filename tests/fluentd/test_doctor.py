"""The doctor on the route elk, with a real fluentd before a real Elasticsearch."""

import json
import os
import signal
import time

import pytest

from ..processes import dashcam
from .runner import SHARED_KEY, Fluentd
from .test_pipeline import Stack


@pytest.fixture
def stack(tmp_path, elasticsearch_url):
    Fluentd.require()
    stack = Stack(tmp_path, elasticsearch_url).set_up()
    stack.fluentd.start()
    yield stack
    stack.fluentd.stop()


def examine(stack, *options):
    """The exit status, and the last finding."""
    settings = {
        "LOG_BACKEND": "elk",
        "FLUENTD_URL": f"forward://127.0.0.1:{stack.fluentd.port}",
        "FLUENTD_SHARED_KEY": SHARED_KEY,
        "ELASTICSEARCH_URL": stack.url,
        "DASHCAM_NAMESPACE": stack.namespace,
    }
    done = dashcam("doctor", "--json", *options, folder=stack.fluentd.folder, **settings)
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_well_is_well(stack):
    """Though fluentd adds when it had the event."""
    status, last = examine(stack)

    assert (status, last["hop"], last["fix"]) == (0, "canary", ""), last


def test_a_hung_fluentd_is_called_that(stack):
    """Not a wrong key."""
    worker = stack.fluentd.worker
    os.kill(worker, signal.SIGSTOP)
    try:
        status, last = examine(stack)
    finally:
        os.kill(worker, signal.SIGCONT)

    assert status == 1
    assert "does not answer" in last["seen"]
    assert "FLUENTD_SHARED_KEY" not in last["fix"]


def test_the_wait_is_kept(stack):
    """Where the canary cannot arrive, the last look is when the wait is over."""
    stack.fluentd.stop()
    stack.fluentd.environment["ELASTICSEARCH_URL"] = "http://127.0.0.1:9"
    stack.fluentd.start()

    began = time.monotonic()
    status, last = examine(stack, "--wait", "6")

    assert (status, last["hop"]) == (1, "canary")
    assert last["took_s"] <= 6.5
    assert time.monotonic() - began > 6
