"""The engines start, answer, and end; one that does not start says why."""

import sys

import pytest
import requests

from . import engine


def test_elasticsearch_names_its_version(elasticsearch_url):
    """The server jar's banner."""
    answer = requests.get(elasticsearch_url, timeout=5)

    assert answer.json()["version"]["number"] == "9.5.3"


def test_opensearch_names_itself(opensearch_url):
    """OpenSearch is told apart by its distribution."""
    answer = requests.get(opensearch_url, timeout=5)

    assert answer.json()["version"]["distribution"] == "opensearch"
    assert answer.json()["version"]["number"] == "3.8.0"


def test_a_start_that_fails_shows_what_was_printed(tmp_path):
    """The reason is in the error itself."""
    command = [sys.executable, "-c", "print('no room on this disk'); raise SystemExit(1)"]

    with pytest.raises(RuntimeError, match="no room on this disk"):
        engine.start(command, tmp_path)


def test_stop_asks_before_it_kills(tmp_path):
    """A node may put its files in order."""
    program = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit("in order"))
pathlib.Path("port").write_text("1")
signal.pause()
"""
    node = engine.start([sys.executable, "-c", program], tmp_path)

    node.stop()

    assert node.output.read_text() == "in order\n"


def test_a_node_ends_with_the_process_that_started_it(tmp_path, pytestconfig):
    """No engine is left behind by a test run that is killed."""
    command = engine.elasticsearch_command(pytestconfig.cache.mkdir("engines"), tmp_path)
    node = engine.start(command, tmp_path)

    node.process.stdin.close()

    assert node.process.wait(engine.STOP_TIMEOUT_S) == 0
