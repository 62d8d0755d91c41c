"""Shares the tests among the workers of `make test`: single tests, but where one worker begins something for many.

Tests of a search engine go to one worker, so that no other starts the same one. A file whose fixtures last longer than
a test stays whole, and so does one that says `together`: its tests use one thing that the machine has once.
"""

import re
from functools import cache
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

_ENGINES = re.compile(r"\b(?:engine|elasticsearch|opensearch)\w*_url\b")
_WITH = re.compile(r"elasticsearch_with_\w+")
_WAITS = re.compile(r"tests/(chaos|deploy|hosted|kills|selfhosted|simulation|watch)/|services/demo/")
_WHOLE = re.compile(r'scope="(module|class|session)"|pytest\.mark\.together\b')


class _Scheduling(LoadScopeScheduling):
    def _split_scope(self, nodeid):
        file, _, test = nodeid.partition("::")
        group = _group(self.config.rootpath / file) or nodeid
        return "opensearch" if group == "elasticsearch" and "opensearch" in test.lower() else group

    def mark_test_complete(self, node, item_index, duration=0):
        super().mark_test_complete(node, item_index, duration)
        work = self.assigned_work[node]
        scope = self._split_scope(self.registered_collections[node][item_index])
        if all(work[scope].values()):
            del work[scope]  # else each test that ends would look at all before it


@cache
def _group(path: Path):
    folder = path.with_name("conftest.py")
    own, shared = path.read_text(), folder.read_text() if folder.exists() else ""
    if engines := set(_ENGINES.findall(own) or _ENGINES.findall(shared)):
        name = engines.pop()
        return name if not engines and _WITH.match(name) else "elasticsearch"
    return str(path) if _WHOLE.search(own + shared) else None


@pytest.hookimpl
def pytest_xdist_make_scheduler(config, log):
    return _Scheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    # What waits ten seconds for processes is not left for the end, when no other test is there to fill the time.
    items.sort(key=lambda item: _WAITS.match(item.nodeid) is None)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_report_to_serializable(report):
    # What a worker sends is UTF-8, and half of a surrogate pair that a test logged is not.
    return _sendable((yield))


def _sendable(value):
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {key: _sendable(one) for key, one in value.items()}
        case list() | tuple():
            return type(value)(map(_sendable, value))
    return value
