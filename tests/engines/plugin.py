"""The engines as pytest fixtures: each is started by the first test that asks for it and serves the whole run.

A failing test shows what the engines printed while it ran.
"""

import pytest
import requests

from . import engine
from .streams import new_namespace

SHOWN_BYTES = 10_000
NO_JARS = "the search engines' jars come from Maven Central, which cannot be reached: connect once"

_sizes = pytest.StashKey[dict[str, int]]()
_running: dict[str, engine.Engine] = {}


def _serve(name, command, config, folders):
    home = folders.mktemp(name)
    cache = config.cache.mkdir("engines")
    try:
        arguments = command(cache, home)
    except requests.ConnectionError:
        pytest.skip(NO_JARS)
    started = engine.start(arguments, home, archive=engine.Archive.of(arguments, cache))
    _running[name] = started
    yield started.url
    del _running[name]
    started.stop()


_ENGINES = {"elasticsearch_url", "elasticsearch_with_users_url", "elasticsearch_with_esql_url", "opensearch_url"}


def pytest_collection_modifyitems(items):
    """Mark each test that asks for an engine, for `make test-fast`, which leaves it out."""
    for item in items:
        if not _ENGINES.isdisjoint(item.fixturenames) or "engine_url" in item.fixturenames:
            item.add_marker(pytest.mark.engine)


@pytest.fixture(scope="session")
def elasticsearch_url(pytestconfig, tmp_path_factory):
    """The address of a real Elasticsearch, without users and without TLS."""
    yield from _serve("elasticsearch", engine.elasticsearch_command, pytestconfig, tmp_path_factory)


@pytest.fixture(scope="session")
def elasticsearch_with_users_url(pytestconfig, tmp_path_factory):
    """The address of a real Elasticsearch that asks who one is, with its administrator in it."""
    command = engine.elasticsearch_with_users_command
    for url in _serve("elasticsearch-with-users", command, pytestconfig, tmp_path_factory):
        yield url.replace("//", f"//elastic:{engine.PASSWORD}@")


@pytest.fixture(scope="session")
def elasticsearch_with_esql_url(pytestconfig, tmp_path_factory):
    """The address of a real Elasticsearch 8 that can be asked in ES|QL."""
    command = engine.elasticsearch_with_esql_command
    yield from _serve("elasticsearch-with-esql", command, pytestconfig, tmp_path_factory)


@pytest.fixture(scope="session")
def opensearch_url(pytestconfig, tmp_path_factory):
    """The address of a real OpenSearch, without users and without TLS."""
    yield from _serve("opensearch", engine.opensearch_command, pytestconfig, tmp_path_factory)


@pytest.fixture(params=["elasticsearch", "opensearch"])
def engine_url(request):
    """The address of each engine in turn: a test that asks for it runs on both."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def namespace():
    """A namespace no other test uses: data streams of one engine stay apart by it."""
    return new_namespace()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    item.stash[_sizes] = {name: node.output.stat().st_size for name, node in _running.items()}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for name, node in _running.items():
            printed = node.output.read_bytes()[item.stash.get(_sizes, {}).get(name, 0) :][-SHOWN_BYTES:]
            report.sections.append((f"{name} output", printed.decode(errors="replace")))
    if report.skipped and NO_JARS in str(report.longrepr):
        report.longrepr = (__file__, 1, f"Skipped: {NO_JARS}")  # one place: the summary has a line for each
    return report
