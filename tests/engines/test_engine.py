"""The engines start, answer, and end; one that does not start says why."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import requests

from . import engine, jars


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


def test_a_start_that_breaks_off_leaves_no_node(tmp_path):
    """Whatever breaks it off, such as the time limit of a test; here, a port that cannot be read."""
    program = "import os, pathlib, signal; print(os.getpid(), flush=True); pathlib.Path('port').mkdir(); signal.pause()"

    with pytest.raises(IsADirectoryError):
        engine.start([sys.executable, "-c", program], tmp_path)

    assert not psutil.pid_exists(int((tmp_path / "output").read_text()))


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


@pytest.mark.usefixtures("engine_url")  # one can be had
def test_a_node_ends_with_the_process_that_started_it(tmp_path, request):
    """No engine is left behind by a test run that is killed, not even one that is still starting."""
    name = request.node.callspec.params["engine_url"]
    command = getattr(engine, f"{name}_command")(request.config.cache.mkdir("engines"), tmp_path)

    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE) as starting:
        starting.stdin.close()

        assert starting.wait(engine.STOP_TIMEOUT_S) == 0


@pytest.mark.usefixtures("elasticsearch_url")  # jars can be had
def test_jars_that_were_left_half_there_are_completed(tmp_path):
    """A download that was stopped is no class path."""
    whole = jars.resolve(tmp_path, jars.COMPILER)
    (tmp_path / "org.eclipse.jdt-ecj-3.42.0.classpath").unlink()
    Path(whole).rename(Path(whole).parents[1] / "jars" / "half.jar")

    assert whole in jars.resolve(tmp_path, jars.COMPILER).split(":")


def test_without_a_registry_the_summary_has_one_line(tmp_path):
    """Hundreds of tests need an engine; a machine without Maven Central learns so once, and how to change it."""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    names = ("test_elasticsearch_names_its_version", "test_a_node_ends_with_the_process_that_started_it")
    tests = [*(f"tests/engines/test_engine.py::{name}" for name in names), "tests/kibana/test_searches.py"]
    options = ["-q", "-p", "no:randomly", "-o", f"cache_dir={tmp_path}/cache", f"--basetemp={tmp_path}/base"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests, "tests/destinations/elasticsearch/test_streams.py"],
        env={**os.environ, **nowhere, "HOME": str(tmp_path), "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    skipped = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    assert done.returncode == 0, done.stdout
    assert len(skipped) == 1
    assert "Maven Central, which cannot be reached" in skipped[0]


def test_the_second_node_of_a_class_path_makes_its_archive(tmp_path):
    """The first leaves a note, the second writes it as it ends, and from then on each reads it."""
    archives = [engine.Archive.of(["java", "-cp", name], tmp_path) for name in ("a.jar", "a.jar", "a.jar", "b.jar")]
    first, second = archives[0].options(), archives[1].options()
    new = Path(second[0].removeprefix("-XX:AOTCacheOutput="))
    new.touch()
    archives[1].keep()

    assert (first, archives[3].options()) == ([], [])
    assert archives[2].options() == [f"-XX:AOTCache={archives[1].path}"]
    assert not new.exists()
