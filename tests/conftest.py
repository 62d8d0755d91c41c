"""What every test may ask for, and what all are held to."""

import gc

import hypothesis
import pytest

from . import browser, leaks, prepared
from .engines import plugin as engines

# A shared machine is slow at times, which says nothing about the code.
hypothesis.settings.register_profile("ours", deadline=None, max_examples=25)
hypothesis.settings.register_profile("long", deadline=None, max_examples=100)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=20_000, print_blob=True)
hypothesis.settings.load_profile("ours")


def pytest_configure(config):
    config.pluginmanager.register(browser, "browser")
    config.pluginmanager.register(engines, "engines")
    config.pluginmanager.register(leaks, "leaks")
    if config.pluginmanager.hasplugin("xdist"):
        from . import workers

        config.pluginmanager.register(workers, "workers")


def pytest_collection_finish():
    # What was collected stays to the end: 8,600 tests and all modules, which each collection of garbage would look at.
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session):
    if session.config.option.collectonly or not session.items:  # also where the tests are shared among workers
        return (yield)
    with prepared.serving():
        return (yield)
