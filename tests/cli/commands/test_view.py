"""The viewer as a command, in a process of its own, over the local store."""

import json
import os
import signal
import subprocess
from contextlib import contextmanager

import pytest
import requests

from dashcam.destinations.local.backend import connect
from dashcam.destinations.local.options import Options
from dashcam.event import EncodedEvent
from dashcam.settings import load

from ... import prepared
from ...show import events


@pytest.fixture
def environment(tmp_path):
    """A folder whose local store holds a car that failed."""
    backend = connect(load(Options, {"DASHCAM_DIR": str(tmp_path)}))
    backend.ship([EncodedEvent(event.id, event.is_span, event.to_json()) for event in events.failed()])
    backend.close()
    return os.environ | {"DASHCAM_DIR": str(tmp_path), "LOG_BACKEND": "local"}


@contextmanager
def viewer(environment, *options):
    """A viewer that runs meanwhile."""
    command = ["-m", "dashcam", "view", "--port", "0", *options]
    with prepared.start(command, environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def stopped(process):
    """The exit status after Ctrl-C, and what was printed as errors."""
    process.send_signal(signal.SIGINT)
    return process.wait(10), process.stderr.read()


def test_it_prints_where_it_is_and_shows_what_the_store_keeps(environment):
    """Until Ctrl-C; exit status 0."""
    with viewer(environment, "--json") as process:
        url = json.loads(process.stdout.readline())["url"]
        story = requests.get(f"{url}story", params={"id": events.REQUEST_ID}, timeout=10)
        unknown = requests.get(f"{url}story", params={"id": "nothing"}, timeout=10)

        assert stopped(process) == (0, "")

    assert (story.status_code, unknown.status_code) == (200, 404)
    assert "parts could not be made" in story.text


def test_a_store_without_a_file_is_told_on_the_page(tmp_path):
    """The viewer may be there before the first event is."""
    with viewer(os.environ | {"DASHCAM_DIR": str(tmp_path), "LOG_BACKEND": "local"}, "--json") as process:
        answer = requests.get(json.loads(process.stdout.readline())["url"], timeout=10)

    assert answer.status_code == 200
    assert "nothing was shipped" in answer.text


def test_an_address_for_everybody_comes_with_a_warning(environment):
    """There is no login."""
    with viewer(environment, "--host", "0.0.0.0") as process:
        process.stdout.readline()

        assert stopped(process) == (0, "dashcam: everybody who can reach this address can read every event\n")


def test_a_route_without_a_store_is_told_at_once(tmp_path):
    """Exit status 2, as for any setting that cannot be used."""
    with viewer(os.environ | {"DASHCAM_DIR": str(tmp_path), "LOG_BACKEND": "stdout"}) as process:
        assert process.wait(10) == 2
        assert "cannot be searched" in process.stderr.read()
