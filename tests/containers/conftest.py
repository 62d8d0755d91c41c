"""An engine, its base images, and the table of what was measured."""

import re
import sys
import time
from contextlib import ExitStack

import pytest

from .base_images import BASE_IMAGES, RECIPES, make_missing
from .debian import Unavailable
from .engine import running
from .stack import Stack


@pytest.fixture(scope="session")
def table():
    """What was measured, printed at the end."""
    rows = {}
    yield rows
    width = max(map(len, rows), default=0)
    sys.stdout.write("\n" + "".join(f"{name:{width}}  {value}\n" for name, value in rows.items()))


@pytest.fixture(scope="session")
def docker(table):
    """An engine with all base images."""
    with ExitStack() as ends:
        try:
            found = ends.enter_context(running())
            began = time.monotonic()
            made = make_missing(found, BASE_IMAGES, RECIPES)
        except Unavailable as why:
            pytest.skip(str(why))
        table["base images made here"] = f"{len(made)} in {time.monotonic() - began:.0f} s"
        yield found


@pytest.fixture(scope="session")
def stack(docker, table, tmp_path_factory):
    """Everything, up and healthy."""
    stack = Stack(docker, tmp_path_factory.mktemp("checkout"))
    try:
        began = time.monotonic()
        told = stack.make("up")
        table["make up, first"] = f"{time.monotonic() - began:.0f} s"
        assert re.search(r"POST /cars → 201", told)
        yield stack
    finally:
        stack.remove()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """One place for all skips: the summary has one line for them."""
    report = yield
    if report.skipped:
        report.longrepr = (__file__, 1, report.longrepr[2])
    return report
