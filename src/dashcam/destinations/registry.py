"""The routes: where `LOG_BACKEND` sends events, and where they are found again."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

from dashcam.errors import SettingsError
from dashcam.find.query import Store
from dashcam.settings import Settings
from dashcam.ship.batch import Backend

# The folder of a route's backend, and that of its store.
ROUTES: dict[str, tuple[str, str | None]] = {
    "elasticsearch": ("elasticsearch", "elasticsearch"),
    "elk": ("fluentd", "elasticsearch"),
    "local": ("local", "local"),
    "loggly": ("loggly", "loggly"),
    "stdout": ("stdout", None),
}


def connect(route: str, settings: Settings) -> Backend:
    """The backend that a route ships to; raises `SettingsError` for a route nobody knows."""
    if route in ROUTES:
        return cast("Backend", import_module(f"dashcam.destinations.{ROUTES[route][0]}.backend").connect(settings))
    return cast("Backend", _outside("dashcam.backends", route)(settings))


def open_store(route: str, settings: Settings) -> Store:
    """The store that a route's events are found in; raises `SettingsError` when it has none."""
    if route not in ROUTES:
        return cast("Store", _outside("dashcam.stores", route)(settings))
    module = ROUTES[route][1]
    if module is None:
        raise SettingsError(f"LOG_BACKEND={route!r} keeps nothing that could be searched. Ask where its output goes.")
    return cast("Store", import_module(f"dashcam.destinations.{module}.store").open_store(settings))


def _outside(group: str, route: str) -> Callable[[Settings], Any]:
    """What an installed distribution offers for a route of its own, by the entry point group."""
    from importlib.metadata import entry_points

    offered = {point.name: point for point in entry_points(group=group)}
    if route not in offered:
        known = ", ".join(sorted({*ROUTES, *offered}))
        raise SettingsError(f"LOG_BACKEND={route!r} is not a backend. Known: {known}.")
    return cast("Callable[[Settings], Any]", offered[route].load())
