"""What every test may ask for."""

from .engines import plugin as engines


def pytest_configure(config):
    config.pluginmanager.register(engines, "engines")
